"""The files of a site map: on a disk, or on a file system that Beam knows by the scheme, as ``gs://`` or ``s3://``.

Such a one needs Beam's extra for it, and what it takes to log in from the environment.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

VERSION_DIGITS = 12
"""Hex digits that name a version of a map."""

Read = Callable[[str], bytes]
"""Returns what a file holds, or raises an OSError."""


def read_bytes(path: str) -> bytes:
    """Return what a file holds.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return _read_remote(path) if "://" in path else Path(path).read_bytes()
    except OSError:
        raise
    except Exception as error:  # a store's client raises what it likes, also where a library or a scheme is missing
        raise OSError(str(error) or repr(error)) from error


def _read_remote(path: str) -> bytes:
    from apache_beam.io.filesystems import FileSystems  # noqa: PLC0415  (a local map needs no Beam)
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    if FileSystems._pipeline_options is None:  # noqa: SLF001  (some refuse to work without; a worker has the job's)
        FileSystems.set_options(PipelineOptions([]))
    with FileSystems.open(path) as file:
        return bytes(file.read())


def whole_path(path: str) -> str:
    """Return a path as others than this process will find it."""
    return path if "://" in path else str(Path(path).absolute())


def beside(path: str, name: str) -> str:
    """Return the path of a file that another, in the same folder, names."""
    if "://" in name or "://" not in path:
        return name if "://" in name else str(Path(path).parent / name)
    return posixpath.join(posixpath.dirname(path), name)


class MapFiles:
    """What one look at a map has read: each file once, so that what is made of it is of one moment."""

    def __init__(self, read: Read = read_bytes) -> None:
        self._read = read
        self._found: dict[str, bytes | OSError] = {}

    @classmethod
    def look(cls, paths: Iterable[str], read: Read = read_bytes) -> MapFiles:
        """Return what files hold now."""
        files = cls(read)
        for path in paths:
            files.find(path)
        return files

    def read(self, path: str) -> bytes:
        """Return what a file holds, or held when it was first asked for.

        Raises:
            OSError: it cannot be read.
        """
        found = self.find(path)
        if isinstance(found, OSError):
            raise found
        return found

    def find(self, path: str) -> bytes | OSError:
        """Return what :meth:`read` returns or raises."""
        if path not in self._found:
            try:
                self._found[path] = self._read(path)
            except OSError as error:
                self._found[path] = error
        return self._found[path]

    @property
    def paths(self) -> tuple[str, ...]:
        """What was read, in that order."""
        return tuple(self._found)

    @property
    def contents(self) -> Mapping[str, bytes]:
        """What the files hold, of those that could be read."""
        return {path: found for path, found in self._found.items() if isinstance(found, bytes)}

    @property
    def version(self) -> str:
        """The first digits of SHA-256 over all that was read; of a map in one file, those that sha256sum prints."""
        digest = hashlib.sha256()
        for found in self._found.values():
            digest.update(found if isinstance(found, bytes) else str(found).encode())
        return digest.hexdigest()[:VERSION_DIGITS]

    def says_the_same(self, other: MapFiles) -> bool:
        """Whether two looks found the same files with the same content, or the same reason why there is none."""
        return {path: _told(found) for path, found in self._found.items()} == {
            path: _told(found) for path, found in other._found.items()
        }


def _told(found: bytes | OSError) -> bytes | str:
    return found if isinstance(found, bytes) else str(found)
