"""On CI (the variable CI is set) a skipped test fails the run, for what is skipped there is tested nowhere."""

from __future__ import annotations

import os

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    skipped = _skipped(session.config)
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = _skipped(config)
    if skipped:
        terminalreporter.write_line(f"CI: {skipped} skipped, and on CI nothing may be skipped", red=True)


def _skipped(config: pytest.Config) -> int:
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        return 0
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return 0 if reporter is None else len(reporter.stats.get("skipped", ()))
