"""What ``beam-rtls simulate`` plays: the options that make a ``SceneSettings``, with its limits and its defaults."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from pipeline.commands.arguments import number
from pipeline.simulation.settings import LIMITS, AnchorFault, SceneError, SceneSettings, TearOff


def add_scene(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    _add_tags(parser.add_argument_group("tags"))
    _add_readings(parser.add_argument_group("readings"))
    _add_anchors(parser.add_argument_group("anchors"))


def scene_settings(given: argparse.Namespace) -> SceneSettings:
    """Return the scene that the options describe.

    Raises:
        SceneError: options that do not fit together.
    """
    return SceneSettings(
        **{field: getattr(given, field) for field in LIMITS},
        fine_timestamps=given.fine_timestamps,
        many_tags_per_record=given.tags_per_record == "many",
        outages=tuple(given.anchor_outage),
        clock_losses=tuple(given.clock_lost),
        tear_offs=tuple(given.tear_off),
    )


def _add_tags(group: Any) -> None:
    _add(group, "--tags", "tags", "N", text="how many", kind=int)
    _add(group, "--seed", "seed", "S", text="the same seed and options give the same bytes", kind=int)
    _add(group, "--still-share", "still_share", "SHARE", text="share of the tags that never move, 0 to 1")
    _add(group, "--walking-speed", "walking_speed_m_s", "M/S", text="middle of the walking speeds")
    text = "tag TAG (counted from 0) is torn off AT seconds after the start; repeatable"
    group.add_argument(
        "--tear-off", metavar="TAG:AT", type=_scene_text(TearOff.parse), action="append", default=[], help=text
    )
    _add(group, "--battery-low-share", "battery_low_share", "SHARE", text="share of the tags whose battery runs low")
    _add(group, "--battery-low-at", "battery_low_at_s", "S", text="seconds after the start when it does")


def _add_readings(group: Any) -> None:
    _add(group, "--noise", "noise_m", "M", text="standard deviation of the noise")
    _add(group, "--bias", "bias_m", "M", text="middle of the constant errors of the tag-anchor pairs")
    _add(group, "--bias-spread", "bias_spread_m", "M", text="how far these lie to either side")
    _add(group, "--outlier-share", "outlier_share", "SHARE", text="share of readings without line of sight")
    _add(group, "--outlier-mean", "outlier_mean_m", "M", text="mean of their additional, exponential error")
    _add(group, "--lost-share", "lost_share", "SHARE", text="share of rangings that fail")
    _add(group, "--max-range", "max_range_m", "M", text="how far anchors hear; left out, the site's, 100 at most")


def _add_anchors(group: Any) -> None:
    _add(group, "--clock-offset", "clock_offset_s", "S", text="standard deviation of their constant clock errors")
    _add(group, "--delay", "delay_s", "S", text="least time that a record takes to Kafka")
    _add(group, "--jitter", "jitter_s", "S", text="mean of the exponential time added to that")
    group.add_argument("--fine-timestamps", action="store_true", help="stamps in microseconds, not whole seconds")
    text = "many: an anchor puts all tags that it measured within 50 ms into one record"
    group.add_argument("--tags-per-record", choices=("one", "many"), default="one", help=text)
    text = "the anchor is dead from second FROM on, for SECONDS; repeatable"
    fault = {
        "metavar": "ANCHOR:FROM:SECONDS",
        "type": _scene_text(AnchorFault.parse),
        "action": "append",
        "default": [],
    }
    group.add_argument("--anchor-outage", **fault, help=text)
    group.add_argument("--clock-lost", **fault, help="likewise, the anchor's clock restarts at 1970; repeatable")


def _add(
    group: Any,
    flag: str,
    field: str,
    metavar: str,
    *,
    text: str,
    kind: Callable[[str], float] = float,
) -> None:
    """Add the option for a field of ``SceneSettings``, with its limits and its default."""
    low, high = LIMITS[field]
    group.add_argument(
        flag,
        dest=field,
        metavar=metavar,
        type=number(at_least=low, at_most=high, kind=kind),
        default=getattr(SceneSettings(), field),
        help=text,
    )


def _scene_text(parse: Callable[[str], AnchorFault | TearOff]) -> Callable[[str], AnchorFault | TearOff]:
    """Return ``parse`` as an argument type, which argparse lets explain itself."""

    def checked(text: str) -> AnchorFault | TearOff:
        try:
            return parse(text)
        except SceneError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked
