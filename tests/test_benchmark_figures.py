"""Rates, latencies, correctness, ratios and thresholds: what is made of what was measured."""

from __future__ import annotations

import dataclasses
import json

import pytest

from benchmarks.backlog import Backlog
from benchmarks.document import document
from benchmarks.feed import FeedError
from benchmarks.figures import Correctness, compare, due, latencies_ms, latency, percentile, readings_per_s
from benchmarks.live import Live, require_rate
from benchmarks.outage import Outage, caught_up
from benchmarks.plan import BARE_LOOP, BASE, LEAN, ORIGINAL, QUIX, SHORT
from benchmarks.report import report, verdicts
from benchmarks.results import Repeat, Swept, ratio, wrong
from benchmarks.spread import Spread
from benchmarks.state import State
from benchmarks.thresholds import THRESHOLDS, judge
from benchmarks.topics import Position
from benchmarks.workload import Workload

WORKLOAD = Workload(tags=3, blinks=4)
RIGHT = Correctness(positions=12, expected=12, beyond=0, disordered=0, missing=0, worst_m=0.0)


def positions(workload: Workload = WORKLOAD) -> list[Position]:
    return [
        Position(workload.tag(tag), x_m, y_m, 1000 * blink + tag)
        for blink in range(workload.blinks)
        for tag, (x_m, y_m) in enumerate(workload.places(blink).tolist())
    ]


def taken(system: str, readings_per_s: float, correct: Correctness = RIGHT) -> Backlog:
    return Backlog(system, readings_per_s, readings_per_s / 2, 5.0, 500.0, correct)


def repeat(of_loop: float = 100_000.0) -> Repeat:
    return Repeat(
        backlog=[
            taken(BASE.name, 40_000.0),
            taken(LEAN.name, 60_000.0),
            taken(BARE_LOOP.name, of_loop),
            taken(QUIX.name, 30_000.0),
            taken(ORIGINAL.name, 1_000.0),
        ],
        live=[Live(BASE.name, 1000, latency([10, 20, 30]), 12.0, 600.0, RIGHT)],
        swept=[Swept("tags", 100_000, taken(BASE.name, 30_000.0))],
        state=[State(BASE.name, 1000, 8, 1500.0)],
    )


def test_the_truth_is_right() -> None:
    assert compare(positions(), WORKLOAD, 0.001, WORKLOAD.fixes) == RIGHT
    assert RIGHT.holds


def test_a_position_that_is_off_is_found() -> None:
    given = positions()
    given[5] = given[5]._replace(x_m=given[5].x_m + 0.002)
    found = compare(given, WORKLOAD, 0.001, WORKLOAD.fixes)
    assert (found.beyond, found.missing) == (1, 0)
    assert found.worst_m == pytest.approx(0.002)
    assert compare(given, WORKLOAD, 0.01, WORKLOAD.fixes).holds


def test_what_is_no_number_is_off() -> None:
    given = positions()
    given[0] = given[0]._replace(y_m=float("nan"))
    assert compare(given, WORKLOAD, 0.001, WORKLOAD.fixes).beyond == 1


def test_a_tag_out_of_order_is_found() -> None:
    given = positions()
    given[0], given[3] = given[3], given[0]
    assert compare(given, WORKLOAD, 0.001, WORKLOAD.fixes).beyond == 2


def named(partitions: int = 1) -> list[Position]:
    """The same positions, each naming the last of its records."""
    offsets = [-1] * partitions
    given = []
    for fix, position in enumerate(positions()):
        partition = fix % WORKLOAD.tags % partitions
        offsets[partition] += WORKLOAD.anchors
        given.append(position._replace(newest=(partition, offsets[partition])))
    return given


@pytest.mark.parametrize("partitions", [1, 2])
def test_a_position_that_names_its_records_is_known_by_them(partitions: int) -> None:
    given = named(partitions)
    assert compare(given, WORKLOAD, 0.001, WORKLOAD.fixes, partitions).holds
    found = compare([*given[:2], *given[3:]], WORKLOAD, 0.001, WORKLOAD.fixes, partitions)
    assert (found.beyond, found.disordered, found.missing) == (0, 0, 1)
    found = compare([*given[3:], *given[:3], given[0]], WORKLOAD, 0.001, WORKLOAD.fixes, partitions)
    assert (found.beyond, found.disordered, found.missing) == (0, 4, 0)


def test_the_order_between_tags_is_free() -> None:
    given = sorted(positions(), key=lambda position: position.tag)
    assert compare(given, WORKLOAD, 0.001, WORKLOAD.fixes).holds


