"""``beam-rtls simulate``: publish what real anchors would publish, or write it to a log."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import orjson
from tqdm import tqdm

from pipeline.commands.simulate_arguments import LogTarget, SimulateArguments, parse, refuse
from pipeline.commands.simulate_kafka import SimulationError, publish, tell
from pipeline.commands.simulate_log import write_log
from pipeline.kafka_client import UnsupportedPropertyError
from pipeline.simulation.scene import Event, Scene
from pipeline.simulation.settings import SceneError
from pipeline.simulation.totals import Totals
from pipeline.site import SiteError, load_site

LOG_START_US = 1_704_067_200_000_000
"""2024-01-01: a log does not depend on when it was made."""
BAR_STEP_S = 0.2


def main(argv: Sequence[str]) -> int:
    """Simulate as ``argv`` says and return the exit code."""
    arguments = parse(argv)
    target = arguments.target
    try:
        site = load_site(arguments.anchors, arguments.tag_height_m)
        scene = Scene(site, arguments.scene, start_us(arguments, time.time_ns() // 1_000))
    except (SiteError, SceneError) as error:
        refuse(str(error))
    totals = Totals(tags=arguments.scene.tags)
    try:
        with _interruptible() as is_stopped:
            events = _played(scene, arguments.duration_s, totals, is_stopped)
            if isinstance(target, LogTarget):
                write_log(target, scene, events, totals)
            else:
                if arguments.runs_ahead():
                    tell("stamps will run ahead of the clock; give --duration or --start with --speedup")
                publish(target, scene, events, totals, is_stopped)
    except UnsupportedPropertyError as error:
        refuse(f"--kafka-property: {error}")
    except (SimulationError, OSError) as error:
        print(f"beam-rtls simulate: {error}", file=sys.stderr)
        return 1
    totals.lost = scene.lost
    print(orjson.dumps(asdict(totals)).decode(), flush=True)
    return 0


def start_us(arguments: SimulateArguments, now_us: int) -> int:
    """Return the scene's start: as told, else a fixed day for a log, else so that a hurried play ends now."""
    if arguments.start_us is not None:
        return arguments.start_us
    if isinstance(arguments.target, LogTarget):
        return LOG_START_US
    before_s = arguments.duration_s if arguments.duration_s is not None and arguments.target.speedup != 1 else 0
    return now_us - round(before_s * 1e6)


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let SIGINT and SIGTERM end the play, not the process; gives what tells whether they came."""
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number_, lambda *_: stop.set()) for number_ in signals]
    try:
        yield stop.is_set
    finally:
        for number_, handler in zip(signals, before, strict=True):
            signal.signal(number_, handler)


def _played(scene: Scene, duration_s: float | None, totals: Totals, is_stopped: Callable[[], bool]) -> Iterator[Event]:
    """Yield the events until the end or a signal, with a progress bar on a terminal; keeps ``totals.seconds``."""
    with tqdm(total=duration_s, unit="s", file=sys.stderr, disable=not sys.stderr.isatty(), smoothing=0) as bar:
        for event in scene.events(duration_s):
            if is_stopped():
                return
            now_s = (event.sent_at_us - scene.start_us) / 1e6
            totals.seconds = now_s if duration_s is None else min(now_s, duration_s)
            if totals.seconds - bar.n > BAR_STEP_S:
                bar.update(totals.seconds - bar.n)
            yield event
        totals.seconds = totals.seconds if duration_s is None else duration_s
        bar.update(totals.seconds - bar.n)
