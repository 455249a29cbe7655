from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from runners.live import summary as live
from runners.live.summary import Summary

TAG = "0003FFDDEEFF0000"
START_MS = 1_713_300_000_000


def truth(offset: int, t: float, x: float = 0.0, y: float = 0.0, *, appended_ms: int = START_MS, tag: str = TAG) -> Any:
    return {
        "tagid": tag,
        "anchorid": "A0",
        "partition": 0,
        "offset": offset,
        "kafka_time_ms": appended_ms,
        "t": t,
        "x": x,
        "y": y,
        "z": 1.0,
    }


def position(fix_id: str, offsets: list[int], x: float = 0.0, y: float = 0.0, *, tag: str = TAG) -> Any:
    return {
        "tagid": tag,
        "x": x,
        "y": y,
        "detached": False,
        "battery_low": False,
        "z": None,
        "accuracy": 0.1,
        "timestamp_generated": "2024-04-16T20:40:00.000Z",
        "anchors": [f"A{n}" for n in range(len(offsets))],
        "residual": None,
        "gdop": 1.2,
        "fix_id": fix_id,
        "records": [[0, offset] for offset in offsets],
    }


def test_error_is_the_distance_to_the_truth_whatever_comes_first() -> None:
    truths = [truth(1, 10.0, 5.0, 5.0), truth(2, 10.1, 6.0, 6.0), truth(3, 10.2, 1.0, 2.0)]
    for order in itertools.permutations([*truths, position("f", [1, 2, 3], 4.0, 6.0)]):
        summary = Summary()
        for value in order:
            if "fix_id" in value:
                summary.add_position(value, START_MS + 100)
            else:
                summary.add_truth(value)
        result = summary.result()
        assert result["median_error_m"] == result["p95_error_m"] == 5.0
        assert result["positions_without_truth"] == 0


def test_newest_reading_is_the_one_of_the_latest_true_instant_not_the_last_listed_or_appended() -> None:
    summary = Summary()
    summary.add_truth(truth(1, 10.2, 3.0, 4.0, appended_ms=START_MS))
    summary.add_truth(truth(2, 10.0, 9.0, 9.0, appended_ms=START_MS + 300))
    summary.add_truth(truth(3, 10.1, 9.0, 9.0, appended_ms=START_MS + 100))
    summary.add_position(position("f", [1, 2, 3]), START_MS + 400)
    assert summary.result()["median_error_m"] == 5.0
    assert summary.tags[TAG].latency_ms == 100


def test_of_equal_true_instants_the_later_appended_counts() -> None:
    summary = Summary()
    summary.add_truth(truth(1, 10.0, 3.0, 4.0, appended_ms=START_MS + 2))
    summary.add_truth(truth(2, 10.0, 9.0, 9.0, appended_ms=START_MS + 1))
    summary.add_position(position("f", [2, 1]), START_MS + 3)
    assert summary.result()["median_error_m"] == 5.0


def test_truth_of_another_tag_in_the_same_record_is_not_taken() -> None:
    summary = Summary()
    summary.add_truth(truth(1, 10.0, 9.0, 9.0, tag="other"))
    summary.add_position(position("f", [1]), START_MS)
    assert summary.result()["median_error_m"] is None
    assert summary.without_truth == 1
    summary.add_truth(truth(1, 10.0, 0.0, 1.0))
    assert summary.result()["median_error_m"] == 1.0
    assert summary.without_truth == 0


def test_latency_leaves_out_the_first_thirty_seconds_after_the_first_position() -> None:
    summary = Summary()
    for offset, (late_ms, latency_ms) in enumerate([(0, 7000), (29_999, 5000), (30_000, 200), (31_000, 400)]):
        appended_ms = START_MS + late_ms
        summary.add_truth(truth(offset, 1.0, appended_ms=appended_ms - latency_ms))
        summary.add_position(position(f"f{offset}", [offset]), appended_ms)
        if late_ms < 30_000:
            assert summary.result()["latency_p50_ms"] is None
    result = summary.result()
    assert result["latency_p50_ms"] == 300.0
    assert result["latency_p99_ms"] == 398.0


