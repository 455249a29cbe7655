"""Keying by a fixed number of tag groups, with each tag's state apart inside its group's.

On Flink a state write is a round trip that is waited for, once a key and bundle. Were every tag a key, a bundle would
cost as many round trips as it has tags; with tag groups it costs one a group. A group's state is a bag used as a log:
what changed is appended as one chunk, and when the log has outgrown what it says it is written anew. Number and hash
are part of the savepoint's contract.

What the log says is made out once a process, not once a bundle: it hangs on the log's last chunk, and holds as long as
Beam's cache hands back the very chunks that it was made of. A cache that was dropped or is off, a bundle that failed, a
worker that begins: all give other chunks, and the log is read anew.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import is_
from typing import Generic, NamedTuple, Protocol, TypeVar

from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.utils.timestamp import Timestamp

from pipeline.transforms.due_tags import DueTags, in_ms
from pipeline.transforms.tag_log import Chunk, ChunkCoder, packed_row, rows, state_in

TAG_GROUPS = 16
"""Groups over all tags: each costs a bundle its writes, and of few tasks none has much more of them than another."""

_SLACK, _SLACK_BYTES = 0.5, 4096
"""By how much a log may outgrow what it says, as a share and beyond that, before it is written anew."""
_LIVE = 512
"""Tags of a group up to which their states are kept as objects: of more, each would be gone when next heard of."""
_VOID = 512
"""Entries of when tags are due that may be void, beside as many as there are tags."""
_ROW_WEIGHT, _LIVE_WEIGHT = 550, 4096
"""About what a tag takes in memory beside its bytes, and a state that is kept as an object."""


def tag_group(tag: str) -> int:
    """Return the group of a tag, the same in every process and version."""
    return zlib.crc32(tag.encode()) % TAG_GROUPS


class OfTag(Protocol):
    """Whatever is of one tag."""

    @property
    def tag(self) -> str:
        """The tag."""


Item = TypeVar("Item", bound=OfTag)


def by_tag(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Return items by their tags, those of a tag in the order in which they came."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.tag, []).append(item)
    return found


def tag_states_spec(name: str) -> BagStateSpec:
    """Return the state cell of a stage keyed by tag groups."""
    return BagStateSpec(name, ChunkCoder())


class Bag(Protocol):
    """What of Beam's bag state is used."""

    def read(self) -> Iterable[Chunk]:
        """Iterate over the entries."""

    def add(self, entry: Chunk) -> None:
        """Append an entry."""

    def clear(self) -> None:
        """Remove all entries."""


class Timer(Protocol):
    """What of Beam's timers is used."""

    def set(self, timestamp: Timestamp) -> None:
        """Set the timer, which has one time only."""

    def clear(self) -> None:
        """Take it back."""


State = TypeVar("State")


class Codec(NamedTuple, Generic[State]):
    """How a stage's states are written: as bytes, never none, and back; None for those that it can no longer read.

    ``is_kept`` tells whether the objects are worth keeping, because to read them takes long.
    """

    to_bytes: Callable[[State], bytes]
    from_bytes: Callable[[bytes], State | None]
    is_kept: bool = True


AS_WRITTEN: Codec[bytes] = Codec(bytes, bytes, is_kept=False)
"""For a stage that works on states as they are written."""

_Row = tuple[int, bytes, int, int]
"""When a tag is next due, and where its row was written last: in which chunk, from where to where; or nowhere."""
_NOWHERE: tuple[None, bytes, int, int] = None, b"", 0, 0


@dataclass(slots=True)
class _Index(Generic[State]):
    """What a log says."""

    chunks: list[Chunk] = field(default_factory=list)
    """What it was made of; without the last while it hangs on that."""
    rows: dict[str, _Row] = field(default_factory=dict)
    due: DueTags = field(init=False)
    live: dict[str, State] = field(default_factory=dict)
    """States as they were written last, as objects; where there are not too many."""
    logged: int = 0
    """Bytes of the chunks."""
    size: int = 0
    """Bytes of the rows that hold."""

    def __post_init__(self) -> None:
        for chunk in self.chunks:
            for tag, due_us, at, end, has_state in rows(chunk.rows):
                if has_state:
                    self.rows[tag] = due_us, chunk.rows, at, end
                else:
                    self.rows.pop(tag, None)
        self.logged = sum(len(chunk.rows) for chunk in self.chunks)
        self.size = sum(end - at for _, _, at, end in self.rows.values())
        self.line_up()

    def line_up(self) -> None:
        """Let nothing of when tags are due be void."""
        self.due = DueTags(self.rows)

    def weight(self) -> int:
        return _ROW_WEIGHT * len(self.rows) + _LIVE_WEIGHT * len(self.live)


