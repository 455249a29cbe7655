"""A stage's outputs: what goes on, and what is rejected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import apache_beam as beam
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type

from pipeline.model import Rejected

REJECTED = "rejected"
POSITIONS = "positions"
_NONE: Mapping[str, Any] = MappingProxyType({})


def sort_out(
    elements: beam.PCollection[Any],
    label: str,
    dofn: beam.DoFn,
    main: str,
    element_type: Any,
    *,
    others: Mapping[str, Any] = _NONE,
) -> dict[str, beam.PCollection[Any]]:
    """Apply a DoFn whose main output is of a type, and which rejects under ``REJECTED``; return all outputs by name.

    ``others`` are further outputs, with their types.
    Beam picks the coder of an output by its declared type, and would pickle without.
    """
    outputs = elements | label >> beam.ParDo(dofn).with_outputs(REJECTED, *others, main=main)
    types = {main: element_type, REJECTED: Rejected, **others}
    for name, its_type in types.items():
        outputs[name].element_type = convert_to_beam_type(its_type)
    return {name: outputs[name] for name in types}


def rejected(record: Rejected) -> beam.pvalue.TaggedOutput:
    """Return a rejection as a DoFn gives it."""
    return beam.pvalue.TaggedOutput(REJECTED, record)


def sorted_out(outcomes: Iterable[Any]) -> Iterator[Any]:
    """Give outcomes as a DoFn does: each rejection by itself, all else as one list, if there is any."""
    passed = []
    for outcome in outcomes:
        if isinstance(outcome, Rejected):
            yield rejected(outcome)
        else:
            passed.append(outcome)
    if passed:
        yield passed
