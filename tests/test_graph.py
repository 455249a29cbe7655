"""The whole graph on Beam's own engines, each named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from pipeline.graph import Ends, build
from pipeline.model import KafkaRecord, Reading
from pipeline.positioning import rounds
from pipeline.positioning.rounds import GroupingMode, GroupingSettings
from pipeline.settings import GraphSettings
from pipeline.site import SiteFile
from pipeline.transforms.group import GroupFn
from runners.faults.reference import batch
from tests.beam_engines import BUNDLE_BASED, FN_API, Check, engine, run_graph, stream
from tests.readings import DEMO, record, us

ROOT = Path(__file__).parent.parent
Values = list[dict[str, Any]]
PLACE = (1.2, 1.6)
THREE = GraphSettings(grouping=GroupingSettings(mode=GroupingMode.THREE), strict=True)


def nothing(values: Values) -> None:
    assert values == []


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
) -> list[KafkaRecord]:
    """The records of one blink: every anchor's distance to the place, 5 ms apart in Kafka."""
    return [
        record(
            anchor,
            at_s,
            kafka_s=at_s + 0.005 * number,
            tags={tag: math.dist(place, (DEMO.anchors[anchor].x_m, DEMO.anchors[anchor].y_m))},
            offset=first_offset + number,
        )
        for number, anchor in enumerate(anchors)
    ]


def at_place(count: int) -> Callable[[Values], None]:
    def check(values: Values) -> None:
        assert len(values) == count
        for value in values:
            assert math.dist((value["x"], value["y"]), PLACE) < 1e-5

    return check


@pytest.mark.parametrize("name", [FN_API, BUNDLE_BASED])
def test_three_readings_give_one_position(name: str) -> None:
    source = batch(blink(0.0)) if name == FN_API else stream(blink(0.0))
    run_graph(name, source, positions=at_place(1), rejected=nothing)


def test_a_timer_closes_the_round_of_a_new_tag() -> None:
    """On the BundleBasedDirectRunner: the position is there before the next blink, and does not hold its readings."""

    def check(values: Values) -> None:
        assert sorted(value["records"] for value in values) == [[[0, 0], [0, 1], [0, 2]], [[0, 3], [0, 4], [0, 5]]]

    source = stream(blink(0.0), 0.3, blink(0.4, first_offset=3), 5.0)
    run_graph(BUNDLE_BASED, source, positions=check, rejected=nothing)


def test_records_settle_what_timers_have_not_yet() -> None:
    """The same groups on the FnApiRunner, where all records come before the first timer."""
    records = [one for number in range(20) for one in blink(0.4 * number, first_offset=3 * number)]
    run_graph(FN_API, batch(records), positions=at_place(20), rejected=nothing)


def test_many_tags_do_not_mix() -> None:
    tags = [f"T{number}" for number in range(200)]

    def check(values: Values) -> None:
        assert Counter(value["tagid"] for value in values) == dict.fromkeys(tags, 2)
        at_place(400)(values)

    records = [one for at_s in (0.0, 1.0) for tag in tags for one in blink(at_s, tag=tag)]
    run_graph(FN_API, batch(records), positions=check, rejected=nothing)


def test_two_anchors_are_too_few() -> None:
    run_graph(
        BUNDLE_BASED,
        stream(blink(0.0, anchors=("A0", "A1")), 1.0, 10.0),
        positions=nothing,
        rejected=reasons({"too_few_anchors": 2}),
    )


def test_a_late_and_a_redelivered_record() -> None:
    source = stream(blink(20.0), 20.5, [*blink(20.0), record("A0", 9.0, kafka_s=20.6)], 30.0)
    run_graph(BUNDLE_BASED, source, positions=at_place(1), rejected=reasons({"duplicate": 3, "late": 1}))


def test_ranges_that_cannot_meet_name_every_reading() -> None:
    far = [one for anchor in ("A0", "A1") for one in blink(0.0, anchors=[anchor])]
    far.append(record("A2", 0.0, tags={"T": 50.0}))
    run_graph(FN_API, batch(far), positions=nothing, rejected=reasons({"inconsistent_ranges": 3}))


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
    )


