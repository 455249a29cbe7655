"""The script: what happens when, and what the pipeline has to tell of it. All of it is the table ``SCRIPT``."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

from pipeline.events import EventKind as Kind
from pipeline.simulation.directed import DirectedScene
from runners.scenario.hall import (
    AISLE,
    ANCHORS,
    CAGE,
    CART,
    CASE,
    CRATE,
    DOCK,
    JACK,
    NEW_ANCHOR,
    PALLET,
    SITE,
    TOOL,
    anchor_id,
    broken_map,
    good_map,
    tag_id,
    version_of,
)
from runners.trial.tap import DEATHS, EVENTS

ANCHOR_TIMEOUT_S, OUTAGE_WINDOW_S, TAG_TIMEOUT_S = 6.0, 5.0, 20.0
END_S = 224.0
OUT_ALIVE = "out_alive"
"""In place of a kind: the record of an anchor's death on the topic of that name."""

_TOLD_S = 8.0
"""How long an event may take beyond what the settings say: bundles, Kafka, a busy machine."""
_DEAD_S = ANCHOR_TIMEOUT_S + OUTAGE_WINDOW_S + _TOLD_S
_RESTART_S = 60.0
_CLOCK_WINDOW_S = 60.0
_MAP_S = 10.0 + _TOLD_S
_START_S = 240.0


class Expected(NamedTuple):
    """One event that has to come, once, at most ``within_s`` after its step."""

    kind: str
    subject: str
    within_s: float
    zone: str | None = None
    topic: str = EVENTS
    map_version: str | None = None


class Deed(enum.Enum):
    """Something done to the platform or the map."""

    KILL = enum.auto()
    RESUME = enum.auto()
    BREAK_MAP = enum.auto()
    MEND_MAP = enum.auto()


Direction = Callable[[DirectedScene], None]


class Step(NamedTuple):
    """Something that happens."""

    at_s: float | None
    """Seconds from the beginning of the script; None: before, when the readings begin."""
    tells: str
    does: Direction | Deed
    expects: tuple[Expected, ...] = ()


def _anchor(kind: Kind, number: int, within_s: float) -> Expected:
    return Expected(kind.value, anchor_id(number), within_s)


def _dead(number: int, more_s: float = 0.0) -> tuple[Expected, ...]:
    dies = _anchor(Kind.ANCHOR_DEAD, number, _DEAD_S + more_s)
    return dies, dies._replace(kind=OUT_ALIVE, topic=DEATHS)


def _tag(kind: Kind, tag: int, within_s: float = _TOLD_S, zone: str | None = None) -> Expected:
    return Expected(kind.value, tag_id(tag), within_s, zone)


def _site(kind: Kind, within_s: float = _TOLD_S) -> Expected:
    return Expected(kind.value, SITE, within_s)


def _map(kind: Kind, text: str) -> Expected:
    return Expected(kind.value, SITE, _MAP_S, map_version=version_of(text))


def _begin(scene: DirectedScene) -> None:
    scene.silence(NEW_ANCHOR)
    scene.walk(CART, [(20.0, 9.0), (20.0, 15.0), (3.0, 15.0), (3.0, 9.0)] * 12)


_EVERYONE = (*ANCHORS, NEW_ANCHOR)
_ALONG_THE_HALL_S = 22.0
_ACROSS = tuple(
    _tag(kind, PALLET, _ALONG_THE_HALL_S + _TOLD_S, zone)
    for zone in (DOCK, AISLE)
    for kind in (Kind.ZONE_ENTRY, Kind.ZONE_EXIT)
)
_LEAVES_HOME = (_tag(Kind.ZONE_EXIT, TOOL, _RESTART_S, CAGE), _tag(Kind.HOME_ZONE_LEFT, TOOL, _RESTART_S, CAGE))

