"""State that is read and written as a whole: one run of bytes, in a bag."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class BytesBag(Protocol):
    """What of Beam's bag state is used."""

    def read(self) -> Iterable[bytes]:
        """Iterate over the entries."""

    def add(self, entry: bytes) -> None:
        """Append an entry."""

    def clear(self) -> None:
        """Remove all entries."""


def read_whole(bag: BytesBag) -> bytes:
    """Return what was written; nothing where nothing was."""
    return b"".join(bag.read())


def write_whole(bag: BytesBag, data: bytes) -> None:
    """Write in place of what was there."""
    bag.clear()
    bag.add(data)