def test_a_repeated_fix_counts_once() -> None:
    summary = Summary()
    summary.add_truth(truth(1, 10.0, 1.0, 0.0))
    summary.add_position(position("f", [1]), START_MS)
    summary.add_position(position("f", [1]), START_MS + 9_000)
    result = summary.result()
    assert (result["positions"], result["repeats"], summary.errors_m.count) == (1, 1, 1)


def test_a_position_without_records_is_refused() -> None:
    with pytest.raises(ValueError, match="names no records"):
        Summary().add_position(position("f", []), START_MS)


def test_a_tag_torn_off_is_one_tag_whether_positions_name_it_with_its_state_or_without() -> None:
    summary = Summary()
    for offset, sent_as in enumerate((TAG, "0003FFDDEEFF0001", "0003FFDDEEFF0001")):
        summary.add_truth(truth(offset, 1.0, tag=sent_as))
    for offset, given_out in enumerate((TAG, TAG, "0003FFDDEEFF0001")):
        summary.add_position(position(f"f{offset}", [offset], tag=given_out), START_MS)
    result = summary.result()
    assert (result["tags"], result["tags_positioned"], result["positions_without_truth"]) == (1, 1, 0)


def test_counts_and_rates_of_the_result() -> None:
    summary = Summary()
    for second in range(11):
        summary.add_reading_record(2, START_MS + 1000 * second)
    summary.add_reading_record(0, START_MS + 5000)
    for reason in ("late", "undecodable", "late"):
        summary.add_rejected({"reason": reason})
    summary.add_truth(truth(1, 1.0))
    summary.add_truth(truth(2, 1.0, tag="0003FFDDEEFF0001"))
    summary.add_position(position("f", [1]), START_MS)
    assert summary.result() == {
        "readings": 22,
        "positions": 1,
        "rejected": {"late": 2, "undecodable": 1},
        "median_error_m": 0.0,
        "p95_error_m": 0.0,
        "latency_p50_ms": None,
        "latency_p99_ms": None,
        "tags": 1,
        "tags_positioned": 1,
        "repeats": 0,
        "positions_without_truth": 0,
        "seconds": 10.0,
        "readings_per_s": 2.2,
    }


def test_an_empty_run_has_a_summary_in_json() -> None:
    result = json.loads(json.dumps(Summary().result()))
    assert result["readings"] == 0
    assert result["median_error_m"] is None
    assert result["readings_per_s"] is None


def test_truth_is_forgotten_two_minutes_behind_the_newest_joined() -> None:
    summary = Summary()
    summary.add_truth(truth(1, 1.0))
    summary.add_truth(truth(2, 200.0, appended_ms=START_MS + 200_000))
    summary.add_position(
        position("old", [1]), START_MS + 200_000
    )  # truth alone makes nothing old: the pipeline may lag
    assert summary.without_truth == 0
    summary.add_position(position("new", [2]), START_MS + 200_100)
    summary.add_position(position("too old", [1]), START_MS + 200_200)
    assert summary.without_truth == 1


def test_a_position_gives_up_waiting_two_minutes_behind_the_newest_truth() -> None:
    summary = Summary()
    summary.add_position(position("f", [1]), START_MS)
    summary.add_truth(truth(2, 1.0, appended_ms=START_MS + 120_001))
    summary.add_truth(truth(1, 1.0))
    assert summary.without_truth == 1


def test_memory_is_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_TRUTH", 3)
    monkeypatch.setattr(live, "MAX_WAITING", 2)
    summary = Summary()
    for offset in range(10):
        summary.add_truth(truth(offset, 1.0))
        summary.add_position(position(f"w{offset}", [100 + offset]), START_MS)
    for offset in range(10):
        summary.add_position(position(f"f{offset}", [offset]), START_MS)
    assert summary.errors_m.count == 3
    for offset in range(10):
        summary.add_truth(truth(100 + offset, 1.0))
    assert summary.errors_m.count <= 3 + 2
