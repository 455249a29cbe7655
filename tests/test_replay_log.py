"""Reading logs: times and ranges as they stand there, and a bad one refused by file, line and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.replay.log import EPOCH_US, LogError, read_ranges, read_truth
from pipeline.wire.message_pb2 import AnchorData

HEADER = "t,tag_id,anchor_id,distance_m\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.csv"


def test_a_row_is_a_record_as_an_anchor_would_send_it(file: Path) -> None:
    file.write_text(HEADER + "0.766021,T,A0,3.98\n")
    (record,) = read_ranges(file)
    assert (record.partition, record.offset, record.kafka_time_us) == (0, 0, EPOCH_US + 766_021)
    data = AnchorData.FromString(record.value)
    assert data.anchor_id == "A0"
    assert (data.timestamp.seconds, data.timestamp.nanos) == (EPOCH_US // 1_000_000, 766_021_000)
    assert {tag: measured.distance for tag, measured in data.tags.items()} == {"T": np.float32(3.98)}


def test_readings_come_in_order_of_time_and_of_equal_times_in_that_of_the_file(file: Path) -> None:
    file.write_text(HEADER + "2,T,A0,1\n1,T,A1,1\n2,T,A2,1\n1,T,A3,1\n-0.5,T,A4,1\n")
    records = read_ranges(file)
    assert [record.offset for record in records] == [4, 1, 3, 0, 2]
    assert records[0].kafka_time_us == EPOCH_US - 500_000


def test_columns_are_found_by_name_and_others_let_be(file: Path) -> None:
    file.write_text("\ufeffanchor_id, rssi ,distance_m,tag_id,t\n\nA0,-80,1.5, T ,3\n\n", encoding="utf-8")
    (record,) = read_ranges(file)
    assert record.kafka_time_us == EPOCH_US + 3_000_000
    assert list(AnchorData.FromString(record.value).tags) == ["T"]


def test_what_the_pipeline_rejects_by_itself_is_no_error_of_the_log(file: Path) -> None:
    file.write_text(HEADER + "0,T,nobody,1\n0,T,A0,-3\n0,T,A0,1e30\n")
    assert len(read_ranges(file)) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEADER + "0,T,A0,1\n1,T,A0,far\n", ":3: column 'distance_m' is 'far'; expected a finite number of metres"),
        (HEADER + "\n0,T,A0,nan\n", ":3: column 'distance_m' is 'nan'; expected a finite number of metres"),
        (HEADER + "0,T,A0\n", ":2: column 'distance_m' is ''; expected a finite number of metres"),
        (HEADER + "soon,T,A0,1\n", ":2: column 't' is 'soon'; expected a number of seconds from -4e+09 to 4e+09"),
        (HEADER + "1e10,T,A0,1\n", ":2: column 't' is '1e10'; expected a number of seconds from -4e+09 to 4e+09"),
        (HEADER + "0,,A0,1\n", ":2: column 'tag_id' is ''; expected an id"),
        (HEADER + "0,T, ,1\n", ":2: column 'anchor_id' is ''; expected an id"),
        (HEADER + "0,T,A0,1,5\n", ":2: the row has 5 values; expected 4, as in the header"),
        (
            "time,tag_id,anchor_id,distance_m\n",
            ":1: column 't' is missing; the header is 'time,tag_id,anchor_id,distance_m', expected 't,tag_id",
        ),
        ("t,t,tag_id,anchor_id,distance_m\n", ":1: column 't' is given 2 times"),
        ("", ":1: the file is empty; expected the header 't,tag_id,anchor_id,distance_m'"),
        (HEADER, ": no readings; expected at least one row below the header"),
        (HEADER + '0,T,A0,"1\n', ":2: not valid CSV: "),
    ],
)
def test_bad_ranges_are_told_by_file_line_and_column(text: str, told: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LogError) as refused:
        read_ranges(file)
    assert str(refused.value).startswith(f"{file}{told}")


def test_bytes_that_are_no_text_are_told(file: Path) -> None:
    file.write_bytes(HEADER.encode() + b"0,T\xff,A0,1\n")
    with pytest.raises(LogError, match="not UTF-8 text"):
        read_ranges(file)


def test_a_truth_is_a_track_a_tag_in_order_of_time(file: Path) -> None:
    file.write_text("x,y,z,tag_id,t\n3,4,1,T,2\n1,2,1,T,0.5\n7,8,,U,-1\n")
    truth = read_truth(file)
    assert truth.keys() == {"T", "U"}
    assert truth["T"].tolist() == [[0.5, 1.0, 2.0], [2.0, 3.0, 4.0]]
    assert truth["U"].tolist() == [[-1.0, 7.0, 8.0]]


def test_a_truth_needs_no_height(file: Path) -> None:
    file.write_text("t,tag_id,x,y\n0,T,1,2\n")
    assert read_truth(file)["T"].tolist() == [[0.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("t,tag_id,x\n", ":1: column 'y' is missing"),
        ("t,tag_id,x,y\n0,T,1,inf\n", ":2: column 'y' is 'inf'; expected a finite number of metres"),
        ("t,tag_id,x,y\n", ": no places; expected"),
    ],
)
def test_a_bad_truth_is_told_likewise(text: str, told: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(LogError) as refused:
        read_truth(file)
    assert str(refused.value).startswith(f"{file}{told}")
