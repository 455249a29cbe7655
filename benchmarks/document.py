"""What was measured, as a JSON document: every single figure, for whoever compares runs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from typing import Any

from benchmarks.plan import Plan
from benchmarks.results import Repeat
from benchmarks.thresholds import judge


def document(plan: Plan, repeats: Sequence[Repeat], began: str) -> str:
    """Return the document; ``began`` is when the run did (ISO 8601)."""
    told = {
        "began": began,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "plan": _plain(plan) | {name: [one.name for one in getattr(plan, name)] for name in ("backlog", "live")},
        "repeats": [_plain(repeat) for repeat in repeats],
        "thresholds": [_plain(verdict) | {"holds": verdict.holds} for verdict in judge(repeats)],
    }
    return json.dumps(told, indent=1) + "\n"


def _plain(value: Any) -> Any:
    """Return a record as what JSON has, with the names of its fields."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
