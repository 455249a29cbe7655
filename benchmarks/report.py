"""What was measured, as tables for a person."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from benchmarks.plan import BARE_LOOP, BASE
from benchmarks.results import Repeat, ratio, wrong
from benchmarks.spread import Spread
from benchmarks.thresholds import Verdict, judge

_NONE = "-"
_Key = TypeVar("_Key")


def report(repeats: Sequence[Repeat]) -> str:
    """Return all tables; those of which nothing was measured are left out."""
    tables = (_backlog, _live, _swept, _state, _outage, _wrong)
    return "\n\n".join("\n".join(lines) for table in tables if (lines := list(table(repeats))))


def verdicts(repeats: Sequence[Repeat]) -> str:
    """Return how what was measured compares with the thresholds."""
    lines = [f"{'held to thresholds':44}{'bound':>12}{'found':>10}{'low':>10}{'high':>10}"]
    return "\n".join(lines + [_verdict(one) for one in judge(repeats)])


def _verdict(one: Verdict) -> str:
    bound = f"{'>=' if one.least else '<='} {one.bound:g}"
    found = _NONE.rjust(10) * 3 if one.found is None else "".join(f"{value:10.2f}" for value in one.found)
    return f"{one.name:44}{bound:>12}{found}  {'holds' if one.holds else 'FAILS'}"


def _backlog(repeats: Sequence[Repeat]) -> Iterator[str]:
    names = _unique(one.system for repeat in repeats for one in repeat.backlog)
    if not names:
        return
    yield f"backlog{'':23}{'readings/s':>12}{'low':>10}{'high':>10}   {'/ bare loop':>11}{'low':>8}{'high':>8}{'MB':>8}"
    for name in names:
        mine = [one for repeat in repeats for one in repeat.backlog if one.system == name]
        rate = Spread.of([one.readings_per_s for one in mine])
        memory = Spread.of([one.memory_mb for one in mine])
        yield (
            f"{name:30}{rate.median:12,.0f}{rate.low:10,.0f}{rate.high:10,.0f}   "
            f"{_ratios(ratio(repeats, _rate_of(name), _rate_of(BARE_LOOP.name)))}{memory.median:8,.0f}"
        )


def _live(repeats: Sequence[Repeat]) -> Iterator[str]:
    keys = _unique((one.system, one.rate) for repeat in repeats for one in repeat.live)
    if not keys:
        return
    yield (
        f"live{'':26}{'readings/s':>12}{'p50 ms':>9}{'low':>8}{'high':>8}{'p99 ms':>9}{'low':>8}{'high':>8}"
        f"{'p99.9 ms':>10}{'start s':>9}{'MB':>8}"
    )
    for name, rate in keys:
        mine = [one for repeat in repeats for one in repeat.live if (one.system, one.rate) == (name, rate)]
        told = [one.latency for one in mine if one.latency is not None]
        latency = f"kept up {len(told)} of {len(mine)} times"
        if len(told) == len(mine):
            worse = [one.p999 for one in told if one.p999 is not None]
            latency = _of_ms([one.p50 for one in told]) + _of_ms([one.p99 for one in told])
            latency += f"{statistics.median(worse):10,.0f}" if worse else f"{_NONE:>10}"
        start = Spread.of([one.start_s for one in mine]).median
        memory = Spread.of([one.memory_mb for one in mine]).median
        yield f"{name:30}{rate:12,}{latency:>60}{start:9.1f}{memory:8,.0f}"


def _swept(repeats: Sequence[Repeat]) -> Iterator[str]:
    keys = _unique((one.what, one.value) for repeat in repeats for one in repeat.swept)
    if not keys:
        return
    title = f"{BASE.name}, with"
    yield f"{title:30}{'readings/s':>12}{'low':>10}{'high':>10}   {'/ usual':>11}{'low':>8}{'high':>8}"
    for what, value in keys:
        mine = [one for repeat in repeats for one in repeat.swept if (one.what, one.value) == (what, value)]
        rate = Spread.of([one.backlog.readings_per_s for one in mine])
        to = ratio(repeats, _swept_rate_of(what, value), _rate_of(BASE.name))
        yield f"{f'{value:,} {what}':30}{rate.median:12,.0f}{rate.low:10,.0f}{rate.high:10,.0f}   {_ratios(to)}"


def _state(repeats: Sequence[Repeat]) -> Iterator[str]:
    keys = _unique((one.tags, one.anchors) for repeat in repeats for one in repeat.state)
    if not keys:
        return
    yield f"state{'':25}{'bytes/tag':>12}{'low':>10}{'high':>10}"
    for tags, anchors in keys:
        found = [one for repeat in repeats for one in repeat.state if (one.tags, one.anchors) == (tags, anchors)]
        size = Spread.of([one.bytes_a_tag for one in found])
        yield f"{f'{tags:,} tags, {anchors} anchors':30}{size.median:12,.0f}{size.low:10,.0f}{size.high:10,.0f}"


def _outage(repeats: Sequence[Repeat]) -> Iterator[str]:
    found = [one for repeat in repeats for one in repeat.outage]
    if not found:
        return
    yield f"outage{'':24}{'readings/s':>12}{'lasted s':>10}{'caught up s':>14}"
    for one in found:
        caught_up = "never" if one.caught_up_s is None else f"{one.caught_up_s:.1f}"
        yield f"{one.system:30}{one.rate:12,}{one.outage_s:10.0f}{caught_up:>14}"


def _wrong(repeats: Sequence[Repeat]) -> Iterator[str]:
    lines = wrong(repeats)
    if lines:
        yield "not correct, or failed"
        yield from lines


def _of_ms(values: Sequence[float]) -> str:
    spread = Spread.of(values)
    return f"{spread.median:9,.0f}{spread.low:8,.0f}{spread.high:8,.0f}"


def _ratios(found: Spread | None) -> str:
    return f"{_NONE:>11}{'':16}" if found is None else f"{found.median:11.2f}{found.low:8.2f}{found.high:8.2f}"


def _rate_of(name: str) -> Callable[[Repeat], float | None]:
    return lambda repeat: repeat.rate(name)


def _swept_rate_of(what: str, value: int) -> Callable[[Repeat], float | None]:
    return lambda repeat: repeat.swept_rate(what, value)


def _unique(keys: Iterator[_Key]) -> list[_Key]:
    return list(dict.fromkeys(keys))
