"""The expressions of alerts and dashboard, and what they ask for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from promql_parser import MatchOp, VectorSelector, parse, walk

from tests.monitoring.relabeling import MONITORING

OF_PROMETHEUS = {"ALERTS", "up"}
"""Series of Prometheus' own making."""


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    found: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    return found


def alerts() -> list[dict[str, Any]]:
    """Return the alert rules."""
    found = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


def of_alerts() -> list[str]:
    """Return the expressions of the alerts."""
    return [rule["expr"] for rule in alerts()]


def of_dashboard() -> list[str]:
    """Return the expressions of the dashboard."""
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]


def asked(expressions: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Iterate over the names that expressions ask for, with the labels that have to have one value."""
    for expression in expressions:
        selectors: list[VectorSelector] = []

        def visit(node: Any, selectors: list[VectorSelector] = selectors) -> bool:
            if isinstance(node, VectorSelector):
                selectors.append(node)
            return True

        walk(parse(expression.replace("$__rate_interval", "5m")), visit)
        assert selectors, expression
        for selector in selectors:
            assert selector.name, expression
            matchers = selector.matchers.matchers
            yield selector.name, {one.name: one.value for one in matchers if one.op == MatchOp.Equal}