class TagStates(Generic[State]):
    """The states of one group's tags: changed in memory, written back by :meth:`commit`.

    What is taken out and changed but not put back, or not committed, is as if it had never been.
    """

    def __init__(self, bag: Bag, codec: Codec[State]) -> None:
        self._bag = bag
        self._codec = codec
        self._changed: dict[str, State | None] = {}
        self._index: _Index[State] = _taken(list(bag.read()))

    def get(self, tag: str) -> State | None:
        """Return a tag's state; None where there is none. It is the caller's, to change and to put back."""
        changed = self._changed.get(tag)
        if changed is not None:
            return changed
        live = self._index.live.pop(tag, None)
        if live is not None:
            return live
        _, chunk, at, _ = self._index.rows.get(tag, _NOWHERE)
        return self._codec.from_bytes(state_in(chunk, at)) if chunk else None

    def put(self, tag: str, due_us: int, state: State) -> None:
        """Set a tag's state and when it is next due."""
        index = self._index
        before_us, chunk, at, end = index.rows.get(tag, _NOWHERE)
        if before_us != due_us:
            index.rows[tag] = due_us, chunk, at, end
            index.due.add(tag, due_us)
        self._changed[tag] = state

    def forget(self, tag: str) -> None:
        """Remove a tag."""
        index = self._index
        row = index.rows.pop(tag, None)
        if row is None:
            return
        index.live.pop(tag, None)
        index.size -= row[3] - row[2]
        self._changed[tag] = None

    def due(self, now_us: int) -> list[str]:
        """Return the tags that are due at a time, the longest due first."""
        return self._index.due.by(now_us)

    def commit(self, timer: Timer | None) -> None:
        """Write back what changed, and set the timer, if there is one, to when the next tag is due.

        Afterwards this is of no use any more.
        """
        if timer is not None:
            due_ms = self._index.due.next_ms()
            if due_ms is None:
                timer.clear()
            else:
                timer.set(timer_at(due_ms * 1000))
        if self._changed:
            self._write()
        _give_back(self._index)

    def _write(self) -> None:
        written = {tag: self._written(tag, state) for tag, state in self._changed.items()}
        index = self._index
        if index.logged + sum(map(len, written.values())) > index.size * (1 + _SLACK) + _SLACK_BYTES:
            written = {
                tag: written[tag] if tag in written else chunk[at:end]
                for tag, (_, chunk, at, end) in index.rows.items()
            }
            self._bag.clear()
            index.chunks, index.logged = [], 0
        if written:
            self._append(written)
        if len(index.due) > 2 * len(index.rows) + _VOID:
            index.line_up()

    def _written(self, tag: str, state: State | None) -> bytes:
        """Return a tag's new row, and keep the state where it was not forgotten."""
        index = self._index
        if state is None:
            return packed_row(tag, 0, b"")
        due_us, _, at, end = index.rows[tag]
        packed = packed_row(tag, due_us, self._codec.to_bytes(state))
        index.size += len(packed) - (end - at)
        if self._codec.is_kept and len(index.rows) <= _LIVE:
            index.live[tag] = state
        else:
            index.live.clear()
        return packed

    def _append(self, written: dict[str, bytes]) -> None:
        """Add rows to the log as one chunk."""
        index = self._index
        known, at = index.rows, 0
        data = b"".join(written.values())
        for tag, packed in written.items():
            end = at + len(packed)
            row = known.get(tag)
            if row is not None:
                known[tag] = row[0], data, at, end
            at = end
        chunk = Chunk(data)
        self._bag.add(chunk)
        index.chunks.append(chunk)
        index.logged += len(data)


def _taken(chunks: list[Chunk]) -> _Index[State]:
    """Return what a log says, and take it off the log: whoever fails before giving it back leaves none behind."""
    if not chunks:
        return _Index()
    last = chunks[-1]
    index: _Index[State] | None = last.index
    last.index = None
    if index is None or len(index.chunks) + 1 != len(chunks) or not all(map(is_, index.chunks, chunks)):
        return _Index(chunks)
    index.chunks.append(last)
    return index


def _give_back(index: _Index[State]) -> None:
    if index.chunks:
        last = index.chunks.pop()  # an index that referred to what it hangs on would outlive it
        last.index = index


def timer_at(due_us: int) -> Timestamp:
    """Return the time to set a timer to: runners keep milliseconds, and a timer must not fire early."""
    return Timestamp(micros=in_ms(due_us) * 1000)
