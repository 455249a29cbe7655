"""``make scenario``: a scripted day in the life of a site on real Kafka and Flink, and whether all of it was told.

All that is for a person goes to standard error; the last line on standard output is the result as JSON. Exit code 0
when all is as expected, 1 when not or when the run failed, 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence

from rich.console import Console

from pipeline.simulation.directed import DirectedScene
from pipeline.simulation.settings import SceneSettings
from pipeline.site import load_site
from runners.scenario import hall, script
from runners.scenario.day import play
from runners.scenario.options import Options, parse
from runners.scenario.report import courses_table, events_table, ledger_text, summary, wrong_text
from runners.scenario.result import Result
from runners.session import TRUTH_TOPIC, Session
from runners.trial.command import exit_code
from runners.trial.platform import Layout, Platform, Ports, free_ports

JOB_NAME = "beam-rtls-scenario"
_SHOWN = 20
_WIDTH = 150


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and return the exit code."""
    options = parse(argv)
    return exit_code("scenario", lambda stopped: run(options, stopped), _tell)


def run(options: Options, stopped: threading.Event) -> Result:
    """Play the script.

    Raises:
        ProcessError: a process could not be started or died by itself.
        FlinkError: the job is not there.
        Interrupted: asked to end.
    """
    session = Session(options.tools.absolute() / "scenario", stopped)
    session.directory.mkdir(parents=True)
    whole = session.directory / "hall.yaml"  # as it truly is, for the simulation
    whole.write_text(hall.good_map(with_new_anchor=True), encoding="utf-8")
    layout = Layout(
        job_name=JOB_NAME,
        site=session.directory / "site.yaml",
        parallelism=options.parallelism,
        backend=options.backend,
        checkpoint_interval_s=options.checkpoint_interval_s,
        high_availability=False,
        tools=options.tools.absolute(),
        run=(
            *("--anchor-timeout", str(script.ANCHOR_TIMEOUT_S)),
            *("--tag-timeout", str(script.TAG_TIMEOUT_S)),
        ),
        topics=(TRUTH_TOPIC,),
    )
    hall.replace_file(layout.site, hall.good_map())
    ports = free_ports()
    platform = Platform(session, layout, Ports(*(next(ports) for _ in Ports.__slots__)))
    settings = SceneSettings(tags=len(hall.TAG_PLACES), seed=options.seed)
    return play(platform, DirectedScene(load_site(whole), settings, hall.TAG_PLACES))


def _tell(result: Result) -> None:
    console = Console(stderr=True)
    console.width = max(console.width, _WIDTH)
    console.print(events_table(result))
    console.print(courses_table(result))
    print(ledger_text(result), file=sys.stderr)
    details = [wrong_text(line) for line in result.lines if not line.is_well]
    for text in (details + result.wrong())[:_SHOWN]:
        print(text, file=sys.stderr)
    if result.trouble:
        print(f"scenario: {result.trouble}", file=sys.stderr)
    print("scenario: all as expected" if result.holds else "scenario: NOT as expected", file=sys.stderr)
    print(json.dumps(summary(result)), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