def test_the_same_records_in_other_bundles_give_the_same_fixes() -> None:
    records = [one for number in range(30) for one in blink(0.4 * number, first_offset=3 * number)]
    run_graph(FN_API, batch(records), positions=_Recording.into("all"), rejected=nothing)
    steps: list[Any] = []
    for first in range(0, len(records), 7):
        bundle = records[first : first + 7]
        steps += [bundle, bundle[-1].kafka_time_us / 1e6 - us(0) / 1e6]
    run_graph(BUNDLE_BASED, stream(*steps), positions=_Recording.into("seven"), rejected=nothing)
    assert _Recording.taken("all") == _Recording.taken("seven")
    assert len(_Recording.taken("all")) == 30


class _Recording:
    """Checks run inside the engine, in this process; what they saw is kept here by name."""

    _kept: dict[str, set[str]] = {}  # noqa: RUF012

    @classmethod
    def into(cls, name: str) -> Callable[[Values], None]:
        return lambda values: cls._kept.__setitem__(name, {value["fix_id"] for value in values})

    @classmethod
    def taken(cls, name: str) -> set[str]:
        return cls._kept[name]


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
    lenient = GraphSettings(strict=False)
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
        settings=GraphSettings(strict=False),
    )


def test_counters_tell_what_happened() -> None:
    bad = KafkaRecord(0, 9, us(0.001), b"\xff")
    result = run_graph(
        FN_API,
        batch([bad, *blink(0.0), *blink(0.0), record("A0", None, tags={"U": 1.0}, kafka_s=0.0)]),
        positions=at_place(1),
        rejected=reasons({"undecodable": 1, "duplicate": 3, "too_few_anchors": 1}),
    )
    counters = {metric.key.metric.name: metric.committed for metric in result.metrics().query()["counters"]}
    assert {name: count for name, count in counters.items() if count and "." in name} == {
        "decode.records": 8,
        "decode.readings": 7,
        "decode.time_replaced": 1,
        "decode.rejected.undecodable": 1,
        "group.groups": 1,
        "group.rejected.duplicate": 3,
        "group.rejected.too_few_anchors": 1,
        "trilaterate.fixes": 1,
        "encode.positions": 1,
    }


def on_site_file(path: Path, change: Callable[[Path], object]) -> None:
    """Run the graph on a map that is changed between submission and start."""
    pipeline = engine(FN_API)
    build(pipeline, Ends(batch(blink(0.0)), Check(at_place(1)), Check(nothing)), SiteFile(path), GraphSettings())
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


def test_labels_and_coders_are_an_interface() -> None:
    """A renamed step loses its state in a savepoint; a pickled element loses it with the next version of Python."""
    pipeline = engine(FN_API)
    build(pipeline, Ends(batch(blink(0.0)), Check(nothing), Check(nothing)), lambda: DEMO, GraphSettings())
    coders: dict[str, str] = {}

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, transform_node: beam.pipeline.AppliedPTransform) -> None:
            stage = transform_node.full_label.split("/")[0]
            for tag, output in transform_node.outputs.items():
                if stage not in {"Readings", "WritePositions", "WriteRejected"}:
                    coder = beam.coders.registry.get_coder(output.element_type)
                    coders[f"{transform_node.full_label} {tag or ''}".strip()] = str(coder)

    pipeline.visit(Visitor())
    assert (GroupFn.ROUNDS.name, GroupFn.DUE.name) == ("rounds", "ts-due")  # Beam puts "ts-" before a timer's name
    pairs = "TupleCoder[BytesCoder, BytesCoder]"
    assert coders == {
        "Decode/Decode/ParDo(DecodeFn)": "TupleCoder[VarIntCoder, BytesCoder]",
        "Decode/Decode/ParDo(DecodeFn) rejected": "RowCoder",
        "Group/Group/ParDo(GroupFn)": "RowCoder",
        "Group/Group/ParDo(GroupFn) rejected": "RowCoder",
        "Trilaterate/Trilaterate/ParDo(TrilaterateFn)": "RowCoder",
        "Trilaterate/Trilaterate/ParDo(TrilaterateFn) rejected": "RowCoder",
        "Positions/Encode/ParDo(EncodeFn)": pairs,
        "Positions/Encode/ParDo(EncodeFn) rejected": "RowCoder",
        "AllRejected": "RowCoder",
        "Rejected/Encode": pairs,
    }
