"""A map that changes under way: taken up as a whole when it stands still and checks, and else not at all."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from pipeline.live_site import LiveSite, MapFollower
from pipeline.map_copy import MapCopy
from pipeline.site import SiteError, SiteFile

TRIANGLE = """\
site: hall
anchors:
  - {id: A0, x: 0, y: 0}
  - {id: A1, x: 9, y: 0}
  - {id: A2, x: 0, y: 9}
"""
FOURTH = "  - {id: A3, x: 9, y: 9}\n"
BROKEN = "  - {id: A3, x: far, y: 9}\n"


@dataclass
class Disk:
    """A map's file, and a worker that follows it."""

    folder: Path
    now_us: int = 0
    path: Path = field(init=False)

    def __post_init__(self) -> None:
        self.path = self.folder / "map.yaml"
        self.write(TRIANGLE)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def follower(self) -> MapFollower:
        return MapFollower(SiteFile(str(self.path)), self.copy(), clock=self.clock)

    def copy(self) -> MapCopy:
        return MapCopy(str(self.path), self.folder / "copies")

    def clock(self) -> int:
        self.now_us += 1
        return self.now_us


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_a_change_is_in_force_once_two_looks_have_found_the_same(disk: Disk) -> None:
    follower = disk.follower()
    first = follower.site
    disk.write(TRIANGLE + FOURTH)
    follower.look()
    assert follower.site is first
    follower.look()
    assert follower.site.anchors.keys() == {"A0", "A1", "A2", "A3"}
    assert follower.report == ("hall", follower.site.version, 2, None)


def test_a_file_that_the_map_names_anew_has_to_be_found_twice_as_well(disk: Disk) -> None:
    square = '{"type": "Polygon", "coordinates": [[[0, 0], [5, 0], [5, 5], [0, 0]]]}'
    zone = disk.folder / "zone.geojson"
    follower = disk.follower()
    disk.write(TRIANGLE + "zones:\n  - {id: Z, geojson: zone.geojson}\n")
    zone.write_text(square[:20])
    follower.look()
    zone.write_text(square)
    follower.look()
    assert follower.site.zones == {}
    follower.look()
    assert follower.site.zones.keys() == {"Z"}
    assert follower.report.seen_at_us == 2  # and nothing was refused on the way


@pytest.mark.parametrize("named", ["a\\0b", "nowhere://b/zone.geojson"])
def test_a_map_that_makes_the_check_stumble_is_refused_too(disk: Disk, named: str) -> None:
    follower = disk.follower()
    disk.write(TRIANGLE + f'zones:\n  - {{id: Z, geojson: "{named}"}}\n')
    follower.look()
    follower.look()
    assert follower.report.fault is not None
    assert "zone 'Z'" in follower.report.fault