# fmt: off
SCRIPT: tuple[Step, ...] = (
    Step(None, "the cart goes its rounds, the others stand; the tool is in its cage", _begin,
         (_tag(Kind.ZONE_ENTRY, TOOL, _START_S, CAGE),)),
    Step(5, "anchor 2 falls silent", lambda scene: scene.silence(anchor_id(2)), _dead(2)),
    Step(10, "the clock of anchor 4 jumps an hour ahead", lambda scene: scene.set_clock(anchor_id(4), 3600.0),
         (_anchor(Kind.CLOCK_SKEWED, 4, _CLOCK_WINDOW_S + _RESTART_S),)),
    Step(12, "the battery of the crate's tag is low", lambda scene: scene.run_low(CRATE),
         (_tag(Kind.BATTERY_LOW, CRATE),)),
    Step(15, "the pallet goes along the hall, through dock and aisle",
         lambda scene: scene.walk(PALLET, [(26.0, 4.5)], 1.2), _ACROSS),
    Step(28, "anchor 2 is back", lambda scene: scene.wake(anchor_id(2)), (_anchor(Kind.ANCHOR_BACK, 2, _TOLD_S),)),
    Step(35, "the case's tag is torn off, and has another id from then on", lambda scene: scene.tear_off(CASE),
         (_tag(Kind.TAG_DETACHED, CASE),)),
    Step(40, "the clock of anchor 4 is right again", lambda scene: scene.set_clock(anchor_id(4), 0.0),
         (_anchor(Kind.CLOCK_RIGHT, 4, 2 * _CLOCK_WINDOW_S + _RESTART_S),)),
    Step(45, "anchor 3 falls silent", lambda scene: scene.silence(anchor_id(3)), _dead(3, _RESTART_S)),
    Step(52, "the case's tag is on again", lambda scene: scene.tear_off(CASE, detached=False),
         (_tag(Kind.TAG_ATTACHED, CASE, _RESTART_S),)),
    Step(53, "kill -9 of the TaskManager that runs the job", Deed.KILL),
    Step(76, "anchor 3 is back", lambda scene: scene.wake(anchor_id(3)),
         (_anchor(Kind.ANCHOR_BACK, 3, _RESTART_S),)),
    Step(82, "the jack goes away", lambda scene: scene.hide(JACK),
         (_tag(Kind.TAG_AWAY, JACK, TAG_TIMEOUT_S + _RESTART_S),)),
    Step(90, "the job is stopped with a savepoint, and resumed", Deed.RESUME),
    Step(98, "the tool leaves its cage, where it belongs", lambda scene: scene.walk(TOOL, [(25.5, 9.0)]), _LEAVES_HOME),
    Step(122, "the jack is back", lambda scene: scene.hide(JACK, hidden=False),
         (_tag(Kind.TAG_BACK, JACK, _RESTART_S),)),
    Step(126, "anchor 7 begins to send; it is not on the map", lambda scene: scene.wake(NEW_ANCHOR)),
    Step(134, "a map with anchor 7 and a slip of the pen is put in place", Deed.BREAK_MAP,
         (_map(Kind.MAP_REFUSED, broken_map()),)),
    Step(150, "the map is mended", Deed.MEND_MAP, (_map(Kind.MAP_CHANGED, good_map(with_new_anchor=True)),)),
    Step(168, "the tool is brought home", lambda scene: scene.walk(TOOL, [(25.5, 13.5)]),
         (_tag(Kind.ZONE_ENTRY, TOOL, 5.0 + _TOLD_S, CAGE),)),
    Step(180, "all anchors fall silent", lambda scene: scene.silence(*_EVERYONE),
         (_site(Kind.SITE_OUTAGE, _DEAD_S),)),
    Step(206, "all anchors are back", lambda scene: scene.wake(*_EVERYONE), (_site(Kind.SITE_BACK),)),
)
# fmt: on


def time_text(step: Step) -> str:
    """Return when a step happens, for a person."""
    return "before" if step.at_s is None else f"{step.at_s:.0f} s"
