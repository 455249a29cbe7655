"""``make bench``: the pipeline on Flink and on Prism beside a bare loop and its peers, on one real Kafka, in one run.

How far it is goes to standard error, the tables to standard output, and every figure to a file under
``benchmarks/results``. Exit code 0 when all was measured and correct (with ``--check``: and the thresholds hold), 1
when not, 130 after Ctrl-C; what was measured until then is told all the same. Peers that are not installed are left
out, unless they are asked for by name.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.document import document
from benchmarks.plan import FULL, PARTS, SHORT, SWEEPS, Plan
from benchmarks.platform import Platform
from benchmarks.report import report, verdicts
from benchmarks.results import Repeat, wrong
from benchmarks.suite import Suite
from benchmarks.systems import PEERS, Peer, installed_peers
from benchmarks.thresholds import LIVE_RATE, P50_MS, P99_MS, judge
from runners.processes import ProcessError
from runners.session import Interrupted, Session
from runners.trial.command import INTERRUPTED
from runners.trial.platform import free_ports

RESULTS = Path(__file__).parent / "results"
_EPILOG = """\
  backlog     readings/s with all readings there from the start; between the first tenth of the positions, and the first
              three of each tag, and the last twentieth
  live        latency at a steady rate, from the append of a fix's last reading to that of its position (round_wait is
              not in it); start-up, beside a Flink cluster that is there already; memory. Systems with a backlog hardly
              faster than the rate are not tried
  tags, anchors, partitions, tasks
              the backlog with one of these other than usual (100 tags, 3 anchors, 1 partition, 2 tasks)
  state       bytes of a checkpoint, divided by the tags
  outage      everything but Kafka stands still for a minute while readings come: how long until none is late

Every system is started anew for every measurement, beside one broker. Its positions are held against the truth: those
of fixes to a millimetre, those of tracks to 25 cm, each tag's in their order. Repeats are interleaved, and a ratio is
taken within a repeat. Believe no difference smaller than the range from low to high.

examples:
  python -m benchmarks --short
  python -m benchmarks --parts backlog --systems "Flink, three, tracking off" "bare loop" --repeats 5
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, tell what came out, and return the exit code."""
    told = _parse(argv)
    plan = _plan(told)
    logging.basicConfig(level=logging.ERROR)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    began = dt.datetime.now(dt.timezone.utc)
    repeats: list[Repeat] = []
    code = 0
    try:
        _measure(plan, told.tools, stopped, repeats, told.systems or ())
    except Interrupted:
        code = INTERRUPTED
    except ProcessError as error:
        sys.stderr.write(f"bench: {error}\n")
        code = 1
    finally:  # hours of measuring are not lost to an error that nobody thought of
        if repeats:
            _tell(plan, repeats, began, check=told.check)
    failed = bool(wrong(repeats)) or (told.check and not all(verdict.holds for verdict in judge(repeats)))
    return code or int(failed)


def _measure(plan: Plan, tools: Path, stopped: threading.Event, repeats: list[Repeat], asked: Sequence[str]) -> None:
    peers = list(installed_peers(tools))
    missing = [peer.name for peer in map(Peer, PEERS) if peer not in peers]
    without = f"without {', '.join(missing)}: `make peers` sets them up"
    if not set(missing).isdisjoint(asked):
        raise ProcessError(without)
    ports = free_ports()
    session = Session(tools / "bench", stopped)
    if missing:
        session.say(without)
    with Platform(session, tools, lambda: next(ports)) as platform:
        Suite(platform, plan, peers).measure(repeats)


def _tell(plan: Plan, repeats: Sequence[Repeat], began: dt.datetime, *, check: bool) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{began:%Y-%m-%dT%H%M%SZ}.json"
    path.write_text(document(plan, repeats, began.isoformat(timespec="seconds")), encoding="utf-8")
    sys.stdout.write(report(repeats) + "\n")
    if check:
        sys.stdout.write(f"\n{verdicts(repeats)}\n")
    sys.stderr.write(f"every figure is in {path}\n")


def _plan(told: argparse.Namespace) -> Plan:
    plan = SHORT if told.short or told.check else FULL
    changes: dict[str, Any] = {}
    for name in ("parts", "repeats", "readings", "rates", "duration_s", *SWEEPS):
        value = getattr(told, name)
        if value is not None:
            changes[name] = tuple(value) if isinstance(value, list) else value
    if told.systems is not None:
        changes["backlog"] = changes["live"] = tuple(one for one in FULL.backlog if one.name in told.systems)
    return dataclasses.replace(plan, **changes)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    names = [system.name for system in FULL.backlog]
    parser.add_argument("--short", action="store_true", help="the main figures alone, once: about five minutes")
    parser.add_argument(
        "--check",
        action="store_true",
        help="the short form, held to thresholds: ratios within the run, state, and latency of the default pipeline at "
        f"{LIVE_RATE:,} readings/s, round_wait aside, of which the project's owner asks p50 <= {P50_MS:g} ms and "
        f"p99 <= {P99_MS:g} ms on whatever machine this is; exit code 1 where one fails or was not measured",
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, metavar="PART", help="what to measure; see below")
    parser.add_argument(
        "--systems", nargs="+", choices=names, metavar="NAME", help=f"for backlog and live, of: {'; '.join(names)}"
    )
    parser.add_argument("--repeats", type=_whole, metavar="N", help="how often to measure all")
    parser.add_argument("--readings", type=_whole, metavar="N", help="how many readings a backlog has")
    parser.add_argument("--rates", nargs="+", type=_whole, metavar="N", help="readings/s of the part live")
    parser.add_argument(
        "--duration", dest="duration_s", type=_whole, metavar="S", help="seconds that the part live measures each"
    )
    for sweep in SWEEPS:
        parser.add_argument(
            f"--{sweep}", nargs="+", type=_whole, metavar="N", help=f"numbers of {sweep} that its part measures"
        )
    parser.add_argument(
        "--tools",
        type=Path,
        default=Path(os.environ.get("BEAM_RTLS_TOOLS") or ".tools").absolute(),
        metavar="DIR",
        help="where make put jars, engines and peers [env: BEAM_RTLS_TOOLS]",
    )
    return parser.parse_args(argv)


def _whole(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number of at least 1")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
