"""The arguments that say what is watched besides positions, for the command that runs the graph over Kafka."""

from __future__ import annotations

import argparse
from dataclasses import replace

from pipeline.commands.arguments import number
from pipeline.positioning.anchor_watch import AnchorWatchSettings
from pipeline.positioning.tag_watch import TagWatchSettings
from pipeline.positioning.zone_watch import ZoneWatchSettings
from pipeline.settings import GraphSettings

_ON_OFF = ("on", "off")


def add_watch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    watches = parser.add_argument_group("watches (times in seconds)")
    for flag, text in (
        ("--anchor-watch", "tell which anchors are silent, whether all are, and whose clock is wrong"),
        ("--tag-watch", "tell which tags are away, torn off or low on battery"),
        ("--zone-watch", "tell which tags enter and leave the zones of the map"),
    ):
        watches.add_argument(flag, choices=_ON_OFF, default="on", help=text)
    for flag, default_us, text in (
        ("--anchor-timeout", AnchorWatchSettings().anchor_timeout_us, "an anchor silent for longer is dead"),
        ("--tag-timeout", TagWatchSettings().tag_timeout_us, "a tag silent for longer is away"),
    ):
        limits = number(at_least=0.001, at_most=86400)
        watches.add_argument(flag, type=limits, default=default_us / 1e6, metavar="S", help=text)


def with_watches(settings: GraphSettings, given: argparse.Namespace) -> GraphSettings:
    """Return settings with the watches that were asked for.

    Raises:
        ValueError: settings that contradict each other.
    """
    bounds = settings.grouping
    delay_us = bounds.round_wait_us + bounds.max_reading_age_us
    anchors = AnchorWatchSettings(anchor_timeout_us=round(given.anchor_timeout * 1e6))
    tags = TagWatchSettings(tag_timeout_us=round(given.tag_timeout * 1e6))
    return replace(
        settings,
        anchor_watch=anchors if given.anchor_watch == "on" else None,
        tag_watch=tags if given.tag_watch == "on" else None,
        zones=ZoneWatchSettings(position_delay_us=delay_us) if given.zone_watch == "on" else None,
    )
