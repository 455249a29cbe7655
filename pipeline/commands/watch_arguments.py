"""The arguments that say what is watched besides positions, for the command that runs the graph over Kafka."""

from __future__ import annotations

import argparse
from dataclasses import replace

from pipeline.commands.arguments import number
from pipeline.commands.graph_arguments import micros
from pipeline.positioning.anchor_watch import AnchorWatchSettings
from pipeline.positioning.tag_watch import TagWatchSettings
from pipeline.positioning.zone_border import Certainty
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
    anchors = AnchorWatchSettings()
    for flag, default_us, text in (
        ("--anchor-timeout", anchors.anchor_timeout_us, "an anchor silent for longer is dead"),
        (
            "--outage-window",
            anchors.outage_window_us,
            "all anchors silent within this time: an outage, and none is dead",
        ),
        ("--skew-limit", anchors.skew_limit_us, "an anchor's clock further than this from Kafka's is skewed"),
        ("--skew-window", anchors.skew_window_us, "its least delayed record of so long a time is what counts"),
        ("--tag-timeout", TagWatchSettings().tag_timeout_us, "a tag silent for longer is away"),
    ):
        limits = number(at_least=0.001, at_most=86400)
        watches.add_argument(flag, type=limits, default=default_us / 1e6, metavar="S", help=text)
    watches.add_argument(
        "--zone-certainty",
        type=number(above=0.5, at_most=0.999999),
        default=Certainty().enter_probability,
        metavar="P",
        help="how probable it has to be that a tag is inside a zone to have entered it, or outside to have left it",
    )


def with_watches(settings: GraphSettings, given: argparse.Namespace) -> GraphSettings:
    """Return settings with the watches that were asked for.

    Raises:
        ValueError: settings that contradict each other.
    """
    bounds = settings.grouping
    delay_us = bounds.round_wait_us + bounds.max_reading_age_us
    anchors = AnchorWatchSettings(
        anchor_timeout_us=micros(given.anchor_timeout),
        outage_window_us=micros(given.outage_window),
        skew_limit_us=micros(given.skew_limit),
        skew_window_us=micros(given.skew_window),
    )
    certainty = Certainty(
        enter_probability=given.zone_certainty, leave_probability=round(1.0 - given.zone_certainty, 9)
    )
    tags = TagWatchSettings(tag_timeout_us=micros(given.tag_timeout))
    return replace(
        settings,
        anchor_watch=anchors if given.anchor_watch == "on" else None,
        tag_watch=tags if given.tag_watch == "on" else None,
        zones=ZoneWatchSettings(certainty, position_delay_us=delay_us) if given.zone_watch == "on" else None,
    )
