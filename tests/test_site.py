from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.site import Anchor, Problem, Site, SiteError, SiteFile, check_site, load_site, plan_flatness
from pipeline.site_draft import ANCHOR_KEYS
from pipeline.site_geometry import mirror_excluding_heights
from tests.readings import DEMO

ROOT = Path(__file__).resolve().parent.parent
TRIANGLE = """\
site: hall
anchors:
  - {id: A0, x: 2, y: 0}
  - {id: A1, x: 0, y: 2}
  - {id: A2, x: 2, y: 3}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_file(content: str | bytes, name: str = "map.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def with_anchor(anchor: str) -> str:
    """Return the triangle with a fourth anchor on line 6."""
    return f"{TRIANGLE}  - {anchor}\n"


def errors(problems: list[Problem]) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in problems if problem.severity == "error"]


def warnings(problems: list[Problem]) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in problems if problem.severity == "warning"]


# what a good map gives


def test_the_demo_site_has_the_three_anchors_of_the_original_and_no_heights() -> None:
    site = load_site(ROOT / "anchors/demo.yaml")
    assert site == DEMO


def test_the_warehouse_has_eui_64_ids_and_heights() -> None:
    site = load_site(ROOT / "anchors/warehouse.yaml")
    assert site.tag_height_m == 1.2
    assert site.max_distance_m == 80.0
    assert site.speed_limit_m_s == 5.0
    assert len(site.anchors) == 12
    for anchor in site.anchors.values():
        assert len(bytes.fromhex(anchor.id)) == 8
        assert anchor.id == anchor.id.upper()
        assert anchor.z_m is not None
        assert 4.0 <= anchor.z_m <= 6.0


@pytest.mark.parametrize("name", ["demo", "warehouse"])
def test_the_maps_that_ship_have_no_problems(name: str) -> None:
    assert check_site(ROOT / f"anchors/{name}.yaml") == []


def test_a_site_file_goes_to_workers_without_its_content_and_is_read_there(write: Callable[..., Path]) -> None:
    path = write(TRIANGLE + "x" * 10_000)
    pickled = pickle.dumps(SiteFile(str(path), tag_height_m=1.5))
    assert len(pickled) < 1000
    write(with_anchor("{id: A3, x: 9, y: 9, z: 3}"))
    on_worker = pickle.loads(pickled)  # noqa: S301 - our own bytes
    assert on_worker.load() == load_site(path, tag_height_m=1.5)
    assert on_worker.load().tag_height_m == 1.5


def test_a_site_file_that_is_broken_or_missing_is_named_where_it_is_read(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    broken = write(with_anchor("{id: A3, x: far, y: 9}"))
    with pytest.raises(SiteError, match=f"^{broken}:6: anchor 'A3': x is far"):
        SiteFile(str(broken)).load()
    with pytest.raises(SiteError, match=f"^{tmp_path}/none.yaml:1: the file cannot be read"):
        SiteFile(str(tmp_path / "none.yaml")).load()


def test_csv_takes_its_name_from_the_file_and_an_empty_z_as_unknown(write: Callable[..., Path]) -> None:
    path = write("anchor_id,x,y,z\n12,0,0,4.5\nA1,1e1, 0 ,\n\nA2,0,10\n", "hall.csv")
    assert load_site(path, tag_height_m=1.0) == Site(
        "hall",
        {"12": Anchor("12", 0.0, 0.0, 4.5), "A1": Anchor("A1", 10.0, 0.0), "A2": Anchor("A2", 0.0, 10.0)},
        tag_height_m=1.0,
    )


def test_csv_may_come_from_a_spreadsheet_with_a_mark_and_its_own_line_ends_and_columns(
    write: Callable[..., Path],
) -> None:
    path = write(b'\xef\xbb\xbfx,anchor_id,y,note\r\n0,A0,0,"by the\r\ndoor"\r\n1,A1,0,\r\n0,A2,nan,\r\n', "hall.csv")
    assert errors(check_site(path)) == [(5, "anchor 'A2': y is nan; expected a finite number of metres")]


def test_the_callers_tag_height_wins_over_the_files(write: Callable[..., Path]) -> None:
    path = write(with_anchor("{id: A3, x: 9, y: 9, z: 3}") + "tag_height: 1\n")
    assert load_site(path).tag_height_m == 1.0
    assert load_site(path, tag_height_m=2.0).tag_height_m == 2.0


def test_a_null_is_as_good_as_a_missing_value(write: Callable[..., Path]) -> None:
    path = write(with_anchor("{id: A3, x: 9, y: 9, z: }") + "tag_height: null\nmax_distance: ~\n")
    site = load_site(path)
    assert site.anchors["A3"].z_m is None
    assert (site.tag_height_m, site.max_distance_m) == (None, 100.0)


def test_calibrated_anchors_carry_their_bias(write: Callable[..., Path]) -> None:
    site = load_site(write(with_anchor("{id: A3, x: 9, y: 9, bias: 0.18, bias_sigma: 0.02}")))
    assert site.anchors["A3"] == Anchor("A3", 9.0, 9.0, None, 0.18, 0.02)
    assert site.anchors["A0"] == Anchor("A0", 2.0, 0.0, None, 0.0, None)


def test_a_csv_may_carry_biases_and_leave_some_empty(write: Callable[..., Path]) -> None:
    path = write("anchor_id,x,y,bias,bias_sigma\nA0,0,0,0.18,0.02\nA1,9,0,,\nA2,0,9,-0.05\n", "hall.csv")
    assert list(load_site(path).anchors.values()) == [
        Anchor("A0", 0.0, 0.0, None, 0.18, 0.02),
        Anchor("A1", 9.0, 0.0),
        Anchor("A2", 0.0, 9.0, None, -0.05, None),
    ]


def test_a_site_tells_how_fast_its_tags_can_be(write: Callable[..., Path]) -> None:
    assert load_site(write(TRIANGLE + "speed_limit: 2.5\n")).speed_limit_m_s == 2.5
    assert load_site(write(TRIANGLE)).speed_limit_m_s == 10.0


@pytest.mark.parametrize(("written", "metres"), [("010", 10.0), ("1e2", 100.0), ("-.5", -0.5), ("+7.", 7.0)])
def test_numbers_are_read_as_decimals(write: Callable[..., Path], written: str, metres: float) -> None:
    assert load_site(write(with_anchor(f"{{id: A3, x: {written}, y: 9}}"))).anchors["A3"].x_m == metres


def test_further_keys_are_left_to_later_versions(write: Callable[..., Path]) -> None:
    further = "doors:\n  - {name: dock, corners: [[0, 0], [1, 1]]}\nname: x\nversion: 2\nlanguage: en\n"
    path = write(with_anchor("{id: A3, x: 9, y: 9, floor: 1, name: north, note: new, bias: 0.1}") + further)
    assert check_site(path) == []


# errors in values


@pytest.mark.parametrize("value", ["nan", ".nan", "inf", "-.inf", "true", "yes", "four", "'4'", "1:30", "1_0", "1e999"])
@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_a_coordinate_that_is_no_finite_number_is_shown_as_written(
    write: Callable[..., Path], axis: str, value: str
) -> None:
    coordinates = {"x": "9", "y": "9", "z": "3", axis: value}
    written = ", ".join(f"{key}: {number}" for key, number in coordinates.items())
    path = write(with_anchor(f"{{id: A3, {written}}}") + "tag_height: 1\n")
    assert check_site(path) == [
        Problem(6, "error", f"anchor 'A3': {axis} is {value}; expected a finite number of metres")
    ]


@pytest.mark.parametrize(
    ("anchor", "message"),
    [
        ("{id: A3, y: 9}", "anchor 'A3': x is missing; expected a finite number of metres"),
        ("{id: A3, x: 9, y: }", "anchor 'A3': y is missing; expected a finite number of metres"),
        ("{id: A3, x: [9], y: 9}", "anchor 'A3': x is a list; expected a finite number of metres"),
        ("{x: 9, y: 9}", "anchor 4: id is missing; expected text"),
        ("{id: '', x: 9, y: 9}", "anchor 4: id is empty; expected text"),
        ("{id: ' ', x: 9, y: 9}", "anchor 4: id is empty; expected text"),
        ("{id: 12, x: 9, y: 9}", 'anchor 4: id is 12, which YAML does not read as text; quote it: id: "12"'),
        ("{id: no, x: 9, y: 9}", 'anchor 4: id is no, which YAML does not read as text; quote it: id: "no"'),
        ("{id: [A3], x: 9, y: 9}", "anchor 4: id is a list; expected text"),
        ("{id: A0, x: 9, y: 9}", "anchor 'A0': the id is given twice; it already stands on line 3"),
        (
            "{id: A3, x: 2.0, y: 3}",
            "anchor 'A3' is in the very place of anchor 'A2'; expected every anchor in a place of its own",
        ),
        ("A3", "anchor 4 has no values; expected {id, x, y, z}"),
        ("{}", "anchor 4 has no values; expected {id, x, y, z}"),
        ("{id: A3, x: 9, y: 9, bias: much}", "anchor 'A3': bias is much; expected a finite number of metres"),
        ("{id: A3, x: 9, y: 9, bias: .nan}", "anchor 'A3': bias is .nan; expected a finite number of metres"),
        (
            "{id: A3, x: 9, y: 9, bias: 0.1, bias_sigma: 0}",
            "anchor 'A3': bias_sigma is 0; expected a number of metres above 0",
        ),
        ("{id: A3, x: 9, x: 8, y: 9}", "key 'x' is given twice; it already stands on line 6"),
        ("{id: A3, x: 9, y: 9, more: {a: 1, a: 2}}", "key 'a' is given twice; it already stands on line 6"),
        ("{id: A3, x: 29,6, y: 9}", "anchor 4: '6' is not known and has no value; a decimal comma? write 29.6"),
        ("{id: A3, x: 9, 6: 9, y: 9}", f"anchor 4: the key '6' is a number; expected one of {', '.join(ANCHOR_KEYS)}"),
        ("{<<: {z: 4}, id: A3, x: 9, y: 9}", "merging with '<<' is not read here; write the keys out"),
    ],
)
def test_a_faulty_anchor_is_one_error_on_its_line(write: Callable[..., Path], anchor: str, message: str) -> None:
    assert check_site(write(with_anchor(anchor))) == [Problem(6, "error", message)]


@pytest.mark.parametrize(
    ("written", "key", "mend"),
    [
        ("bias: 0,18", "18", "a decimal comma? write 0.18"),
        ("bias: -3,05", "05", "a decimal comma? write -3.05"),
        ("bias: 0,18m", "18m", "take it out, or give it a value"),
        ("bias: 0.1,8", "8", "take it out, or give it a value"),
        ("name: '0',8", "8", "take it out, or give it a value"),
        ("more: ", "more", "take it out, or give it a value"),
    ],
)
def test_a_key_that_is_not_known_and_has_no_value_is_an_error(
    write: Callable[..., Path], written: str, key: str, mend: str
) -> None:
    message = f"anchor 4: {key!r} is not known and has no value; {mend}"
    assert check_site(write(with_anchor(f"{{id: A3, x: 9, y: 9, {written}}}"))) == [Problem(6, "error", message)]


def test_decimal_commas_are_told_of_on_their_lines_in_mappings_of_either_kind(write: Callable[..., Path]) -> None:
    block = "  - id: A3\n    x: 9\n    y: 9\n    6:\n    z:\n"
    assert errors(check_site(write(TRIANGLE + block))) == [
        (9, "anchor 4: '6' is not known and has no value; a decimal comma? write 9.6")
    ]
    flow = "{id: A3, x: 29,\n    6, y: 0,5, z: }"
    assert errors(check_site(write(with_anchor(flow)))) == [
        (7, "anchor 4: '6' is not known and has no value; a decimal comma? write 29.6"),
        (7, "anchor 4: '5' is not known and has no value; a decimal comma? write 0.5"),
    ]


def test_a_map_in_one_mapping_with_a_decimal_comma_is_an_error(write: Callable[..., Path]) -> None:
    anchors = "[{id: A0, x: 2, y: 0}, {id: A1, x: 0, y: 2}, {id: A2, x: 2, y: 3}]"
    assert errors(check_site(write(f"{{site: hall, max_distance: 80,5, anchors: {anchors}}}"))) == [
        (1, "site map: '5' is not known and has no value; a decimal comma? write 80.5")
    ]
    assert check_site(write(f"{TRIANGLE}language:\n")) == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("units: cm", "`units` is cm; expected m (metres)"),
        ("max_distance: 0", "`max_distance` is 0; expected a number of metres above 0"),
        ("max_distance: .inf", "`max_distance` is .inf; expected a number of metres above 0"),
        ("max_distance: far", "`max_distance` is far; expected a number of metres above 0"),
        ("tag_height: low", "`tag_height` is low; expected a finite number of metres"),
        ("speed_limit: 0", "`speed_limit` is 0; expected a number of metres per second above 0"),
        ("speed_limit: fast", "`speed_limit` is fast; expected a number of metres per second above 0"),
        ("site: hall", "key 'site' is given twice; it already stands on line 1"),
    ],
)
def test_a_faulty_setting_is_an_error_on_its_line(write: Callable[..., Path], setting: str, message: str) -> None:
    assert errors(check_site(write(f"{TRIANGLE}{setting}\n"))) == [(6, message)]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("1.2", "1.2"),
        ("[]", "a list"),
        ("[1]", "[1]"),
        ("[2, 1]", "[2, 1]"),
        ("[1, 1]", "[1, 1]"),
        ("[0, .inf]", "[0, .inf]"),
        ("[low, 2]", "[low, 2]"),
        ("[0, [1, 2]]", "a list"),
        ("{lowest: 0, highest: 2}", "a mapping"),
    ],
)
def test_a_tag_height_range_that_is_none_is_an_error(write: Callable[..., Path], written: str, shown: str) -> None:
    what = f"`tag_height_range` is {shown}; expected [lowest, highest], two numbers of metres, the lower one first"
    assert errors(check_site(write(f"{TRIANGLE}tag_height_range: {written}\n"))) == [(6, what)]


@pytest.mark.parametrize(("written", "shown"), [("[0,5, 2]", "[0, 5, 2]"), ("[0,5, 2,5]", "[0, 5, 2, 5]")])
def test_a_range_with_decimal_commas_is_told_of_points(write: Callable[..., Path], written: str, shown: str) -> None:
    expected = "expected [lowest, highest], two numbers of metres, the lower one first"
    what = f"`tag_height_range` is {shown}; {expected} (a decimal comma? decimals take a point)"
    assert errors(check_site(write(f"{TRIANGLE}tag_height_range: {written}\n"))) == [(6, what)]


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ("site:", "`site` is missing; expected text"),
        ("site: ''", "`site` is empty; expected text"),
        ("site: 7", '`site` is 7, which YAML does not read as text; quote it: site: "7"'),
        ("site: {}", "`site` is a mapping; expected text"),
        ("", "`site` is missing; expected text"),
    ],
)
def test_a_site_needs_a_name(write: Callable[..., Path], site: str, message: str) -> None:
    path = write(TRIANGLE.replace("site: hall", site))
    assert [what for _, what in errors(check_site(path))] == [message]


def test_every_problem_is_told_at_once_and_in_the_order_of_the_lines(write: Callable[..., Path]) -> None:
    path = write(
        "units: ft\n"
        "anchors:\n"
        "  - {id: A0, x: 2, y: nan}\n"
        "  - {id: A0, x: 0, y: 2, zz: 5}\n"
        "  - {id: 7, x: 0, y: 2, z: 4}\n"
        "max_distanse: 50\n"
    )
    assert [(problem.line, problem.severity) for problem in check_site(path)] == [
        (1, "error"),  # no site
        (1, "error"),  # units
        (3, "error"),  # y
        (4, "warning"),  # zz
        (4, "error"),  # the id again
        (5, "error"),  # an id that is a number
        (5, "error"),  # no tag height
        (5, "warning"),  # over the one before
        (6, "warning"),  # max_distanse
    ]


def test_loading_raises_with_one_line_an_error_and_no_warnings(write: Callable[..., Path]) -> None:
    path = write("site: 7\nunits: ft\nanchor_s: []\nanchors: []\n")
    with pytest.raises(SiteError) as raised:
        load_site(path)
    assert str(raised.value).splitlines() == [
        f'{path}:1: `site` is 7, which YAML does not read as text; quote it: site: "7"',
        f"{path}:2: `units` is ft; expected m (metres)",
        f"{path}:4: the number of anchors is 0; expected at least 3",
    ]


def test_messages_stay_on_one_line_whatever_a_value_holds(write: Callable[..., Path]) -> None:
    path = write(with_anchor('{id: "A\\n3", x: "4\\n5", y: !n "6\\n7"}'))
    assert len(errors(check_site(path))) == 2
    assert all("\n" not in message for _, message in errors(check_site(path)))


# the tag's height


def test_anchors_with_heights_need_the_height_of_the_tags(write: Callable[..., Path]) -> None:
    path = write(with_anchor("{id: A3, x: 9, y: 9, z: 3}"))
    assert check_site(path) == [
        Problem(
            6,
            "error",
            "`tag_height` is missing, but anchors have z; set `tag_height` or give --tag-height, "
            "or set `tag_height_range` to have the height solved for",
        )
    ]
    assert check_site(path, tag_height_m=1.0) == []


def test_a_csv_with_heights_needs_the_callers_tag_height(write: Callable[..., Path]) -> None:
    path = write("anchor_id,x,y,z\nA0,0,0,3\nA1,9,0,3\nA2,0,9,3\n", "hall.csv")
    assert [line for line, _ in errors(check_site(path))] == [2]
    assert load_site(path, tag_height_m=1.0).tag_height_m == 1.0


@pytest.mark.parametrize(("setting", "given_m", "line"), [("tag_height: 1\n", None, 6), ("", 1.0, 1)])
def test_a_tag_height_that_is_not_used_is_a_warning(
    write: Callable[..., Path], setting: str, given_m: float | None, line: int
) -> None:
    what = "the tag height is not used: no anchor has z, so distances are taken as horizontal"
    assert check_site(write(TRIANGLE + setting), given_m) == [Problem(line, "warning", what)]


# a tag height that is solved for

CEILING = ((0.0, 0.0, 3.0), (9.0, 0.0, 3.0), (0.0, 9.0, 3.0), (9.0, 9.0, 3.0))
TALL = ((0.0, 0.0, 3.0), (9.0, 0.0, 1.0), (0.0, 9.0, 3.0), (9.0, 9.0, 5.0), (4.0, 4.0, 1.0))
LEANING = ((0.0, 0.0, 3.0), (9.0, 0.0, 3.0), (0.0, 9.0, 6.0), (9.0, 9.0, 6.0))
STEEP = ((0.0, 0.0, 3.0), (9.0, 0.0, 3.0), (0.0, 2.0, 9.0), (9.0, 2.0, 9.0))


def in_space(places: tuple[tuple[float, float, float], ...], setting: str) -> str:
    anchors = "".join(f"  - {{id: A{n}, x: {x}, y: {y}, z: {z}}}\n" for n, (x, y, z) in enumerate(places))
    return f"site: hall\n{setting}\nanchors:\n{anchors}"


@pytest.mark.parametrize(
    ("places", "written"),
    [
        (CEILING, "[0, 2]"),
        (CEILING, "[0, 3]"),
        (CEILING, "[3, 9]"),
        (TALL, "[0, 6]"),
        (LEANING, "[0, 3]"),
        (LEANING, "[6, 8]"),
        (STEEP, "[2, 2.2]"),
    ],
)
def test_a_tag_height_may_be_left_within_a_range(
    write: Callable[..., Path], places: tuple[tuple[float, float, float], ...], written: str
) -> None:
    path = write(in_space(places, f"tag_height_range: {written}"))
    assert check_site(path) == []
    site = load_site(path)
    assert site.tag_height_m is None
    assert site.tag_height_range_m == tuple(map(float, written.strip("[]").split(",")))


@pytest.mark.parametrize(
    ("places", "written", "plane"),
    [
        (CEILING, "[0, 3.1]", "at 3 m"),
        (CEILING, "[2.9, 4]", "at 3 m"),
        (LEANING, "[0, 4]", "at 3 to 6 m"),
        (LEANING, "[5, 8]", "at 3 to 6 m"),
        (STEEP, "[0, 3]", "at 3 to 9 m"),
    ],
)
def test_a_range_in_which_a_place_has_its_mirror_image_is_an_error(
    write: Callable[..., Path], places: tuple[tuple[float, float, float], ...], written: str, plane: str
) -> None:
    ((line, message),) = errors(check_site(write(in_space(places, f"tag_height_range: {written}"))))
    assert line == 2
    assert message == (
        f"the anchors are (nearly) on one plane, {plane}, and `tag_height_range` leaves open on which side tags are: "
        "a place and its mirror image have the same distances; expected a range on one side"
    )


@pytest.mark.parametrize(("anchors", "with_z"), [(CEILING[:3], "3 of 3"), (TALL[:3], "3 of 3")])
def test_solving_for_the_height_needs_four_anchors(
    write: Callable[..., Path], anchors: tuple[tuple[float, float, float], ...], with_z: str
) -> None:
    path = write(in_space(anchors, "tag_height_range: [0, 1]"))
    what = f"`tag_height_range` needs at least 4 anchors, all with z; {with_z} have one"
    assert check_site(path) == [Problem(2, "error", what)]


def test_solving_for_the_height_needs_all_anchors_to_have_one(write: Callable[..., Path]) -> None:
    path = write(in_space(CEILING, "tag_height_range: [0, 1]") + "  - {id: A9, x: 4, y: 4}\n")
    what = "`tag_height_range` needs at least 4 anchors, all with z; 4 of 5 have one"
    assert check_site(path) == [Problem(2, "error", what)]


def test_a_height_is_known_or_solved_for_not_both(write: Callable[..., Path]) -> None:
    path = write(in_space(CEILING, "tag_height: 1\ntag_height_range: [0, 2]"))
    what = "`tag_height` and `tag_height_range` are both given; expected one: the first if the height is known"
    assert check_site(path) == [Problem(3, "error", what)]


def test_the_callers_tag_height_wins_over_the_files_range(write: Callable[..., Path]) -> None:
    path = write(in_space(CEILING, "tag_height_range: [0, 9]"))
    assert errors(check_site(path)) != []
    site = load_site(path, tag_height_m=1.5)
    assert (site.tag_height_m, site.tag_height_range_m) == (1.5, None)


@given(
    st.lists(st.tuples(*3 * [st.floats(-1e300, 1e300)]), min_size=4, max_size=8),
    st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)),
)
def test_the_mirror_is_judged_of_any_places_without_a_stumble(
    places: list[tuple[float, float, float]], heights: tuple[float, float]
) -> None:
    mirror_excluding_heights(places, (min(heights), max(heights)))


@pytest.mark.parametrize("given_m", [math.nan, math.inf])
def test_a_tag_height_that_is_not_finite_is_refused(write: Callable[..., Path], given_m: float) -> None:
    with pytest.raises(SiteError, match="the tag height given is"):
        load_site(write(TRIANGLE), tag_height_m=given_m)


# likely slips of the pen


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("unit", "units"),
        ("tag-height", "tag_height"),
        ("max_distance_m", "max_distance"),
        ("Sites", "site"),
        ("speed_limits", "speed_limit"),
    ],
)
def test_a_misspelt_setting_is_a_warning(write: Callable[..., Path], key: str, meant: str) -> None:
    message = f"site map: {key!r} is not known and not read; did you mean {meant!r}?"
    assert check_site(write(f"{TRIANGLE}{key}: 1\n")) == [Problem(6, "warning", message)]


@pytest.mark.parametrize("key", ["Z", "z_m", "zz"])
def test_a_misspelt_height_is_a_warning(write: Callable[..., Path], key: str) -> None:
    message = f"anchor 4: {key!r} is not known and not read; did you mean 'z'?"
    assert check_site(write(with_anchor(f"{{id: A3, x: 9, y: 9, {key}: 4}}"))) == [Problem(6, "warning", message)]


# geometry


def test_fewer_than_three_anchors_are_an_error(write: Callable[..., Path]) -> None:
    path = write("site: hall\nanchors:\n  - {id: A0, x: 0, y: 0}\n  - {id: A1, x: 1, y: 0}\n")
    assert check_site(path) == [Problem(2, "error", "the number of anchors is 2; expected at least 3")]


def test_two_anchors_one_above_the_other_are_a_warning(write: Callable[..., Path]) -> None:
    path = write(with_anchor("{id: A3, x: 2, y: 3, z: 3}") + "tag_height: 1\n")
    message = "anchor 'A3' has the x and y of anchor 'A2'; in plan the two count as one place"
    assert check_site(path) == [Problem(6, "warning", message)]


def test_heights_do_not_help_anchors_off_their_line(write: Callable[..., Path]) -> None:
    path = write("anchor_id,x,y,z\nA0,0,0,3\nA1,5,5,9\nA2,9,9,4\n", "hall.csv")
    ((line, message),) = errors(check_site(path, tag_height_m=1.0))
    assert line == 1
    assert message.startswith("all anchors are on one line in plan")


@pytest.mark.parametrize(
    ("y_m", "severity"), [(0.0, "error"), (0.5, "error"), (0.6, "warning"), (2.0, "warning"), (4.0, None)]
)
def test_a_row_of_anchors_is_an_error_where_flat_and_a_warning_where_nearly(
    write: Callable[..., Path], y_m: float, severity: str | None
) -> None:
    path = write(f"anchor_id,x,y\nA0,0,0\nA1,30,{y_m}\nA2,60,0\n", "hall.csv")
    assert [problem.severity for problem in check_site(path)] == ([] if severity is None else [severity])


lengths_m = st.floats(-100.0, 100.0)
angles = st.floats(0.0, math.tau)
places_m = st.tuples(lengths_m, lengths_m)


def moved(places: list[tuple[float, float]], angle: float, by_m: tuple[float, float]) -> list[tuple[float, float]]:
    cos, sin = math.cos(angle), math.sin(angle)
    return [(cos * x - sin * y + by_m[0], sin * x + cos * y + by_m[1]) for x, y in places]


@given(st.lists(lengths_m, min_size=3, max_size=12), angles, st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)))
def test_a_line_stays_a_line_wherever_it_is_moved_and_turned(
    along_m: list[float], angle: float, by_m: tuple[float, float]
) -> None:
    assume(max(along_m) - min(along_m) > 0.1)
    assert plan_flatness(moved([(x, 0.0) for x in along_m], angle, by_m)) < 1e-6


@given(st.lists(places_m, min_size=3, max_size=12), angles, places_m, st.floats(1e-3, 1e3))
def test_moving_turning_and_scaling_a_site_does_not_change_its_flatness(
    places: list[tuple[float, float]], angle: float, by_m: tuple[float, float], scale: float
) -> None:
    assume(max(math.dist(places[0], place) for place in places) > 0.1)
    scaled = [(scale * x, scale * y) for x, y in moved(places, angle, by_m)]
    assert plan_flatness(scaled) == pytest.approx(plan_flatness(places), abs=1e-9)


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), lengths_m), max_size=5))
def test_flatness_is_between_nought_and_one_for_any_finite_places(places: list[tuple[float, float]]) -> None:
    assert 0.0 <= plan_flatness(places) <= 1.0


def test_a_square_is_as_wide_as_long() -> None:
    assert plan_flatness([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]) == pytest.approx(1.0)


# files that are no site maps


@pytest.mark.parametrize(
    ("content", "name", "line", "message"),
    [
        (b"", "map.yaml", 1, "the file is empty"),
        (b"\n  \n", "map.csv", 1, "the file is empty"),
        (b"# nothing\n", "map.yml", 1, "the file is empty"),
        (b"---\nnull\n", "map.yaml", 1, "the file is empty"),
        (b"\n- a\n", "map.yaml", 2, "the file holds a list; expected a mapping with `site` and `anchors`"),
        (b"hall", "map.yaml", 1, "the file holds a single value; expected a mapping with `site` and `anchors`"),
        (b"site: a\nb: c: d\n", "map.yaml", 2, "not valid YAML: mapping values are not allowed here"),
        (b"site: a\nx: \x07\n", "map.yaml", 2, "not valid YAML: character '\\x07' is not allowed"),
        (b"site: a\n---\nsite: b\n", "map.yaml", 2, "not valid YAML: but found another document"),
        (b"site: a\nx: *gone\n", "map.yaml", 2, "not valid YAML: found undefined alias 'gone'"),
        (b"site: a\nx: \xe9\n", "map.yaml", 2, "the file is not UTF-8: byte 0xe9; save it as UTF-8"),
        (
            b"site: a\nanchors: {A0: [0, 0]}\n",
            "map.yaml",
            2,
            "`anchors` is a mapping; expected a list of {id, x, y, z}",
        ),
        (b"site: a\n", "map.yaml", 1, "`anchors` is missing; expected a list of {id, x, y, z}"),
        (b"site: a\nanchors:\n", "map.yaml", 2, "`anchors` is missing; expected a list of {id, x, y, z}"),
        (b"a,b\n", "map.txt", 1, "the file's ending is '.txt'; expected one of .yaml, .yml, .csv"),
        (b'anchor_id,x,y\nA0,0,"0\n', "map.csv", 2, "not valid CSV: unexpected end of data"),
        (b"anchor_id,x,x,y\n", "map.csv", 1, "column 'x' is given 2 times; expected once"),
        (
            b"anchor_id,x\n",
            "map.csv",
            1,
            "column 'y' is missing; the header is 'anchor_id,x', expected 'anchor_id,x,y[,z]'",
        ),
    ],
)
def test_a_file_that_is_no_site_map_is_one_error(
    write: Callable[..., Path], content: bytes, name: str, line: int, message: str
) -> None:
    assert check_site(write(content, name)) == [Problem(line, "error", message)]


@pytest.mark.parametrize("content", ['site: "\\UFFFFFFFF"\n', "site: " + 5000 * "["])
def test_yaml_on_which_the_parser_itself_gives_up_is_an_error(write: Callable[..., Path], content: str) -> None:
    ((line, message),) = errors(check_site(write(content)))
    assert line == 1
    assert message.startswith("not valid YAML: ")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="the file cannot be read: No such file or directory"):
        load_site(tmp_path / "none.yaml")


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").mkdir()
    assert errors(check_site(tmp_path / "map.yaml")) == [(1, "the file cannot be read: Is a directory")]


def test_a_csv_row_longer_than_its_header_is_an_error(write: Callable[..., Path]) -> None:
    path = write("anchor_id,x,y\nA0,0,0\nA1,1,5,0\nA2,0,9\n", "hall.csv")
    assert errors(check_site(path)) == [(3, "the row has 4 values; expected 3, as in the header")]


def test_a_misspelt_csv_column_is_a_warning(write: Callable[..., Path]) -> None:
    path = write("anchor_id,x,y,Z\nA0,0,0,3\nA1,1,5,3\nA2,0,9,3\n", "hall.csv")
    assert warnings(check_site(path)) == [(1, "header: 'Z' is not known and not read; did you mean 'z'?")]


def test_a_yaml_file_that_repeats_itself_by_reference_is_read_to_its_end(write: Callable[..., Path]) -> None:
    assert check_site(write(f"{TRIANGLE}more: &more [*more]\n")) == []