def test_a_position_twice_and_a_stranger_are_found() -> None:
    given = [*positions(), positions()[-1], Position("0003FF0000090000", 0.0, 0.0, 0)]
    assert compare(given, WORKLOAD, 0.001, WORKLOAD.fixes).beyond == 2


def test_a_tags_last_positions_may_be_missing_where_a_run_was_cut_short() -> None:
    assert compare(positions()[:7], WORKLOAD, 0.001, 0).holds
    assert compare(positions()[:7], WORKLOAD, 0.001, WORKLOAD.fixes).missing == 5
    assert not compare([], WORKLOAD, 0.001, 0).holds


def test_positions_are_missing_unless_they_still_came_when_a_run_was_cut_short() -> None:
    given = positions()[:7]
    last_ms = given[-1].appended_ms
    assert due(given, WORKLOAD.fixes, last_ms + 1000) == 0
    assert due(given, WORKLOAD.fixes, last_ms + 10_000) == WORKLOAD.fixes
    assert due(positions(), WORKLOAD.fixes, 0) == WORKLOAD.fixes
    assert due([], WORKLOAD.fixes, 0) == WORKLOAD.fixes


def test_a_feed_that_is_too_slow_makes_no_latency() -> None:
    arrived_ms = list(range(0, 10_000, 10))  # 100 readings/s
    require_rate(arrived_ms, 100, 2000, 8000)
    with pytest.raises(FeedError, match="readings came at 100 a second instead of 110"):
        require_rate(arrived_ms, 110, 2000, 8000)


def test_a_rate_is_taken_between_two_marks() -> None:
    steady = list(range(0, 10_000, 10))  # 100 positions/s
    assert readings_per_s(steady, 3) == pytest.approx(300.0)
    slow_ends = [0] * 50 + list(range(10_000, 18_500, 10)) + [90_000] * 45
    assert readings_per_s(slow_ends, 3) == pytest.approx(300.0)


def test_the_positions_of_new_tags_are_no_part_of_a_rate() -> None:
    slow_at_first = list(range(0, 40_000, 100)) + list(range(40_000, 46_000, 10))
    assert readings_per_s(slow_at_first, 3, of_new_tags=400) == pytest.approx(300.0)
    with pytest.raises(ValueError, match="too few"):
        readings_per_s(slow_at_first, 3, of_new_tags=960)


@pytest.mark.parametrize("appended_ms", [[], [5], [7] * 1000])
def test_no_rate_is_made_up(appended_ms: list[int]) -> None:
    with pytest.raises(ValueError, match="rate"):
        readings_per_s(appended_ms, 3)


def test_a_latency_counts_from_the_last_reading_of_the_blink() -> None:
    appended_ms = [100 * record for record in range(WORKLOAD.readings)]
    newest = [100 * (3 * fix + 2) for fix in range(WORKLOAD.fixes)]
    given = [position._replace(appended_ms=at_ms + 7) for position, at_ms in zip(positions(), newest, strict=True)]
    assert latencies_ms(given, appended_ms, WORKLOAD, 0, 10_000) == [7] * WORKLOAD.fixes
    by_name = [position._replace(newest=one.newest) for position, one in zip(given, named(), strict=True)]
    assert latencies_ms(by_name[5:], appended_ms, WORKLOAD, 0, 10_000) == [7] * (WORKLOAD.fixes - 5)
    assert latencies_ms(given[:8], appended_ms, WORKLOAD, 300, 2000) == [7] * 5  # the fixes that end at 500 … 1700


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [float(value) for value in range(1, 1001)]
    assert [percentile(values, share) for share in (50.0, 99.0, 99.9, 100.0)] == [500.0, 990.0, 999.0, 1000.0]
    assert percentile([4.0], 99.9) == 4.0
    assert latency([3, 1, 2]) == (2, 3, None, 3, 3)
    assert latency(range(1, 2001)) == (1000, 1980, 1998, 2000, 2000)
    with pytest.raises(ValueError, match="no latency"):
        latency([])


def taken_from_kafka(arrived_ms: list[int], anchors: int, late_ms: int = 50) -> list[Position]:
    """The position of each fix, so long after its last reading."""
    lasts = range(anchors - 1, len(arrived_ms), anchors)
    return [Position("T", 0.0, 0.0, arrived_ms[last] + late_ms, (0, last)) for last in lasts]


