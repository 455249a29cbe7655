"""The whole graph on Beam's own engines, each named."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.portability.api import beam_runner_api_pb2 as beam_model
from apache_beam.portability.common_urns import primitives

from pipeline.graph import build
from pipeline.live_site import LiveSite
from pipeline.model import Group, KafkaRecord, Position, Reading, Rejected, Solved
from pipeline.positioning import rounds
from pipeline.positioning.rounds import GroupingMode, GroupingSettings
from pipeline.positioning.solve import solve, solve_known
from pipeline.positioning.track import Track
from pipeline.positioning.track_settings import TrackSettings
from pipeline.positioning.tracker import Tracker
from pipeline.positioning.trilateration import SolverSettings
from pipeline.replay.engine import batch
from pipeline.settings import GraphSettings
from pipeline.site import Anchor, Site, SiteFile
from pipeline.transforms.follow import FollowFn
from pipeline.transforms.group import GroupFn
from pipeline.transforms.metric_names import NAMESPACE, all_names
from pipeline.transforms.track import Memory, TrackFn
from pipeline.transforms.watch_anchors import WatchAnchorsFn
from pipeline.transforms.watch_map import WatchMapFn
from pipeline.transforms.watch_tags import WatchTagsFn
from pipeline.transforms.watch_zones import WatchZonesFn
from pipeline.wire.decode import decode
from tests.beam_engines import BUNDLE_BASED, FN_API, ends, engine, nothing, run_graph, stream
from tests.readings import DEMO, record, us
from tests.test_tag_groups import ListBag, OneTimer

ROOT = Path(__file__).parent.parent
Values = list[dict[str, Any]]
PLACE = (1.2, 1.6)
UNTRACKED = GraphSettings(track=None, strict=True)
"""Each position is the fix of one group: what grouping and solving do is seen as it is."""
TRACKED = GraphSettings(strict=True)
THREE = GraphSettings(grouping=GroupingSettings(mode=GroupingMode.THREE), track=None, strict=True)
HALL = Site(
    "hall",
    {
        anchor.id: anchor
        for anchor in (Anchor("H0", 0.0, 0.0), Anchor("H1", 6.0, 0.0), Anchor("H2", 12.0, 0.0), Anchor("H3", 6.0, 9.0))
    },
)
ALL, ON_ONE_LINE, TWO = ("H0", "H1", "H2", "H3"), ("H0", "H1", "H2"), ("H0", "H3")


class Kept:
    """What came out, for after the run. Checks run inside the engine, which pickles them, but in this process."""

    _kept: dict[int, Values] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self._number = len(self._kept)
        self._kept[self._number] = []

    def keep(self, values: Values) -> None:
        self._kept[self._number] = values

    @property
    def values(self) -> Values:
        return self._kept[self._number]

    def in_order(self) -> Values:
        """Positions by time, and by what was read."""
        return sorted(self.values, key=lambda value: (value["timestamp_generated"], value["records"]))

    def by_fix_id(self) -> dict[str, dict[str, Any]]:
        assert len({value["fix_id"] for value in self.values}) == len(self.values)
        return {value["fix_id"]: value for value in self.values}


def records_of(values: Values) -> Counter[tuple[int, int]]:
    """What positions and rejections name."""
    return Counter(
        (partition, offset)
        for value in values
        for partition, offset in value.get("records", [(value.get("partition"), value.get("offset"))])
    )


def offsets(records: Iterable[KafkaRecord]) -> Counter[tuple[int, int]]:
    return Counter((one.partition, one.offset) for one in records)


def reasons(expected: dict[str, int]) -> Callable[[Values], None]:
    def check(values: Values) -> None:
        assert Counter(value["reason"] for value in values) == expected

    return check


def blink(
    at_s: float,
    *,
    tag: str = "T",
    anchors: Iterable[str] = ("A0", "A1", "A2"),
    place: tuple[float, float] = PLACE,
    first_offset: int = 0,
    site: Site = DEMO,
) -> list[KafkaRecord]:
    """The records of one blink: every anchor's distance to the place, 5 ms apart in Kafka."""
    return [
        record(
            anchor,
            at_s,
            kafka_s=at_s + 0.005 * number,
            tags={tag: math.dist(place, (site.anchors[anchor].x_m, site.anchors[anchor].y_m))},
            offset=first_offset + number,
        )
        for number, anchor in enumerate(anchors)
    ]


