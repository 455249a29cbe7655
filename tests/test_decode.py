"""Stage decode as Beam calls it: what a bundle of batches gives, when, and what is counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import Timestamp

from pipeline.events import Sighting
from pipeline.model import KafkaRecord, Reading, Rejected
from pipeline.positioning.anchor_watch import AnchorWatchSettings
from pipeline.positioning.tag_thinning import needed
from pipeline.positioning.tag_watch import TagWatchSettings
from pipeline.site import Anchor, Site, TagIdentity
from pipeline.transforms import decode, tag_watch_state
from pipeline.transforms.decode import WATCHED, Besides, DecodeFn
from pipeline.transforms.outputs import REJECTED
from pipeline.transforms.sightings import SIGHTINGS
from pipeline.transforms.tag_groups import tag_group
from pipeline.wire.batch_decoder import BatchDecoder
from pipeline.wire.kafka_records import pack_records
from pipeline.wire.sightings import unpack_sightings
from tests.readings import DEMO, columns, record, unpacked, us, watched

BAD = KafkaRecord(0, 9, us(0.5), b"\xff")


class Stage:
    """The DoFn, by itself."""

    def __init__(self, besides: Besides | None = None, *, strict: bool = False) -> None:
        self.site = DEMO
        self._fn = DecodeFn(lambda: self.site, besides or Besides(), strict=strict)
        self._fn.setup()
        self.counts: dict[str, int] = {}

    def bundle(self, *given: Iterable[KafkaRecord]) -> list[tuple[str, Any]]:
        """Return by output what a bundle of batches gives."""
        self._fn.start_bundle()
        outcomes = [outcome for records in given for outcome in self._fn.process(pack_records(records))]
        metrics = self._fn._metrics
        self.counts = {name: count for name, count in metrics._counts.items() if count}
        outcomes += self._fn.finish_bundle()
        tagged = [one if isinstance(one, TaggedOutput) else TaggedOutput("readings", one) for one in outcomes]
        return [(one.tag, one.value) for one in tagged]


def readings(outcomes: Iterable[tuple[str, Any]], output: str = "readings") -> list[Reading]:
    """Return what is in packed readings, and see that it is in its tag group."""
    found: list[Reading] = []
    for name, value in outcomes:
        if name == output:
            group, packed = value.value
            for tag, of_tag in unpacked(packed).items():
                assert tag_group(tag) == group
                assert {one.tag for one in of_tag} == {tag}
                found += of_tag
    return found


def rejections(outcomes: Iterable[tuple[str, Any]]) -> list[Rejected]:
    return [value for name, value in outcomes if name == REJECTED]


def blinks(count: int, *, anchor: str = "A0", tag: str = "T") -> list[KafkaRecord]:
    return [record(anchor, 0.0, kafka_s=number / 1000, tags={tag: 1.5}, offset=number) for number in range(count)]


def test_what_a_batch_holds_of_a_tag_group_leaves_together_at_the_earliest_time() -> None:
    outcomes = Stage().bundle([record("A0", 2.0, offset=2), record("A1", 1.0, offset=1)], [record(at_s=3.0)], [])
    assert [batch.timestamp for _, batch in outcomes] == [Timestamp(micros=us(1.0)), Timestamp(micros=us(3.0))]
    assert [(one.anchor, one.offset) for one in readings(outcomes[:1])] == [("A0", 2), ("A1", 1)]


def test_each_tag_group_has_an_element_of_its_own() -> None:
    outcomes = Stage().bundle([record(tags={f"T{number}": 1.0 for number in range(100)})])
    groups = [value.value[0] for _, value in outcomes]
    assert len(groups) == len(set(groups)) == len({tag_group(f"T{number}") for number in range(100)})
    assert {one.tag for one in readings(outcomes)} == {f"T{number}" for number in range(100)}


def test_records_are_counted_as_they_end() -> None:
    stage = Stage()
    given = [record(offset=1), BAD, record("B7"), record("A1", None, kafka_s=0.0), record(tags={"T": 0.0, "U": 1.0})]
    outcomes = stage.bundle(given, [record()])
    assert len(readings(outcomes)) == 4
    assert [one.reason for one in rejections(outcomes)] == ["undecodable", "unknown_anchor", "distance_out_of_range"]
    assert rejections(outcomes)[0].payload == BAD.value
    assert stage.counts == {
        "in": 6,
        "out": 4,
        "time_replaced": 1,
        "rejected.undecodable": 1,
        "rejected.unknown_anchor": 1,
        "rejected.distance_out_of_range": 1,
    }


def test_no_element_holds_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_BATCH", 10)
    outcomes = Stage().bundle(blinks(7), blinks(25), blinks(3))
    sizes = [len(readings([one])) for one in outcomes]
    assert max(sizes) <= 10
    assert [one.offset for one in readings(outcomes)] == [*range(7), *range(25), *range(3)]


def test_the_map_may_change_from_one_bundle_to_the_next() -> None:
    stage = Stage()
    tag = "0003FFDDEEFF"
    given = [record("A0", tags={tag + "0001": 1.0}), record("A9", tags={tag + "0100": 1.0})]
    outcomes = stage.bundle(given)
    assert [(one.tag, one.detached) for one in readings(outcomes)] == [(tag + "0001", False)]
    assert [one.reason for one in rejections(outcomes)] == ["unknown_anchor"]
    stage.site = Site("hall", {"A9": Anchor("A9", 0.0, 0.0)}, tag_identity=TagIdentity.FIRST12)
    outcomes = stage.bundle(given)
    assert [(one.tag, one.battery_low) for one in readings(outcomes)] == [(tag + "0000", True)]
    assert [one.anchor for one in rejections(outcomes)] == ["A0"]


def test_the_tag_watch_has_what_it_needs() -> None:
    bounds = TagWatchSettings()
    outcomes = Stage(Besides(tags=bounds)).bundle([*blinks(300), *blinks(2, tag="U")])
    packed = [value.value[1] for name, value in outcomes if name == WATCHED]
    of_tags = {tag: of_tag for one in packed for tag, of_tag in tag_watch_state.unpack(one)[0]}
    for tag, most in (("T", 10), ("U", 2)):
        given = [one for one in readings(outcomes) if one.tag == tag]
        left = [given[number] for number in needed(columns(given), bounds).tolist()]
        assert list(of_tags[tag].each()) == list(watched(left).each())
        assert 0 < len(left) <= most


def test_anchors_are_heard_whatever_became_of_the_record() -> None:
    stage = Stage(Besides(AnchorWatchSettings()))
    outcomes = stage.bundle([*blinks(1000), record("B7", 3.0), record("A1", None, kafka_s=4.0), BAD], blinks(1))
    packed = [value.value for name, value in outcomes if name == SIGHTINGS]
    ((site, sightings),) = [(value[0], unpack_sightings(value[1])) for value in packed]
    assert site == "site"
    assert Sighting("B7", us(3.0), us(3.0)) in sightings
    assert Sighting("A1", us(4.0), None) in sightings
    of_a0 = [one.kafka_time_us for one in sightings if one.anchor == "A0"]
    assert (min(of_a0), max(of_a0)) == (us(0.0), us(0.999))
    assert len(of_a0) <= 3


def stumble(*_: object) -> NoReturn:
    raise ZeroDivisionError("stumbled")


def test_a_record_that_is_stumbled_over_comes_back_and_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "decode", stumble)
    stage = Stage()
    odd = record("B7")
    outcomes = stage.bundle([record(offset=1), odd])
    assert [one.offset for one in readings(outcomes)] == [1]
    (refused,) = rejections(outcomes)
    assert (refused.reason, refused.payload) == ("internal_error", odd.value)
    assert (stage.counts["internal_error"], stage.counts["rejected.internal_error"]) == (1, 1)
    with pytest.raises(ZeroDivisionError):
        Stage(strict=True).bundle([odd])


def test_a_batch_that_is_stumbled_over_is_decoded_record_by_record(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [record(offset=1), record("A1", offset=2), BAD]
    expected = Stage().bundle(given)
    monkeypatch.setattr(BatchDecoder, "decode", stumble)
    stage = Stage()
    outcomes = stage.bundle(given)
    assert readings(outcomes) == readings(expected)
    assert rejections(outcomes) == rejections(expected)
    assert stage.counts["internal_error"] == 1
    with pytest.raises(ZeroDivisionError):
        Stage(strict=True).bundle(given)
