"""The bounded reference run: what the graph makes of the same records when nothing goes wrong."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline.model import KafkaRecord
from pipeline.replay.engine import run_bounded
from pipeline.settings import GraphSettings
from pipeline.site import Site


def reference(
    records: Iterable[KafkaRecord], site: Site, settings: GraphSettings, directory: Path
) -> tuple[list[bytes], list[bytes]]:
    """Return the values for ``out_data`` and for ``out_rejected`` that records, in the order of their offsets, define.

    The graph is the real one, on Beam's in-process engine. ``directory`` takes both as files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    positions, rejected = directory / "reference-positions.jsonl", directory / "reference-rejected.jsonl"
    return run_bounded(records, site, settings, positions, rejected)