def test_an_error_that_nobody_thought_of_refuses_the_map_and_says_so(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = disk.follower()

    def stumble(*_: object) -> NoReturn:
        raise ZeroDivisionError("stumbled")

    disk.write(TRIANGLE + FOURTH)
    monkeypatch.setattr("pipeline.live_site.site_in", stumble)
    follower.look()
    follower.look()
    assert follower.report.fault == f"{disk.path}:1: the map cannot be checked: ZeroDivisionError('stumbled')"
    assert len(follower.site.anchors) == 3


def test_a_store_that_fails_in_its_own_way_is_told_of_and_survived(disk: Disk) -> None:
    disk.follower()  # a copy is kept

    def read(path: str) -> bytes:
        raise ConnectionError(f"{path}: 503 from the store")

    restarted = MapFollower(SiteFile(str(disk.path)), disk.copy(), read, disk.clock)
    assert len(restarted.site.anchors) == 3
    assert "503 from the store" in (restarted.report.fault or "")


def test_what_two_looks_have_found_is_what_is_taken_up(disk: Disk) -> None:
    """Not what a third one would: the file may be written to meanwhile."""
    texts = [TRIANGLE, TRIANGLE + FOURTH, TRIANGLE + FOURTH, TRIANGLE + BROKEN]

    follower = MapFollower(SiteFile(str(disk.path)), disk.copy(), lambda _: texts.pop(0).encode(), disk.clock)
    follower.look()
    follower.look()
    assert len(follower.site.anchors) == 4
    assert len(texts) == 1


def test_a_version_is_the_same_whether_a_worker_has_seen_the_map_change_or_not(disk: Disk) -> None:
    (disk.folder / "zone.geojson").write_text('{"type": "Polygon", "coordinates": [[[0, 0], [5, 0], [5, 5], [0, 0]]]}')
    disk.write(TRIANGLE + "zones:\n  - {id: Z, geojson: zone.geojson}\n")
    follower = disk.follower()
    disk.write(TRIANGLE)
    follower.look()
    follower.look()
    assert follower.site.version == disk.follower().site.version


def test_a_file_half_written_is_not_taken_for_a_map(disk: Disk) -> None:
    disk.write(TRIANGLE + FOURTH)
    follower = disk.follower()
    disk.write(TRIANGLE)  # which would be a map
    follower.look()
    disk.write(TRIANGLE + FOURTH + "  - {id: A4, x: 5, y: 5}\n")
    follower.look()
    assert len(follower.site.anchors) == 4
    follower.look()
    assert len(follower.site.anchors) == 5
    assert follower.report.seen_at_us == 2  # and none was refused on the way


def test_as_long_as_nothing_changes_the_map_is_the_same_object(disk: Disk) -> None:
    follower = disk.follower()
    site, report = follower.site, follower.report
    for _ in range(3):
        follower.look()
    assert (follower.site, follower.report) == (site, report)
    assert follower.site is site
    assert follower.report is report


def test_a_map_that_does_not_check_leaves_the_last_good_one_in_force(disk: Disk) -> None:
    follower = disk.follower()
    site = follower.site
    disk.write(TRIANGLE + BROKEN)
    for _ in range(4):
        follower.look()
    assert follower.site is site
    assert follower.report.fault == f"{disk.path}:6: anchor 'A3': x is far; expected a finite number of metres"
    assert follower.report.seen_at_us == 2  # refused once
    disk.write(TRIANGLE + FOURTH)
    follower.look()
    follower.look()
    assert len(follower.site.anchors) == 4
    assert follower.report.fault is None


def test_a_map_put_back_as_it_was_is_told_of_after_one_that_was_refused(disk: Disk) -> None:
    follower = disk.follower()
    before = follower.report
    for text in (BROKEN, ""):
        disk.write(TRIANGLE + text)
        follower.look()
        follower.look()
    assert follower.report == before._replace(seen_at_us=3)


def test_a_file_that_is_gone_for_one_look_is_nothing_to_tell_of_and_for_two_it_is(disk: Disk) -> None:
    follower = disk.follower()
    disk.path.unlink()
    follower.look()
    disk.write(TRIANGLE)
    follower.look()
    assert follower.report.seen_at_us == 1
    disk.path.unlink()
    follower.look()
    follower.look()
    assert "cannot be read: No such file" in (follower.report.fault or "")
    assert len(follower.site.anchors) == 3


def test_a_config_map_that_is_swapped_is_followed(tmp_path: Path) -> None:
    for name, text in (("one", TRIANGLE), ("two", TRIANGLE + FOURTH)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "site.yaml").write_text(text)
    data, new_data, path = tmp_path / "..data", tmp_path / "..data_tmp", tmp_path / "site.yaml"
    data.symlink_to("one")
    path.symlink_to("..data/site.yaml")
    follower = MapFollower(SiteFile(str(path)), MapCopy(str(path), tmp_path / "copies"))
    new_data.symlink_to("two")
    new_data.rename(data)
    follower.look()
    follower.look()
    assert len(follower.site.anchors) == 4


def test_a_file_that_the_map_names_is_followed_too(disk: Disk) -> None:
    square = '{"type": "Polygon", "coordinates": [[[0, 0], [%d, 0], [5, 5], [0, 0]]]}'
    zone = disk.folder / "zone.geojson"
    zone.write_text(square % 5)
    disk.write(TRIANGLE + "zones:\n  - {id: Z, geojson: zone.geojson}\n")
    follower = disk.follower()
    zone.write_text(square % 6)
    follower.look()
    follower.look()
    assert follower.site.zones["Z"].rings[0][1] == (6.0, 0.0)


def test_a_worker_started_on_a_broken_map_goes_on_with_the_one_in_force_before(disk: Disk) -> None:
    disk.write(TRIANGLE + FOURTH)
    version = disk.follower().site.version
    disk.write(TRIANGLE + BROKEN)
    restarted = disk.follower()
    assert len(restarted.site.anchors) == 4
    assert restarted.site.version == version
    assert restarted.report.fault is not None
    assert restarted.report.version != version
    disk.write(TRIANGLE)
    restarted.look()
    restarted.look()
    assert len(restarted.site.anchors) == 3


@pytest.mark.parametrize("spoil", ["never there", "long ago", "not ours to read"])
def test_without_a_map_of_late_a_worker_does_not_start_on_a_broken_one(disk: Disk, spoil: str) -> None:
    if spoil != "never there":
        disk.follower()
    for copy in (disk.folder / "copies").glob("*.json"):
        if spoil == "long ago":
            os.utime(copy, (time.time() - 4000.0, time.time() - 4000.0))
        else:
            copy.write_bytes(b"nothing of ours")
    disk.write(TRIANGLE + BROKEN)
    with pytest.raises(SiteError, match="x is far"):
        disk.follower()


def test_a_map_that_stays_in_force_for_long_is_kept_as_of_late(disk: Disk) -> None:
    follower = disk.follower()
    (copy,) = (disk.folder / "copies").glob("*.json")
    os.utime(copy, (time.time() - 4000.0, time.time() - 4000.0))
    disk.write(TRIANGLE + BROKEN)
    follower.look()
    follower.look()
    assert len(disk.follower().site.anchors) == 3


def test_a_disk_that_cannot_be_written_costs_the_copy_only(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    (disk.folder / "copies").write_text("a file where the folder should be")
    follower = disk.follower()
    follower.look()
    assert len(follower.site.anchors) == 3
    assert "no copy of the site map" in caplog.text


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen within 30 s"
        time.sleep(0.01)


def test_all_stages_of_a_worker_follow_one_map_in_the_background(disk: Disk) -> None:
    live = LiveSite(SiteFile(str(disk.path)), poll_s=0.01)
    stages = [pickle.loads(pickle.dumps(live)) for _ in range(2)]  # noqa: S301 - our own bytes
    before = [stage() for stage in stages]
    assert before[0] is before[1]
    disk.write(TRIANGLE + FOURTH)
    until(lambda: len(stages[0]().anchors) == 4)
    assert stages[0]() is stages[1]()
    assert stages[1].report().version == stages[1]().version


def test_with_no_looks_asked_for_the_map_stays_as_it_was_read(disk: Disk) -> None:
    live = LiveSite(SiteFile(str(disk.path)), poll_s=0.0)
    before = live()
    disk.write(TRIANGLE + FOURTH)
    assert live() is before
