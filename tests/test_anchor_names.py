"""The ids of anchors as bytes, found again in savepoints and so pinned here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.positioning.anchor_names import names_from_bytes, names_to_bytes

ids = st.text("0123456789ABCDEF", min_size=16, max_size=16)


@given(st.lists(ids | st.text(), max_size=5).map(tuple), st.binary(max_size=9))
def test_nothing_is_lost_on_the_way(names: tuple[str, ...], before: bytes) -> None:
    packed = names_to_bytes(names)
    found = names_from_bytes(before + packed + b"behind", len(before), len(names))
    assert found == (names, len(before) + len(packed))


def test_golden_bytes() -> None:
    assert names_to_bytes(("A1B2C3D3E4F50001", "00000000000000FF")).hex() == "01a1b2c3d3e4f5000100000000000000ff"
    assert names_to_bytes(("A1B2C3D3E4F50001", "\xc4")).hex() == "00100041314232433344334534463530303031" + "0200c384"


@pytest.mark.parametrize(
    "name", ["a1b2c3d3e4f50001", "A1B2C3D3E4F5000", " 1B2C3D3E4F50001", "A1 B2C3D3E4F5000", "G1B2C3D3E4F50001", ""]
)
def test_what_is_not_written_as_ids_are_is_kept_as_text(name: str) -> None:
    packed = names_to_bytes((name,))
    assert packed[0] == 0
    assert names_from_bytes(packed, 0, 1) == ((name,), len(packed))


@given(st.lists(ids | st.text(min_size=1), min_size=1, max_size=5).map(tuple), st.data())
def test_bytes_that_are_too_few_are_refused(names: tuple[str, ...], data: st.DataObject) -> None:
    packed = names_to_bytes(names)
    kept = data.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(ValueError, match=f"the names of {len(names)} anchors end at byte"):
        names_from_bytes(packed[:kept], 0, len(names))
