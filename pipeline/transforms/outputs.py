"""The type of an output that leaves a DoFn under a tag: Beam picks the coder by it, and would pickle without."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.typehints.native_type_compatibility import convert_to_beam_type


def typed(output: beam.PCollection[Any], element_type: Any) -> beam.PCollection[Any]:
    """Return the output, its elements declared to be of a type."""
    output.element_type = convert_to_beam_type(element_type)
    return output
