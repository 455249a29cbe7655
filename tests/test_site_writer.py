from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.site import check_site, load_site
from pipeline.site_writer import Bias, with_biases

ROOT = Path(__file__).resolve().parent.parent
COMMENTED = """\
# the hall
site: hall    # by the harbour
units: m

anchors:
  # south wall
  - id: "A0"   # over the door
    x: 1.50
    y: 010
    # north wall, surveyed anew

  - id: A1
    x: 3
    y: -.5   # by laser
  # flow
  - {id: A2, x: 1e2, y: 7}   # last
doors: [dock]
"""
EXPECTED = """\
# the hall
site: hall    # by the harbour
units: m

anchors:
  # south wall
  - id: "A0"   # over the door
    x: 1.50
    y: 010
    bias: 0.18
    bias_sigma: 0.02
    # north wall, surveyed anew

  - id: A1
    x: 3
    y: -.5   # by laser
    bias: -0.1
    bias_sigma: 0.001
  # flow
  - {id: A2, x: 1e2, y: 7}   # last
doors: [dock]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_file(content: str, name: str = "map.yaml") -> Path:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8", newline="")
        return path

    return write_file


def test_comments_order_and_numbers_stay_as_they_are_written(write: Callable[..., Path]) -> None:
    path = write(COMMENTED)
    text = with_biases(path, {"A0": Bias(0.18, 0.02), "A1": Bias(-0.1, 0.0001)})
    assert text == EXPECTED
    assert load_site(write(text)).anchors["A0"].bias_m == 0.18


@pytest.mark.parametrize("name", ["demo", "warehouse"])
def test_the_maps_that_ship_change_only_in_what_is_added(name: str, write: Callable[..., Path]) -> None:
    path = ROOT / f"anchors/{name}.yaml"
    biases = {anchor_id: Bias(0.1 + n / 100, 0.03) for n, anchor_id in enumerate(load_site(path).anchors)}
    text = with_biases(path, biases)
    for line, old in zip(text.splitlines(), path.read_text(encoding="utf-8").splitlines(), strict=True):
        assert line == old or line.startswith(old.removesuffix("}") + ", bias: 0.")
    written = write(text)
    assert check_site(written) == []
    for anchor_id, anchor in load_site(written).anchors.items():
        assert (anchor.bias_m, anchor.bias_sigma_m) == (round(biases[anchor_id].bias_m, 3), 0.03)


def test_biases_that_are_there_are_replaced_in_their_place(write: Callable[..., Path]) -> None:
    anchors = "- {id: A0, bias: 0.5, x: 1, y: 1}\n- {id: A1, x: 2, y: 1}\n- {id: A2, x: 1, y: 2, bias: 0.4}\n"
    text = with_biases(write(f"---\nsite: a\nanchors:\n{anchors}"), {"A0": Bias(0.2, 0.1)})
    assert text.splitlines() == [
        *("---", "site: a", "anchors:", "- {id: A0, bias: 0.2, x: 1, y: 1, bias_sigma: 0.1}"),
        *("- {id: A1, x: 2, y: 1}", "- {id: A2, x: 1, y: 2, bias: 0.4}"),
    ]


def test_a_csv_gets_two_columns_and_keeps_the_others(write: Callable[..., Path]) -> None:
    path = write('anchor_id,x,y,note\r\nA0,0,0,"by, the door"\r\n\r\nA1,1,5\r\nA2,0,9,\r\n', "hall.csv")
    text = with_biases(path, {"A0": Bias(0.18, 0.02), "A1": Bias(0.0, 0.3)})
    assert text == (
        'anchor_id,x,y,note,bias,bias_sigma\r\nA0,0,0,"by, the door",0.18,0.02\r\n\r\nA1,1,5,,0.0,0.3\r\nA2,0,9,,,\r\n'
    )
    assert load_site(write(text, "hall.csv")).anchors["A1"].bias_sigma_m == 0.3


def test_a_csv_with_the_columns_keeps_their_places(write: Callable[..., Path]) -> None:
    path = write("bias_sigma,anchor_id,x,y,bias\n0.5,A0,0,0,0.4\n0.5,A1,1,5,0.3\n,A2,0,9,\n", "hall.csv")
    text = with_biases(path, {"A0": Bias(-0.0001, 0.02)})
    assert text == "bias_sigma,anchor_id,x,y,bias\n0.02,A0,0,0,0.0\n0.5,A1,1,5,0.3\n,A2,0,9,\n"


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0, 9)), min_size=3, max_size=3), st.sampled_from(["csv", "yaml"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_what_is_read(
    write: Callable[..., Path], values: list[tuple[float, float]], ending: str
) -> None:
    ids = ["A0", "A1", "A2"]
    path = write("anchor_id,x,y\nA0,0,0\nA1,1,5\nA2,0,9\n", "hall.csv") if ending == "csv" else write(COMMENTED)
    biases = {anchor_id: Bias(*value) for anchor_id, value in zip(ids, values, strict=True)}
    site = load_site(write(with_biases(path, biases), path.name))
    for anchor_id, bias in biases.items():
        anchor = site.anchors[anchor_id]
        assert anchor.bias_m == pytest.approx(bias.bias_m, abs=0.000501)
        assert anchor.bias_sigma_m == pytest.approx(max(bias.sigma_m, 0.001), abs=0.000501)