def hall_blink(
    at_s: float, anchors: Iterable[str] = ALL, *, delay_s: float = 0.0, first_offset: int = 0
) -> list[KafkaRecord]:
    """A blink in the hall, and how much later it came to Kafka."""
    records = blink(at_s, anchors=anchors, first_offset=first_offset, site=HALL)
    return [one._replace(kafka_time_us=one.kafka_time_us + round(delay_s * 1e6)) for one in records]


def at_place(count: int) -> Callable[[Values], None]:
    def check(values: Values) -> None:
        assert len(values) == count
        for value in values:
            assert math.dist((value["x"], value["y"]), PLACE) < 1e-5

    return check


@pytest.mark.parametrize("name", [FN_API, BUNDLE_BASED])
def test_three_readings_give_one_position(name: str) -> None:
    source = batch(blink(0.0)) if name == FN_API else stream(blink(0.0))
    run_graph(name, source, positions=at_place(1), rejected=nothing, settings=UNTRACKED)


def test_a_timer_closes_the_round_of_a_new_tag() -> None:
    """On the BundleBasedDirectRunner: the position is there before the next blink, and does not hold its readings."""

    def check(values: Values) -> None:
        assert sorted(value["records"] for value in values) == [[[0, 0], [0, 1], [0, 2]], [[0, 3], [0, 4], [0, 5]]]

    source = stream(blink(0.0), 0.3, blink(0.4, first_offset=3), 5.0)
    run_graph(BUNDLE_BASED, source, positions=check, rejected=nothing, settings=UNTRACKED)


def test_records_settle_what_timers_have_not_yet() -> None:
    """The same groups on the FnApiRunner, where all records come before the first timer."""
    records = [one for number in range(20) for one in blink(0.4 * number, first_offset=3 * number)]
    run_graph(FN_API, batch(records), positions=at_place(20), rejected=nothing, settings=UNTRACKED)


def test_many_tags_do_not_mix() -> None:
    tags = [f"T{number}" for number in range(200)]

    def check(values: Values) -> None:
        assert Counter(value["tagid"] for value in values) == dict.fromkeys(tags, 2)
        at_place(400)(values)

    records = [one for at_s in (0.0, 1.0) for tag in tags for one in blink(at_s, tag=tag)]
    run_graph(FN_API, batch(records), positions=check, rejected=nothing, settings=UNTRACKED)


def test_two_anchors_are_too_few() -> None:
    run_graph(
        BUNDLE_BASED,
        stream(blink(0.0, anchors=("A0", "A1")), 1.0, 10.0),
        positions=nothing,
        rejected=reasons({"too_few_anchors": 2}),
        settings=UNTRACKED,
    )


def test_a_late_and_a_redelivered_record() -> None:
    source = stream(blink(20.0), 20.5, [*blink(20.0), record("A0", 9.0, kafka_s=20.6)], 30.0)
    expected = reasons({"duplicate": 3, "late": 1})
    run_graph(BUNDLE_BASED, source, positions=at_place(1), rejected=expected, settings=UNTRACKED)


def test_ranges_that_cannot_meet_name_every_reading() -> None:
    far = [one for anchor in ("A0", "A1") for one in blink(0.0, anchors=[anchor])]
    far.append(record("A2", 0.0, tags={"T": 50.0}))
    expected = reasons({"inconsistent_ranges": 3})
    run_graph(FN_API, batch(far), positions=nothing, rejected=expected, settings=UNTRACKED)


def test_mode_three_groups_without_waiting() -> None:
    records = [one for number in range(5) for one in blink(0.2 * number)]
    run_graph(FN_API, batch(records), positions=at_place(5), rejected=nothing, settings=THREE)


def test_whole_records_that_cannot_be_read_change_nothing_else() -> None:
    bad = [KafkaRecord(0, 90 + number, us(0.001), value) for number, value in enumerate((b"\xff", b""))]
    run_graph(
        FN_API,
        batch([bad[0], *blink(0.0), bad[1]]),
        positions=at_place(1),
        rejected=reasons({"undecodable": 1, "no_tags": 1}),
        settings=UNTRACKED,
    )


