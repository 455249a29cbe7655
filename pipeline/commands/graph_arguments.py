"""The arguments that say what site it is and how positions are computed, for every command that runs the graph."""

from __future__ import annotations

import argparse

from pipeline.commands.arguments import number
from pipeline.live_site import LiveSite
from pipeline.positioning.rounds import GroupingMode, GroupingSettings
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.trilateration import SolverSettings
from pipeline.settings import GraphSettings
from pipeline.site import SiteFile


def add_site_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the site map, and the height of the tags; return their group."""
    site = parser.add_argument_group("site")
    site.add_argument(
        "--anchors",
        required=True,
        metavar="FILE",
        help="site map: YAML, or CSV anchor_id,x,y[,z]; metres; on a disk, or gs://, s3:// with Beam's extra",
    )
    site.add_argument("--tag-height", type=number(), metavar="M", help="height (m) of the tags, in place of the map's")
    return site


def add_live_site_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the site map of a run, in which it is followed as it changes."""
    add_site_arguments(parser).add_argument(
        "--map-poll",
        type=number(at_least=0, at_most=3600),
        default=LiveSite(SiteFile("")).poll_s,
        metavar="S",
        help="time between two looks at the site map (s): a change is in force after two; 0: read once",
    )


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings of the graph's stages."""
    grouping = parser.add_argument_group("grouping (times in seconds)")
    grouping.add_argument(
        "--mode",
        choices=[mode.value for mode in GroupingMode],
        default=GroupingSettings().mode.value,
        help="round: every anchor that heard the blink; three: as soon as three distinct anchors are in",
    )
    bounds = GroupingSettings()
    for flag, default_us, longest_s, text in (
        ("--round-wait", bounds.round_wait_us, 60, "how long a round waits after its first reading"),
        ("--max-reading-age", bounds.max_reading_age_us, 600, "how far readings of a group may lie apart"),
        ("--max-lateness", bounds.max_lateness_us, 3600, "a reading further behind its tag's newest is late"),
        ("--tag-expiry", bounds.tag_expiry_us, 86400, "a tag silent for so long is forgotten"),
    ):
        limits = number(at_least=0.001, at_most=longest_s)
        grouping.add_argument(flag, type=limits, default=default_us / 1e6, metavar="S", help=text)
    solver = parser.add_argument_group("positioning")
    defaults = SolverSettings()
    solver.add_argument(
        "--max-residual",
        type=number(above=0),
        default=defaults.max_residual_m,
        metavar="M",
        help="RMS of the range residuals above which ranges do not meet",
    )
    solver.add_argument(
        "--max-gdop",
        type=number(above=0),
        default=defaults.max_gdop,
        metavar="N",
        help="horizontal dilution of precision above which the geometry is hopeless",
    )
    solver.add_argument(
        "--tracking",
        choices=["on", "off"],
        default="on",
        help="on: follow each tag over time, learn the biases of its ranges; off: each group is its own position",
    )
    solver.add_argument("--strict", action="store_true", help="stop at the first unexpected error (for tests)")


def graph_settings(given: argparse.Namespace) -> GraphSettings:
    """Return what was given, with nothing watched: see :mod:`pipeline.commands.watch_arguments`.

    Raises:
        ValueError: settings that contradict each other.
    """
    return GraphSettings(
        grouping=GroupingSettings(
            mode=GroupingMode(given.mode),
            round_wait_us=micros(given.round_wait),
            max_reading_age_us=micros(given.max_reading_age),
            max_lateness_us=micros(given.max_lateness),
            tag_expiry_us=micros(given.tag_expiry),
        ),
        solver=SolverSettings(max_residual_m=given.max_residual, max_gdop=given.max_gdop),
        track=TrackSettings() if given.tracking == "on" else None,
        anchor_watch=None,
        tag_watch=None,
        zones=None,
        strict=given.strict,
    )


def micros(seconds: float) -> int:
    """Return seconds as integer microseconds."""
    return round(seconds * 1e6)
