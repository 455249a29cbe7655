"""Which Java to run."""

from __future__ import annotations

import os


def java() -> str:
    """Return the program: the variable JAVA, which ``make JAVA=…`` hands on, else ``java`` on the path."""
    return os.environ.get("JAVA") or "java"
