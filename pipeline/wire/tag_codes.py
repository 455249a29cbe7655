"""What a tag's entry in a record says, but for the distance, as one number: entries repeat, and are read once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from pipeline.tag_identity import TagIdentity, tag_name
from pipeline.wire.decode import MAX_ID_LENGTH
from pipeline.wire.message_pb2 import AnchorData, TagData

ODD = -1
"""The code of an entry that has to be looked at by itself."""

DETACHED = 1
BATTERY_LOW = 2
FLAG_BITS = 2
_NUMBER_BITS = 32

_MOST_KNOWN = 300_000
"""Entries kept at the most, some 100 MB: ids are whatever somebody sends."""

_TAGS_FIELD = 0x1A
_ONE_BYTE = 0x80
_PROBES = {1.0: b"\x00\x00\x80\x3f", 2.0: b"\x00\x00\x00\x40"}
"""Distances (m), and how they are written."""


class TagCodes(dict[bytes, int]):
    """By the bytes of an entry up to the distance, which they end with, a code: tag group, number of the tag, flags.

    Codes without their flags are keys: those of a tag are alike, and in their order those of a tag group are together.
    Codes hold until the next :meth:`make_room`. Entries that are not written as the schema has it, or name no tag, are
    ``ODD``.
    """

    def __init__(self, identity: TagIdentity, tag_group: Callable[[str], int]) -> None:
        super().__init__()
        self._identity = identity
        self._tag_group = tag_group
        self._keys: dict[str, int] = {}
        self._tags: list[str] = []

    def make_room(self) -> None:
        """Forget all codes if there are many."""
        if max(len(self), len(self._tags)) > _MOST_KNOWN:
            self.clear()
            self._keys = {}
            self._tags = []

    def key(self, tag: str) -> int:
        """Return the key of a tag, by its lasting id."""
        key = self._keys.get(tag)
        if key is None:
            key = self._keys[tag] = self._tag_group(tag) << _NUMBER_BITS | len(self._tags)
            self._tags.append(tag)
        return key

    def tags(self, keys: npt.NDArray[np.int64]) -> list[str]:
        """Return the lasting ids of the tags that have these keys."""
        tags = self._tags
        return [tags[number] for number in (keys & (1 << _NUMBER_BITS) - 1).tolist()]

    def __missing__(self, start: bytes) -> int:
        code = self._read(start)
        if code != ODD:
            self[start] = code
        return code

    def _read(self, start: bytes) -> int:
        """Return the code of an entry that begins so.

        With a distance put at its end, a message is made of it, and of another one too. If each has its distance, and
        is written in no other way, then the distance is what the last four bytes are, whatever they are.
        """
        found = [_message(start + written, distance_m) for distance_m, written in _PROBES.items()]
        if None in found or found[0] is None:
            return ODD
        tag_id, measured = found[0]
        name = tag_name(tag_id, self._identity)
        if name is None or not 0 < len(tag_id) <= MAX_ID_LENGTH:
            return ODD
        detached = DETACHED if measured.detached or name.detached else 0
        battery_low = BATTERY_LOW if measured.battery_low or name.battery_low else 0
        return self.key(name.tag) << FLAG_BITS | detached | battery_low


def _message(entry: bytes, distance_m: float) -> tuple[str, TagData] | None:
    """Return the tag's id and what an entry says of it, if it has this distance and is written as the schema has it."""
    field = bytes((_TAGS_FIELD, len(entry))) + entry if len(entry) < _ONE_BYTE else b""
    try:
        data = AnchorData.FromString(field)
    except DecodeError:
        return None
    if len(data.tags) != 1 or data.SerializeToString() != field:
        return None
    ((tag_id, measured),) = data.tags.items()
    return (tag_id, measured) if measured.distance == distance_m else None


def tag_groups_of(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the tag groups of the tags that have these keys."""
    return keys >> _NUMBER_BITS
