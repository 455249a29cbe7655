"""Writing a play to a log: the readings to one file and, where asked for, the true places to another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from pipeline.commands.simulate_arguments import LogTarget
from pipeline.simulation.events import AnchorRecord
from pipeline.simulation.log import READINGS_HEADER, TRUTH_HEADER, TruthLog, reading_lines
from pipeline.simulation.scene import Event, Scene
from pipeline.simulation.totals import Totals


def write_log(target: LogTarget, scene: Scene, events: Iterable[Event], totals: Totals) -> None:
    """Write the events and count them; ``totals.seconds`` tells how far the play is, and is the events' to keep.

    Raises:
        OSError: a file cannot be written.
    """
    with contextlib.ExitStack() as files:
        readings = files.enter_context(_new_file(target.readings, READINGS_HEADER))
        truth = None if target.truth is None else files.enter_context(_new_file(target.truth, TRUTH_HEADER))
        truth_log = TruthLog(scene)
        for event in events:
            totals.add(event)
            if isinstance(event, AnchorRecord):
                readings.writelines(reading_lines(event, scene.start_us))
            if truth is not None:
                truth.writelines(truth_log.before(totals.seconds))
        if truth is not None:
            truth.writelines(truth_log.to_the_end(totals.seconds))


def _new_file(path: Path, header: str) -> TextIO:
    file = path.open("w", encoding="utf-8", newline="\n")
    file.write(header)
    return file
