"""Stage encode: positions and rejections to Kafka keys and values."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from pipeline.model import Position, Reason, Rejected, Stage
from pipeline.transforms.counters import Counters
from pipeline.transforms.outputs import POSITIONS, rejected, sort_out
from pipeline.wire.encode import encode_position, encode_rejected

_LOG = logging.getLogger(__name__)


class EncodePositions(beam.PTransform):
    """``PCollection[Position]`` to a dict of ``positions``, the keys and values of ``out_data``, and ``rejected``."""

    def __init__(self, *, strict: bool = False) -> None:
        super().__init__()
        self._strict = strict

    def expand(self, positions: beam.PCollection[Position]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        return sort_out(positions, "Encode", EncodeFn(strict=self._strict), POSITIONS, tuple[bytes, bytes])


class EncodeFn(beam.DoFn):
    """See :class:`EncodePositions`."""

    def __init__(self, *, strict: bool) -> None:
        super().__init__()
        self._strict = strict
        self._counters = Counters(Stage.ENCODE)

    def process(self, position: Position) -> Iterator[Any]:
        """Encode one position."""
        try:
            encoded = encode_position(position)
        except Exception as error:
            if self._strict:
                raise
            _LOG.exception("position %s of tag %s could not be encoded", position.fix_id, position.tag)
            for reading in position.readings:
                self._counters.rejected(Reason.INTERNAL_ERROR.value)
                yield rejected(Rejected.of(reading, Reason.INTERNAL_ERROR, Stage.ENCODE, repr(error)))
        else:
            self._counters.add("positions")
            yield encoded


class EncodeRejected(beam.PTransform):
    """``PCollection[Rejected]`` to the key and value of ``out_rejected``. ``topic`` is where the records came from."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, records: beam.PCollection[Rejected]) -> beam.PCollection[tuple[bytes, bytes]]:
        """Apply the stage."""
        return records | "Encode" >> beam.Map(encode_rejected, topic=self._topic).with_output_types(tuple[bytes, bytes])
