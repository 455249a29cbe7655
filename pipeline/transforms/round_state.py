"""The grouping state of a tag as bytes and back. The bytes outlive the program: see proto/state.proto."""

from __future__ import annotations

from pipeline.positioning.rounds import Rounds
from pipeline.positioning.seen import Seen
from pipeline.wire.readings import pack, unpack
from pipeline.wire.state_pb2 import RoundState


def to_bytes(rounds: Rounds) -> bytes:
    """Return the state as bytes; equal states give equal bytes."""
    state = RoundState(
        open=pack(rounds.open.values()),
        opened_at_us=rounds.opened_at_us,
        clock_us=rounds.clock_us,
        newest_us=rounds.newest_us,
        heard=rounds.heard.keys(),
        silent_for=rounds.heard.values(),
        rounds=rounds.rounds,
        seen_anchor=rounds.seen.by_anchor.keys(),
        seen_records=rounds.seen.by_anchor.values(),
        carried=sorted(rounds.carried),
    )
    return state.SerializeToString()


def from_bytes(data: bytes) -> Rounds:
    """Return the state that :func:`to_bytes` wrote; no bytes are a tag never heard of."""
    if not data:
        return Rounds()
    state = RoundState.FromString(data)
    return Rounds(
        open={reading.anchor: reading for reading in unpack(state.open)},
        carried=set(state.carried),
        opened_at_us=state.opened_at_us,
        clock_us=state.clock_us,
        newest_us=state.newest_us,
        heard=dict(zip(state.heard, state.silent_for, strict=True)),
        rounds=state.rounds,
        seen=Seen(dict(zip(state.seen_anchor, state.seen_records, strict=True))),
    )
