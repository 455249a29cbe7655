"""The groups that a log's records make, without an engine: a pure function of the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pipeline.model import Group, KafkaRecord
from pipeline.positioning.rounds import GroupingSettings, Outcome, Rounds
from pipeline.site import Site
from pipeline.wire.decode import decode


def group_all(records: Iterable[KafkaRecord], site: Site, settings: GroupingSettings) -> list[Group]:
    """Return the groups in which the graph sees the readings of records, in the order of the records, to their end.

    The graph gives positions and rejections, not groups; how many there were, and of which readings, is told by the
    grouping itself, which needs no timers until there are no more records.
    """
    rounds: defaultdict[str, Rounds] = defaultdict(Rounds)
    outcomes: list[Outcome] = []
    for record in records:
        for reading in decode(record, site).readings:
            outcomes += rounds[reading.tag].add(reading, settings)
    for each in rounds.values():
        outcomes += _settled(each, settings)
    return [outcome for outcome in outcomes if isinstance(outcome, Group)]


def _settled(rounds: Rounds, settings: GroupingSettings) -> list[Outcome]:
    """Do what timers do after a tag's last record."""
    outcomes: list[Outcome] = []
    now_us = rounds.due_us(settings)
    while not rounds.is_forgotten(now_us, settings):
        outcomes += rounds.advance(now_us, settings)
        now_us = rounds.due_us(settings)
    return outcomes