def in_bundles(records: list[KafkaRecord], size: int) -> beam.PTransform:
    """Records, a few a bundle, the watermark following them."""
    steps: list[Any] = []
    for first in range(0, len(records), size):
        bundle = records[first : first + size]
        steps += [bundle, bundle[-1].kafka_time_us / 1e6 - us(0) / 1e6]
    # When the watermark leaps, this engine fires the timers of a stage before it has what those before it gave.
    return stream(*steps, steps[-1] + 5.0)


@pytest.mark.parametrize("settings", [UNTRACKED, TRACKED], ids=["untracked", "tracked"])
def test_the_same_records_in_other_bundles_give_the_same_positions(settings: GraphSettings) -> None:
    records = [one for number in range(30) for one in blink(0.4 * number, first_offset=3 * number)]
    every, seven = Kept(), Kept()
    run_graph(FN_API, batch(records), positions=every.keep, rejected=nothing, settings=settings)
    run_graph(BUNDLE_BASED, in_bundles(records, 7), positions=seven.keep, rejected=nothing, settings=settings)
    assert every.by_fix_id() == seven.by_fix_id()
    assert len(every.values) == 30


def fail(self: rounds.Rounds, reading: Reading, settings: GroupingSettings) -> list[rounds.Outcome]:
    """Group, but stumble half-way over tag BAD."""
    outcomes = _add(self, reading, settings)
    if reading.tag == "BAD":
        raise ZeroDivisionError("stumbled")
    return outcomes


_add = rounds.Rounds.add
_advance = rounds.Rounds.advance


def test_an_unexpected_error_costs_the_reading_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds.Rounds, "add", fail)
    records = [*blink(0.0), *blink(0.0, tag="BAD")]
    lenient = GraphSettings(track=None, strict=False)
    run_graph(FN_API, batch(records), positions=at_place(1), rejected=reasons({"internal_error": 3}), settings=lenient)
    with pytest.raises(Exception, match="stumbled"):
        run_graph(FN_API, batch(records), positions=at_place(1), rejected=nothing)


def test_an_unexpected_error_in_a_timer_costs_the_round_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(self: rounds.Rounds, now_us: int, settings: GroupingSettings) -> list[rounds.Outcome]:
        if any(reading.tag == "BAD" for reading in self.open.values()) and now_us >= us(0.25):
            raise ZeroDivisionError("stumbled")
        return _advance(self, now_us, settings)

    monkeypatch.setattr(rounds.Rounds, "advance", stumble)
    run_graph(
        BUNDLE_BASED,
        stream([*blink(0.0), *blink(0.0, tag="BAD")], 1.0, blink(2.0), 10.0),
        positions=at_place(2),
        rejected=reasons({"internal_error": 3}),
        settings=GraphSettings(track=None, strict=False),
    )


@pytest.mark.parametrize(
    ("settings", "of_the_last_stages"),
    [
        (UNTRACKED, {"untracked.in": 2, "untracked.out": 1, "untracked.rejected.too_few_anchors": 1}),
        (TRACKED, {"track.in": 2, "track.out": 1, "track.rejected.too_few_anchors": 1}),
    ],
    ids=["untracked", "tracked"],
)
def test_counters_tell_what_happened(settings: GraphSettings, of_the_last_stages: dict[str, int]) -> None:
    bad = KafkaRecord(0, 9, us(0.001), b"\xff")
    result = run_graph(
        FN_API,
        batch([bad, *blink(0.0), *blink(0.0), record("A0", None, tags={"U": 1.0}, kafka_s=0.0)]),
        positions=at_place(1),
        rejected=reasons({"undecodable": 1, "duplicate": 3, "too_few_anchors": 1}),
        settings=settings,
    )
    counters = {
        metric.key.metric.name: metric.committed
        for metric in result.metrics().query()["counters"]
        if metric.key.metric.namespace == NAMESPACE
    }
    assert counters.keys() <= set(all_names())
    measured = re.compile(r".*\.(solve_us|latency_ms)\..*")
    assert {name: count for name, count in counters.items() if count and not measured.fullmatch(name)} == {
        "decode.in": 8,
        "decode.out": 7,
        "decode.time_replaced": 1,
        "decode.rejected.undecodable": 1,
        "group.in": 7,
        "group.out": 2,
        "group.rejected.duplicate": 3,
        **{f"group.group_size.le_{bound}": 1 for bound in (1, 2)},
        **{f"group.group_size.le_{bound}": 2 for bound in (3, 4, 6, 10, "inf")},
        "group.group_size.sum": 4,
        "trilaterate.in": 2,
        "trilaterate.out": 1,
        "trilaterate.no_fix.too_few_anchors": 1,
        **of_the_last_stages,
        "encode.in": 1,
        "encode.out": 1,
        "encode_rejections.in": 5,
        "encode_rejections.out": 5,
    }
    assert counters["trilaterate.solve_us.le_inf"] == 2
    assert counters["encode.latency_ms.le_inf"] == 1


