"""Stage encode: positions and rejections to Kafka keys and values."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from pipeline.model import Position, Reason, Rejected, Stage
from pipeline.transforms.clock import Clock, wall_clock_us
from pipeline.transforms.metric_names import LATENCY_MS, RESIDUAL_MM
from pipeline.transforms.metrics import EachFn, MeteredFn
from pipeline.transforms.outputs import POSITIONS, rejected, sort_out
from pipeline.wire.encode import encode_position, encode_rejected

_LOG = logging.getLogger(__name__)


class EncodePositions(beam.PTransform):
    """``PCollection[Position]`` to a dict of ``positions``, the keys and values of ``out_data``, and ``rejected``."""

    def __init__(self, *, clock: Clock = wall_clock_us, strict: bool = False) -> None:
        super().__init__()
        self._clock = clock
        self._strict = strict

    def expand(self, positions: beam.PCollection[Position]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        encoding = EncodeFn(self._clock, strict=self._strict)
        return sort_out(positions, "Encode", encoding, POSITIONS, tuple[bytes, bytes])


class EncodeFn(MeteredFn):
    """See :class:`EncodePositions`."""

    def __init__(self, clock: Clock, *, strict: bool) -> None:
        super().__init__("encode")
        self._clock = clock
        self._strict = strict

    def process(self, position: Position) -> Iterator[Any]:
        """Encode one position."""
        self._metrics.add("in")
        try:
            encoded = encode_position(position)
        except Exception as error:
            if self._strict:
                raise
            _LOG.exception("position %s of tag %s could not be encoded", position.fix_id, position.tag)
            self._metrics.internal_error()
            for reading in position.readings:
                self._metrics.rejected(Reason.INTERNAL_ERROR.value)
                yield rejected(Rejected.of(reading, Reason.INTERNAL_ERROR, Stage.ENCODE, repr(error)))
        else:
            self._measure(position)
            yield encoded

    def _measure(self, position: Position) -> None:
        self._metrics.add("out")
        heard_us = max([reading.kafka_time_us for reading in position.readings])
        self._metrics.observe(LATENCY_MS, (self._clock() - heard_us) // 1000)
        if position.residual_m is not None:
            self._metrics.observe(RESIDUAL_MM, round(position.residual_m * 1000))


class EncodeRejected(beam.PTransform):
    """``PCollection[Rejected]`` to the key and value of ``out_rejected``. ``topic`` is where the records came from."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, records: beam.PCollection[Rejected]) -> beam.PCollection[tuple[bytes, bytes]]:
        """Apply the stage."""
        topic = self._topic
        encoding = EachFn("encode_rejections", lambda record: [encode_rejected(record, topic=topic)])
        return records | "Encode" >> beam.ParDo(encoding).with_output_types(tuple[bytes, bytes])
