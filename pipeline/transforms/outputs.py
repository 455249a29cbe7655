"""A stage's two outputs: what goes on, and what is rejected."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type

from pipeline.model import Rejected

REJECTED = "rejected"
POSITIONS = "positions"


def sort_out(
    elements: beam.PCollection[Any],
    label: str,
    dofn: beam.DoFn,
    main: str,
    element_type: Any,
) -> dict[str, beam.PCollection[Any]]:
    """Apply a DoFn whose main output is of a type, and which rejects under ``REJECTED``; return both outputs by name.

    Beam picks the coder of an output by its declared type, and would pickle without.
    """
    outputs = elements | label >> beam.ParDo(dofn).with_outputs(REJECTED, main=main)
    for name, its_type in ((main, element_type), (REJECTED, Rejected)):
        outputs[name].element_type = convert_to_beam_type(its_type)
    return {name: outputs[name] for name in (main, REJECTED)}


def rejected(record: Rejected) -> beam.pvalue.TaggedOutput:
    """Return a rejection as a DoFn gives it."""
    return beam.pvalue.TaggedOutput(REJECTED, record)