def on_site_file(path: Path, change: Callable[[Path], object]) -> None:
    """Run the graph on a map that is changed between submission and start."""
    pipeline = engine(FN_API)
    build(pipeline, ends(batch(blink(0.0)), at_place(1), nothing), LiveSite(SiteFile(str(path))), GraphSettings())
    change(path)
    pipeline.run().wait_until_finish()


def test_workers_read_the_site_map_when_they_start(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    on_site_file(path, lambda there: there.write_bytes((ROOT / "anchors" / "demo.yaml").read_bytes()))


def test_a_worker_that_cannot_use_the_site_map_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    with pytest.raises(Exception, match=f"{path}:1: `site` is missing"):
        on_site_file(path, lambda there: there.write_text("anchors: []\n"))
    path.unlink()
    with pytest.raises(Exception, match=f"{path}:1: the file cannot be read"):
        on_site_file(path, lambda _: None)


def test_a_still_tag_is_where_its_ranges_put_it() -> None:
    kept = Kept()
    records = [one for number in range(60) for one in blink(0.5 * number, first_offset=3 * number)]
    run_graph(FN_API, batch(records), positions=kept.keep, rejected=nothing)
    positions = kept.in_order()
    assert len(positions) == 60
    for value in positions:
        assert math.dist((value["x"], value["y"]), PLACE) < 0.02
        assert value["speed"] < 0.05
        assert value["course"] is None
        assert value["anchors"] == ["A0", "A1", "A2"]
    assert [value["nis_dof"] for value in positions] == [0] + [3] * 59
    assert positions[-1]["accuracy"] < positions[0]["accuracy"]


@pytest.mark.parametrize(("anchors", "dof"), [(ON_ONE_LINE, 3), (TWO, 1)], ids=["on one line", "two"])
@pytest.mark.parametrize("name", [FN_API, BUNDLE_BASED])
def test_a_group_without_a_fix_is_answered_by_the_track(name: str, anchors: tuple[str, ...], dof: int) -> None:
    """A tag that stands still, for a while heard by too few anchors, then by all again."""
    kept = Kept()
    blinks = [
        hall_blink(float(second), anchors if 10 <= second < 20 else ALL, first_offset=4 * second)
        for second in range(30)
    ]
    records = [one for few in blinks for one in few]
    source = batch(records) if name == FN_API else in_bundles(records, 5)
    run_graph(name, source, positions=kept.keep, rejected=nothing, site=HALL)
    assert records_of(kept.values) == offsets(records)
    for value in kept.values:
        assert math.dist((value["x"], value["y"]), PLACE) < 0.02
    few_heard = offsets(one for few in blinks[10:20] for one in few)
    answers = [value for value in kept.values if records_of([value]) <= few_heard]
    assert records_of(answers) == few_heard
    assert {value["nis_dof"] for value in answers} == {dof}
    assert {value["gdop"] for value in answers} == {None}


@pytest.mark.parametrize(
    ("anchors", "reason"), [(ON_ONE_LINE, "degenerate_geometry"), (TWO, "too_few_anchors")], ids=["on one line", "two"]
)
def test_before_any_fix_a_group_without_one_is_rejected_as_the_solver_says(
    anchors: tuple[str, ...], reason: str
) -> None:
    kept, refused = Kept(), Kept()
    few = [one for number in range(5) for one in hall_blink(float(number), anchors, first_offset=4 * number)]
    every = [one for number in range(10, 15) for one in hall_blink(float(number), first_offset=4 * number)]
    run_graph(FN_API, batch([*few, *every]), positions=kept.keep, rejected=refused.keep, site=HALL)
    before = [value for value in refused.values if records_of([value]) <= offsets(few)]
    assert records_of(before) == offsets(few)
    assert {(value["reason"], value["stage"]) for value in before} == {(reason, "trilaterate")}
    assert records_of(kept.values) + records_of(refused.values) == offsets([*few, *every])
    assert len(kept.values) >= 2  # the anchors that it had not been heard by are not waited for at first


def wild(seed: int) -> list[KafkaRecord]:
    """Three tags that walk; ranges with noise, some far too long, lost, redelivered, late; for a while few anchors."""
    dice = random.Random(seed)
    records: list[KafkaRecord] = []
    for number in range(60):
        at_s = 0.7 * number
        for tag in ("T0", "T1", "T2"):
            place = (3.0 + 0.1 * number, 2.0 + int(tag[1]))
            heard = [anchor for anchor in (TWO if 20 <= number < 30 else ALL) if dice.random() < 0.9]
            for anchor in heard:
                distance_m = math.dist(place, (HALL.anchors[anchor].x_m, HALL.anchors[anchor].y_m))
                wrong_m = dice.gauss(0.0, 0.05) + (dice.random() < 0.03) * 4.0
                ago_s = dice.choices((0.0, 1.0, 5.0, 12.0), (94, 2, 2, 2))[0]
                records.append(
                    record(
                        anchor,
                        at_s - ago_s,
                        kafka_s=round(at_s + 0.2 * dice.random(), 3),
                        tags={tag: abs(distance_m + wrong_m)},
                    )
                )
                if dice.random() < 0.03:
                    records.append(records[-1]._replace(kafka_time_us=us(round(at_s + 0.3, 3))))
    records.sort(key=lambda one: one.kafka_time_us)
    return [one._replace(offset=offset) for offset, one in enumerate(records)]


@pytest.mark.parametrize("settings", [UNTRACKED, TRACKED], ids=["untracked", "tracked"])
def test_every_reading_is_in_one_position_or_one_rejection_and_the_same_on_both_engines(
    settings: GraphSettings,
) -> None:
    records = wild(7)
    found = []
    for name, source in ((FN_API, batch(records)), (BUNDLE_BASED, in_bundles(records, 11))):
        kept, refused = Kept(), Kept()
        run_graph(name, source, positions=kept.keep, rejected=refused.keep, settings=settings, site=HALL)
        assert records_of(kept.values) + records_of(refused.values) == offsets(records)
        found.append((kept.by_fix_id(), sorted(refused.values, key=lambda value: int(value["offset"]))))
    assert found[0] == found[1]
    positions, rejections = found[0]
    assert len(positions) > 100
    assert {"duplicate", "late"} <= {value["reason"] for value in rejections}


@pytest.mark.parametrize(("silent_s", "is_known"), [(50.0, True), (70.0, False)])
@pytest.mark.parametrize("name", [FN_API, BUNDLE_BASED])
def test_a_silent_tag_is_forgotten_by_record_as_by_timer(name: str, silent_s: float, *, is_known: bool) -> None:
    """Two anchors are enough for a tag whose track is known, and for no other."""
    kept, refused = Kept(), Kept()
    known = [one for second in range(20) for one in hall_blink(float(second), first_offset=4 * second)]
    back_s = 19.0 + silent_s
    two, every = hall_blink(back_s, TWO, first_offset=80), hall_blink(back_s + 1.0, first_offset=82)
    steps = stream(known, 20.0, back_s - 0.5, two, every, back_s + 5.0)
    source = batch([*known, *two, *every]) if name == FN_API else steps
    run_graph(name, source, positions=kept.keep, rejected=refused.keep, site=HALL)
    assert records_of(kept.values) == offsets([*known, *every, *(two if is_known else [])])
    assert records_of(refused.values) == offsets([] if is_known else two)


def test_a_timer_forgets_no_tag_that_a_record_would_not() -> None:
    """A group is told a round's wait after its readings came, and what was known of its tag then counts."""
    first, second, last = (hall_blink(at_s, first_offset=round(at_s)) for at_s in (0.0, 59.9, 70.0))
    by_record, by_timer = Kept(), Kept()
    run_graph(FN_API, batch([*first, *second, *last]), positions=by_record.keep, rejected=nothing, site=HALL)
    steps = stream(first, 1.0, 59.8, second, 60.1, 61.0, last, 71.0)
    run_graph(BUNDLE_BASED, steps, positions=by_timer.keep, rejected=nothing, site=HALL)
    assert [value["nis_dof"] for value in by_record.in_order()][:2] == [0, 4]
    assert by_timer.in_order()[:2] == by_record.in_order()[:2]


def test_the_last_group_of_a_bounded_run_finds_its_tags_track() -> None:
    """On the FnApiRunner a timer gives it, at the end of time, when that of the track is due too."""
    kept = Kept()
    records = [*hall_blink(0.0), *hall_blink(1.0, first_offset=4)]
    run_graph(FN_API, batch(records), positions=kept.keep, rejected=nothing, site=HALL)
    assert [value["nis_dof"] for value in kept.in_order()] == [0, 4]


def test_redelivered_records_do_not_move_a_track() -> None:
    once, again = Kept(), Kept()
    blinks = [hall_blink(0.5 * number, first_offset=4 * number) for number in range(20)]
    run_graph(FN_API, batch(one for few in blinks for one in few), positions=once.keep, rejected=nothing, site=HALL)
    twice = [one for first in range(0, 20, 5) for _ in range(2) for few in blinks[first : first + 5] for one in few]
    duplicates = reasons({"duplicate": 80})
    run_graph(FN_API, batch(twice), positions=again.keep, rejected=duplicates, site=HALL)
    assert again.by_fix_id() == once.by_fix_id()
    assert len(once.values) == 20


@pytest.mark.parametrize(("ago_s", "is_late"), [(1.4, False), (5.7, True)])
def test_a_group_measured_before_the_tracks_time(ago_s: float, *, is_late: bool) -> None:
    """One a little older is of use and does not set the track back; one much older says too little, and is rejected."""
    kept, refused = Kept(), Kept()
    timely = [one for number in range(11) for one in hall_blink(0.3 + number, first_offset=4 * number)]
    older = hall_blink(10.3 - ago_s, delay_s=0.5 + ago_s, first_offset=44)
    next_one = hall_blink(11.3, first_offset=48)
    run_graph(FN_API, batch([*timely, *older, *next_one]), positions=kept.keep, rejected=refused.keep, site=HALL)
    positions = kept.in_order()
    assert records_of(refused.values) == offsets(older if is_late else [])
    assert all((value["reason"], value["stage"]) == ("late", "track") for value in refused.values)
    assert records_of(positions) == offsets([*timely, *next_one, *([] if is_late else older)])
    newest = [value["timestamp_generated"] for value in positions][10:-1]
    assert newest == ["2024-04-16T20:40:10.300Z"] * len(newest)
    for value in positions:
        assert math.dist((value["x"], value["y"]), PLACE) < 0.02


NEWER = Site("hall", {**HALL.anchors, "NEW": Anchor("NEW", 3.0, 4.0)}, version="newer")


def tracked_by(site: Site, groups: Sequence[Solved]) -> tuple[list[Position], list[Rejected]]:
    """Return positions and rejections of the tracking stage, on a site map of its own."""
    tracking = TrackFn(lambda: site, TrackSettings(), Memory(60_000_000, 0, is_cleared=False), strict=False)
    tracking.setup()
    tracking.start_bundle()
    outcomes = tracking.take(groups, ListBag(), OneTimer())
    positions = [outcome for outcome in outcomes if isinstance(outcome, Position)]
    return positions, [outcome for outcome in outcomes if isinstance(outcome, Rejected)]


def solved_with_one_of_a_newer_map() -> list[Solved]:
    blinks = [blink(float(at_s), anchors=ALL, site=HALL) for at_s in range(5)]
    blinks.insert(3, blink(2.5, anchors=("NEW", *ALL), site=NEWER))
    readings = [[reading for one in few for reading in decode(one, NEWER).readings] for few in blinks]
    return [solve(Group("T", group), NEWER, SolverSettings()) for group in readings]


def test_an_anchor_that_is_not_on_the_trackers_map_yet_costs_its_reading_and_no_more() -> None:
    positions, refused = tracked_by(HALL, solved_with_one_of_a_newer_map())
    assert [(one.reason, one.anchor) for one in refused] == [("unknown_anchor", "NEW")]
    assert len(positions) == 6
    for position in positions:
        assert "NEW" not in {reading.anchor for reading in position.readings}
        assert math.dist((position.x_m, position.y_m), PLACE) < 0.05


def test_an_anchor_that_is_not_on_the_solvers_map_yet_costs_its_reading_and_no_more() -> None:
    group = Group(
        "T", [one for each in blink(0.0, anchors=("NEW", *ALL), site=NEWER) for one in decode(each, NEWER).readings]
    )
    solved, gone = solve_known(group, HALL, SolverSettings())
    assert solved.fix is not None
    assert solved.fix.map_version == HALL.version
    assert {reading.anchor for reading in solved.readings} == set(ALL)
    assert (gone.reason, gone.fix, [reading.anchor for reading in gone.readings]) == ("unknown_anchor", None, ["NEW"])
    (all_gone,) = solve_known(group, Site("elsewhere", {}), SolverSettings())
    assert (all_gone.reason, len(all_gone.readings)) == ("unknown_anchor", len(ALL) + 1)


def test_an_unexpected_error_in_the_tracker_costs_the_group_and_leaves_the_track(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    solved = solved_with_one_of_a_newer_map()
    calm, _ = tracked_by(NEWER, [*solved[:3], *solved[4:]])
    take_all = Tracker.take_all

    def stumble(tracker: Tracker, tracks: Mapping[str, Track | None], groups: Mapping[str, Sequence[Solved]]) -> object:
        found = take_all(tracker, tracks, groups)
        if any(one.anchor == "NEW" for of_tag in groups.values() for each in of_tag for one in each.readings):
            raise ZeroDivisionError("stumbled")
        return found

    monkeypatch.setattr(Tracker, "take_all", stumble)
    stumbling, refused = tracked_by(NEWER, solved)
    assert Counter((one.reason, one.stage) for one in refused) == {("internal_error", "track"): 5}
    assert stumbling == calm
    assert len(calm) == 5


@pytest.mark.parametrize("settings", [UNTRACKED, TRACKED], ids=["untracked", "tracked"])
def test_labels_and_coders_are_an_interface(settings: GraphSettings) -> None:
    """A renamed step loses its state in a savepoint; a pickled element loses it with the next version of Python."""
    pipeline = engine(FN_API)
    live = LiveSite(SiteFile(str(ROOT / "anchors" / "demo.yaml")))
    build(pipeline, ends(batch(blink(0.0)), nothing, nothing), live, settings)
    coders: dict[str, str] = {}

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, transform_node: beam.pipeline.AppliedPTransform) -> None:
            stage = transform_node.full_label.split("/")[0]
            for tag, output in transform_node.outputs.items():
                if stage not in {"Readings", "Heartbeats"} and not stage.startswith("Write"):
                    coder = beam.coders.registry.get_coder(output.element_type)
                    coders[f"{transform_node.full_label} {tag or ''}".strip()] = str(coder)

    pipeline.visit(Visitor())
    rows = "IterableCoder[RowCoder]"
    apart = {
        "Group/Group/ParDo(GroupFn)": rows,
        "Group/Group/ParDo(GroupFn) rejected": "RowCoder",
        "Trilaterate/Trilaterate": rows,
    }
    grouping = {} if settings.track else apart
    placing = "Follow/Follow/ParDo(FollowFn)" if settings.track else "Untracked/Untracked/ParDo(UntrackedFn)"
    assert [spec.name for spec in (FollowFn.ROUNDS, FollowFn.DUE, FollowFn.TRACKS, FollowFn.FORGET)] == [
        *("rounds", "ts-due", "tracks", "ts-forget")
    ]
    assert (GroupFn.ROUNDS.name, GroupFn.DUE.name) == ("rounds", "ts-due")  # Beam puts "ts-" before a timer's name
    assert (TrackFn.TRACKS.name, TrackFn.FORGET.name) == ("tracks", "ts-forget")
    assert (WatchAnchorsFn.ANCHORS.name, WatchAnchorsFn.WATCH.name) == ("anchors", "ts-watch")
    assert [spec.name for spec in (WatchTagsFn.TAGS, WatchTagsFn.ANCHORS, WatchTagsFn.AWAY)] == [
        *("tags", "anchors", "ts-away")
    ]
    assert (WatchZonesFn.STAYS.name, WatchZonesFn.ZONES.name) == ("stays", "ts-zones")
    assert WatchMapFn.TOLD.name == "told"
    sightings, batches = "TupleCoder[StrUtf8Coder, BytesCoder]", "TupleCoder[VarIntCoder, BytesCoder]"
    assert coders == {
        "Decode/Decode/ParDo(DecodeFn)": "TupleCoder[VarIntCoder, BytesCoder]",
        "Decode/Decode/ParDo(DecodeFn) rejected": "RowCoder",
        "Decode/Decode/ParDo(DecodeFn) sightings": sightings,
        "Decode/Decode/ParDo(DecodeFn) watched": batches,
        "DecodeHeartbeats/Decode/ParDo(DecodeHeartbeatsFn)": sightings,
        "DecodeHeartbeats/Decode/ParDo(DecodeHeartbeatsFn) rejected": "RowCoder",
        "Sightings": sightings,
        "Decode/Decode/ParDo(DecodeFn) map_reports": sightings,
        "DecodeHeartbeats/Decode/ParDo(DecodeHeartbeatsFn) map_reports": sightings,
        "MapReports": sightings,
        "WatchMap/Watch": "RowCoder",
        "WatchAnchors/Watch": "RowCoder",
        "WatchTags/Anchors": batches,
        "WatchTags/Both": batches,
        "WatchTags/Watch": "RowCoder",
        "WatchZones/Gather": batches,
        "WatchZones/Watch": "RowCoder",
        "AllEvents": "RowCoder",
        "Events/Encode": "BytesCoder",
        "Deaths/Encode": "BytesCoder",
        **grouping,
        placing: rows,
        f"{placing} rejected": "RowCoder",
        "Positions/Encode/ParDo(EncodeFn)": "BytesCoder",
        "Positions/Encode/ParDo(EncodeFn) rejected": "RowCoder",
        "AllRejected": "RowCoder",
        "Rejected/Encode": "BytesCoder",
        "RejectedHeartbeats/Encode": "BytesCoder",
        "RejectedOfAll": "BytesCoder",
    }


def keeps_state(step: beam_model.PTransform) -> bool:
    if step.spec.urn != primitives.PAR_DO.urn:
        return False
    payload = beam_model.ParDoPayload.FromString(step.spec.payload)
    return bool(payload.state_specs or payload.timer_family_specs)


@pytest.mark.parametrize("settings", [UNTRACKED, TRACKED], ids=["untracked", "tracked"])
def test_what_flows_into_a_stage_with_state_flows_into_nothing_else(settings: GraphSettings) -> None:
    """Of two stages with one input Flink may take one for the other in a savepoint, and state is lost in silence."""
    pipeline = engine(FN_API)
    live = LiveSite(SiteFile(str(ROOT / "anchors" / "demo.yaml")))
    build(pipeline, ends(batch(blink(0.0)), nothing, nothing), live, settings)
    steps = [step for step in pipeline.to_runner_api().components.transforms.values() if not step.subtransforms]
    takers: dict[str, set[str]] = defaultdict(set)
    for step in steps:
        for collection in step.inputs.values():
            takers[collection].add(step.unique_name)
    found = {
        step.unique_name: takers[collection]
        for step in steps
        if keeps_state(step)
        for collection in step.inputs.values()
    }
    assert found == {name: {name} for name in found}
    assert len(found) == 5
