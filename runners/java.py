"""Which Java to run: the one that the variable JAVA names (``make JAVA=…`` hands it on), else ``java`` on the path."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

SMALL_MACHINE = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=128m")
"""Options for a Java beside many others: on few cores the better compiler takes for minutes what it gives later.

With that compiler alone Java has room for 48 MB of its code, which a few jobs of Flink fill; from then on it throws
code away and compiles it again.
"""


def java() -> str:
    """Return the program."""
    return os.environ.get("JAVA") or "java"


def java_home() -> Path | None:
    """Return the folder of the Java that JAVA names; None where it names none, or one that is not there."""
    program = shutil.which(os.environ.get("JAVA") or "")
    return None if program is None else Path(program).resolve().parents[1]
