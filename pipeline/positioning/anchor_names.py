"""The ids of the anchors of a tag's state as bytes and back: few sets of them are what all tags of a site are heard by.

Eight bytes each if all are 16 hexadecimal digits, as anchors' ids are, else text with a length before each.
"""

from __future__ import annotations

import struct
from functools import lru_cache

_LENGTH = struct.Struct("<H")
NAME_BYTES = 8
"""Bytes of an anchor's id, where it is of hexadecimal digits."""
_HEX = 2 * NAME_BYTES


@lru_cache(maxsize=4096)
def names_to_bytes(names: tuple[str, ...]) -> bytes:
    """Return names as bytes."""
    digits = "".join(names)
    if all(len(name) == _HEX for name in names):
        try:
            packed = bytes.fromhex(digits)
        except ValueError:
            packed = b""
        if packed.hex().upper() == digits:
            return b"\x01" + packed
    encoded = [name.encode() for name in names]
    return b"\x00" + b"".join(part for name in encoded for part in (_LENGTH.pack(len(name)), name))


def names_from_bytes(data: bytes, at: int, count: int) -> tuple[tuple[str, ...], int]:
    """Return so many names that begin at a place, and where they end.

    Raises:
        ValueError: the bytes end before the names do.
    """
    end = at + 1
    if data[at]:
        end += count * NAME_BYTES
    else:
        for _ in range(count):
            begin = end + _LENGTH.size
            end = begin + int.from_bytes(data[end:begin], "little")
    if end > len(data):
        raise ValueError(f"the names of {count} anchors end at byte {end} of {len(data)}")
    return _names(data[at:end]), end


@lru_cache(maxsize=4096)
def _names(packed: bytes) -> tuple[str, ...]:
    if packed[0]:
        digits = packed[1:].hex().upper()
        return tuple(digits[at : at + _HEX] for at in range(0, len(digits), _HEX))
    names: list[str] = []
    at = 1
    while at < len(packed):
        begin = at + _LENGTH.size
        at = begin + _LENGTH.unpack_from(packed, at)[0]
        names.append(packed[begin:at].decode())
    return tuple(names)
