"""The files of a map: read once a look, named by what they hold, on any file system that Beam knows."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystem import BeamIOError, FileSystem

from pipeline.map_files import MapFiles, beside, read_bytes, whole_path
from pipeline.site import examine_site, load_site

IN_MEMORY: dict[str, bytes] = {}


class MemoryFileSystem(FileSystem):
    """A remote file system, as Beam finds one by its scheme: a class that is known is enough."""

    @classmethod
    def scheme(cls) -> str:
        return "memory"

    def open(self, path: str, *_: Any, **__: Any) -> io.BytesIO:
        if path not in IN_MEMORY:
            raise BeamIOError(f"no such object: {path}")
        return io.BytesIO(IN_MEMORY[path])

    def _unused(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    join = split = mkdirs = has_dirs = _list = create = copy = rename = _unused
    exists = size = last_updated = checksum = metadata = delete = _unused


@pytest.fixture
def memory() -> Iterator[dict[str, bytes]]:
    yield IN_MEMORY
    IN_MEMORY.clear()


TRIANGLE = b"""\
site: hall
anchors:
  - {id: A0, x: 0, y: 0}
  - {id: A1, x: 9, y: 0}
  - {id: A2, x: 0, y: 9}
"""
ZONED = TRIANGLE + b"zones:\n  - {id: Z, geojson: zone.geojson}\n"
SQUARE = b'{"type": "Polygon", "coordinates": [[[0, 0], [5, 0], [5, 5], [0, 0]]]}'


def test_the_version_of_a_map_in_one_file_is_what_sha256sum_begins_with(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_bytes(TRIANGLE)
    assert load_site(path).version == hashlib.sha256(TRIANGLE).hexdigest()[:12]
    path.write_bytes(TRIANGLE + b"# another\n")
    assert load_site(path).version == hashlib.sha256(TRIANGLE + b"# another\n").hexdigest()[:12]


def test_the_version_changes_with_a_file_that_the_map_names(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_bytes(ZONED)
    zone = tmp_path / "zone.geojson"
    zone.write_bytes(SQUARE)
    before = load_site(tmp_path / "map.yaml")
    zone.write_bytes(SQUARE.replace(b"[5, 0]", b"[6, 0]"))
    after = load_site(tmp_path / "map.yaml")
    assert before.zones.keys() == after.zones.keys() == {"Z"}
    assert before.version != after.version


def test_a_map_is_read_from_any_file_system_with_the_files_beside_it(memory: dict[str, bytes]) -> None:
    memory["memory://bucket/site/map.yaml"] = ZONED
    memory["memory://bucket/site/zone.geojson"] = SQUARE
    site = load_site("memory://bucket/site/map.yaml")
    assert site.anchors.keys() == {"A0", "A1", "A2"}
    assert site.zones["Z"].rings == (((0.0, 0.0), (5.0, 0.0), (5.0, 5.0)),)


@pytest.mark.parametrize(
    ("path", "why"),
    [("memory://bucket/none.yaml", "no such object"), ("nowhere://bucket/map.yaml", "Unable to get filesystem")],
)
def test_a_map_that_no_file_system_gives_is_told_of(path: str, why: str) -> None:
    site, problems = examine_site(path)
    assert site is None
    assert [why in problem.message for problem in problems] == [True]


def test_a_look_reads_each_file_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        if path == "gone":
            raise FileNotFoundError(2, "No such file or directory")
        return path.encode()

    files = MapFiles(read)
    assert [files.read("a"), files.read("b"), files.read("a")] == [b"a", b"b", b"a"]
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            files.read("gone")
    assert asked == ["a", "b", "gone"]
    assert files.paths == ("a", "b", "gone")
    assert files.contents == {"a": b"a", "b": b"b"}
    assert str(tmp_path) not in files.version


def test_looks_say_the_same_as_long_as_every_file_does() -> None:
    def look(**contents: bytes) -> MapFiles:
        def read(path: str) -> bytes:
            if path not in contents:
                raise FileNotFoundError(2, "No such file or directory", path)
            return contents[path]

        return MapFiles.look(["a", "b"], read)

    assert look(a=b"1", b=b"2").says_the_same(look(a=b"1", b=b"2"))
    assert not look(a=b"1", b=b"2").says_the_same(look(a=b"1", b=b"3"))
    assert look(a=b"1").says_the_same(look(a=b"1"))
    assert not look(a=b"1").says_the_same(look(a=b"1", b=b""))


@pytest.mark.parametrize(
    ("path", "name", "found"),
    [
        ("/maps/hall.yaml", "zone.geojson", "/maps/zone.geojson"),
        ("/maps/hall.yaml", "/srv/zone.geojson", "/srv/zone.geojson"),
        ("hall.yaml", "zones/zone.geojson", "zones/zone.geojson"),
        ("gs://maps/hall/map.yaml", "zones/zone.geojson", "gs://maps/hall/zones/zone.geojson"),
        ("/maps/hall.yaml", "gs://maps/zone.geojson", "gs://maps/zone.geojson"),
    ],
)
def test_a_file_that_a_map_names_is_looked_for_beside_it(path: str, name: str, found: str) -> None:
    assert beside(path, name) == found


def test_workers_are_told_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert whole_path("map.yaml") == str(tmp_path / "map.yaml")
    assert whole_path("s3://maps/map.yaml") == "s3://maps/map.yaml"
    with pytest.raises(OSError, match="No such file"):
        read_bytes("map.yaml")
