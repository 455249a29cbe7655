"""What ``make scenario`` can be told."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import number
from runners.flink.cluster import BACKENDS
from runners.scenario.hall import name_of
from runners.scenario.script import END_S, SCRIPT, Step, time_text
from runners.trial.platform import SLOTS
from runners.variables import Variables, one_of

_DESCRIPTION = f"""\
A day in the life of a site, in {END_S:.0f} s of real time once positions flow: a Kafka broker, a Flink cluster of two
TaskManagers and the job are started on free ports, seven tags and seven anchors are simulated, and the script below is
played. Every event that it is to give has to come exactly once by its event_id, and no other; only for the crash may
one come again, with the same content. Meanwhile positions go on, and each reading is in one position or rejection.
Exit code 0 where all is so, 1 where not or where the run failed, 130 after Ctrl-C. The last line on standard output is
the result as JSON."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    seed: int
    parallelism: int
    backend: str
    checkpoint_interval_s: float
    tools: Path


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options; a wrong one ends the program with its variable and what was expected (exit code 2)."""
    variables = Variables("python -m runners.scenario", _DESCRIPTION, script_text())
    variables.add("--seed", number(at_least=0, kind=int), "1", "the same seed draws the same errors of ranging")
    variables.add("--parallelism", number(at_least=1, at_most=SLOTS, kind=int), str(SLOTS), "tasks side by side")
    variables.add("--backend", one_of(*BACKENDS), "hashmap", "where Flink keeps state: hashmap (heap) or rocksdb")
    variables.add("--checkpoint-interval", number(at_least=0.1), "5", "seconds from one checkpoint to the next")
    variables.add("--tools", Path, ".tools", "where make put jars and Flink", variable="BEAM_RTLS_TOOLS")
    given = variables.parse(argv)
    return Options(given.seed, given.parallelism, given.backend, given.checkpoint_interval, given.tools)


def script_text() -> str:
    """Return the script as a table."""
    return "\n".join(["the script, and what each step has to give:", *map(_step_text, SCRIPT)])


def _step_text(step: Step) -> str:
    gives = ", ".join(
        f"{one.kind} ({' '.join(filter(None, (name_of(one.subject), one.zone)))})" for one in step.expects
    )
    text = f"{time_text(step):>7}  {step.tells}" + (f": {gives}" if gives else "")
    return textwrap.fill(text, 118, subsequent_indent=" " * 11)