def test_an_outage_is_over_when_no_position_is_late() -> None:
    arrived_ms = list(range(0, 99_900, 100))
    in_time = taken_from_kafka(arrived_ms, 3)
    late = [one._replace(appended_ms=65_000 + fix) for fix, one in enumerate(in_time[:200])]
    given = [*late, *in_time[200:]]
    assert caught_up(in_time, arrived_ms, 3, 60_000) == 0.0
    assert caught_up(given, arrived_ms, 3, 60_000) == pytest.approx(5.199)
    assert caught_up([*given, *late], arrived_ms, 3, 60_000) == pytest.approx(5.199)  # sent again
    assert caught_up(given[:-3], arrived_ms, 3, 60_000) == pytest.approx(5.199)  # those on their way when it ended
    assert caught_up(taken_from_kafka(arrived_ms, 3, 2500), arrived_ms, 3, 60_000) is None


@pytest.mark.parametrize("lost", [0, 150, 250])
def test_an_outage_in_which_a_position_was_lost_is_never_over(lost: int) -> None:
    arrived_ms = list(range(0, 99_900, 100))
    given = taken_from_kafka(arrived_ms, 3)
    assert caught_up([*given[:lost], *given[lost + 1 :]], arrived_ms, 3, 60_000) is None
    assert caught_up([], arrived_ms, 3, 60_000) is None


def test_a_ratio_is_taken_within_a_repeat() -> None:
    repeats = [repeat(100_000.0), repeat(200_000.0), Repeat()]
    found = ratio(repeats, lambda one: one.rate(BASE.name), lambda one: one.rate(BARE_LOOP.name))
    assert found is not None
    assert found == pytest.approx(Spread(0.3, 0.2, 0.4))
    assert ratio([Repeat()], lambda one: one.rate(BASE.name), lambda one: one.rate(BASE.name)) is None


def test_thresholds_hold_or_fail_by_the_median() -> None:
    assert all(verdict.holds for verdict in judge([repeat()]))
    failed = [verdict.name for verdict in judge([repeat(of_loop=135_000.0)]) if not verdict.holds]
    assert failed == [THRESHOLDS[0].name, THRESHOLDS[1].name]


@pytest.mark.parametrize(
    ("late_ms", "failed"),
    [([150, 400], []), ([151, 400], ["p50"]), ([150, 401], ["p99"]), ([500, 500], ["p50", "p99"])],
)
def test_latency_is_held_to_absolute_bounds(late_ms: list[int], failed: list[str]) -> None:
    live = Live(BASE.name, 1000, latency(late_ms), 12.0, 600.0, RIGHT)
    repeats = [dataclasses.replace(repeat(), live=[live])]
    names = [verdict.name for verdict in judge(repeats) if not verdict.holds]
    assert names == [f"latency at 1,000 readings/s, {one}, ms" for one in failed]


def test_no_latency_in_a_repeat_does_not_hold() -> None:
    behind = dataclasses.replace(repeat(), live=[Live(BASE.name, 1000, None, 12.0, 600.0, RIGHT)])
    assert sum(not verdict.holds for verdict in judge([repeat(), behind])) == 2
    assert "kept up 1 of 2 times" in report([repeat(), behind])


def test_state_is_held_to_a_bound() -> None:
    much = repeat()
    much.state = [State(BASE.name, 1000, 8, 2100.0)]
    assert [verdict.name for verdict in judge([much]) if not verdict.holds] == [THRESHOLDS[-1].name]


def test_what_was_not_measured_does_not_hold() -> None:
    assert not any(verdict.holds for verdict in judge([Repeat()]))
    assert "FAILS" in verdicts([Repeat()])


def test_wrong_positions_and_failures_are_told() -> None:
    bad = Repeat(backlog=[taken("quix", 1.0, RIGHT._replace(beyond=3))], failed=["backlog: bytewax: died"])
    lines = wrong([repeat(), bad])
    assert len(lines) == 2
    assert lines[0].startswith("repeat 2: backlog: quix: ")
    assert lines[1] == "repeat 2: backlog: bytewax: died"
    assert "died" in report([bad])
    lost = Repeat(outage=[Outage(BASE.name, 1000, 60.0, None), Outage(BASE.name, 1000, 60.0, 30.0)])
    assert wrong([lost]) == [f"repeat 1: outage: {BASE.name}: late to the end, or positions never came"]


def test_the_report_tells_what_there_is() -> None:
    told = report([repeat(), repeat(200_000.0)])
    assert [line.split()[0] for line in told.split("\n\n")] == ["backlog", "live", "Flink,", "state"]
    assert "40,000" in told
    assert report([]) == ""


def test_every_figure_is_in_the_document() -> None:
    told = json.loads(document(SHORT, [repeat()], "2026-01-01T00:00:00+00:00"))
    assert told["repeats"][0]["backlog"][0]["readings_per_s"] == 40_000.0
    assert told["repeats"][0]["live"][0]["latency"]["p50"] == 20
    assert told["plan"]["backlog"][0] == BASE.name
    assert all(verdict["holds"] for verdict in told["thresholds"])
