"""Prometheus' relabelling, as far as the scrape configuration uses it: what becomes of the reporter's series."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MONITORING = Path(__file__).parents[2] / "runners" / "flink" / "monitoring"
NAME = "__name__"
Series = dict[str, str]
"""The labels of a series, its name among them."""


def rules(job: int = 0) -> list[dict[str, Any]]:
    """Return the rules for what a job of the scrape configuration has scraped."""
    config = yaml.safe_load((MONITORING / "prometheus.yaml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = config["scrape_configs"][job]["metric_relabel_configs"]
    return found


def relabelled(series: Series) -> Series | None:
    """Return what Prometheus keeps of a series; None: it drops it."""
    labels = dict(series)
    for rule in rules():
        action = rule.get("action", "replace")
        if action == "labeldrop":
            labels = {name: value for name, value in labels.items() if not re.fullmatch(rule["regex"], name)}
            continue
        found = re.fullmatch(rule["regex"], ";".join(labels.get(name, "") for name in rule["source_labels"]))
        if found is None:
            continue
        if action == "drop":
            return None
        assert action == "replace"
        replacement = re.sub(r"\$\{?(\d)\}?", r"\\\1", rule.get("replacement", "$1"))
        labels[rule["target_label"]] = found.expand(replacement)
    return labels


def exposed(text: str) -> Iterator[tuple[Series, float]]:
    """Iterate over the series of an exposition, as the reporter shows them, with their values."""
    for line in text.splitlines():
        found = re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)", line)
        if found is not None and not line.startswith("#"):
            labels = dict(re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', found[2] or ""))
            yield {NAME: found[1], **labels}, float(found[3])
