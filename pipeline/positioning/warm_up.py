"""The grouping, the solver and the filter, compiled before the first reading comes.

Compiling takes the better part of a minute, loading what was compiled before less than a second. Wherever the program
is installed anew, run ::

    python -m pipeline.positioning.warm_up

and workers, tests and commands find the machine code. Each stage loads what it needs when it is set up, so that no
reading waits for that.

Machine code is kept where ``compiled`` says, for one make of CPU; for any, with ``NUMBA_CPU_NAME=generic``. numba takes
none from a place that it cannot write to, such as the file system of a container: it falls back to another, as to
the user's cache. What is ready is copied there first.
"""

from __future__ import annotations

import shutil
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from numba import config

from pipeline.positioning import round_bytes, tracker, trilateration, whole_rounds
from pipeline.positioning.solver import answer_all
from pipeline.positioning.track_groups import take_all


def warm_up_solver() -> None:
    """Compile what solves groups, one (``trilaterate``) or many (``Solver``), or load it."""
    _bring_ready(_kept_in(answer_all))
    trilateration.warm_up()


def warm_up_filter() -> None:
    """Compile what :class:`pipeline.positioning.tracker.Tracker` runs, or load it."""
    _bring_ready(_kept_in(take_all))
    tracker.warm_up()


def warm_up_grouping() -> None:
    """Compile what takes whole rounds in, or load it."""
    _bring_ready(_kept_in(round_bytes.take_all))
    whole_rounds.warm_up()


def warm_up() -> None:
    """Compile all that a worker runs, or load it."""
    warm_up_grouping()
    warm_up_solver()
    warm_up_filter()


def _kept_in(kernel: object) -> Path:
    """Return the folder in which numba keeps a kernel's machine code in this process."""
    return Path(cast("Any", kernel).stats.cache_path)


def _bring_ready(kept_in: Path) -> None:
    """Copy what is ready where it should be kept to where it is kept, if that is another place.

    What stands there already stays: it may be for another CPU. Several processes may do this at once.
    """
    should_be = Path(config.CACHE_DIR)  # type: ignore[attr-defined]
    if kept_in.is_relative_to(should_be):
        return
    # The code (.nbc) before the index that names it (.nbi): a process in between compiles, and is none the wiser.
    for ready in sorted(should_be.glob("*/*.nb[ci]"), key=lambda path: path.suffix):
        if not (kept_in / ready.name).exists():
            part = kept_in / f"{ready.name}.{uuid.uuid4().hex}"
            shutil.copyfile(ready, part)
            part.replace(kept_in / ready.name)


def main() -> None:
    """Do it, and say so."""
    say = sys.stdout.write
    say(f"machine code is kept in {_kept_in(answer_all)}\n")
    parts: list[tuple[str, object, Callable[[], None]]] = [
        ("grouping", round_bytes.take_all, warm_up_grouping),
        ("solver", answer_all, warm_up_solver),
        ("filter", take_all, warm_up_filter),
    ]
    for name, kernel, load in parts:
        started_s = time.perf_counter()
        load()
        is_new = bool(cast("Any", kernel).stats.cache_misses)
        say(f"{name}: {'compiled' if is_new else 'loaded'} in {time.perf_counter() - started_s:.1f} s\n")


if __name__ == "__main__":
    main()
