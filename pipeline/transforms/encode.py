"""Stage encode: positions and rejections to Kafka keys and values."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import apache_beam as beam

from pipeline.model import Position, Reading, Reason, Rejected, Stage
from pipeline.transforms.clock import Clock, wall_clock_us
from pipeline.transforms.metric_names import LATENCY_MS, RESIDUAL_MM
from pipeline.transforms.metrics import EachFn, MeteredFn
from pipeline.transforms.outputs import POSITIONS, rejected, sort_out
from pipeline.wire.encode import encode_position, encode_rejected
from pipeline.wire.kafka_records import Produced, pack_produced

_LOG = logging.getLogger(__name__)
_KAFKA_TIME = itemgetter(Reading._fields.index("kafka_time_us"))


class EncodePositions(beam.PTransform):
    """``PCollection[list[Position]]`` to a dict of ``positions``, packed records of ``out_data``, and ``rejected``."""

    def __init__(self, *, clock: Clock = wall_clock_us, strict: bool = False) -> None:
        super().__init__()
        self._clock = clock
        self._strict = strict

    def expand(self, positions: beam.PCollection[list[Position]]) -> dict[str, beam.PCollection[Any]]:
        """Apply the stage."""
        return sort_out(positions, "Encode", EncodeFn(self._clock, strict=self._strict), POSITIONS, bytes)


class EncodeFn(MeteredFn):
    """See :class:`EncodePositions`."""

    def __init__(self, clock: Clock, *, strict: bool) -> None:
        super().__init__("encode")
        self._clock = clock
        self._strict = strict

    def process(self, positions: Sequence[Position]) -> Iterator[Any]:
        """Encode some positions."""
        self._metrics.add("in", len(positions))
        encoded: list[Produced] = []
        told: list[Position] = []
        for position in positions:
            try:
                encoded.append(encode_position(position))
            except Exception as error:
                if self._strict:
                    raise
                yield from self._refused(position, error)
            else:
                told.append(position)
        if encoded:
            self._measure(told)
            yield pack_produced(encoded)

    def _refused(self, position: Position, error: Exception) -> Iterator[Any]:
        _LOG.exception("position %s of tag %s could not be encoded", position.fix_id, position.tag)
        self._metrics.internal_error()
        for reading in position.readings:
            self._metrics.rejected(Reason.INTERNAL_ERROR.value)
            yield rejected(Rejected.of(reading, Reason.INTERNAL_ERROR, Stage.ENCODE, repr(error)))

    def _measure(self, positions: Sequence[Position]) -> None:
        self._metrics.add("out", len(positions))
        now_us = self._clock()
        heard_us = [max(map(_KAFKA_TIME, position.readings)) for position in positions]
        self._metrics.observe_all(LATENCY_MS, [(now_us - at_us) // 1000 for at_us in heard_us])
        residuals_m = [position.residual_m for position in positions]
        self._metrics.observe_all(RESIDUAL_MM, [round(one * 1000) for one in residuals_m if one is not None])


class EncodeRejected(beam.PTransform):
    """``PCollection[Rejected]`` to packed records of ``out_rejected``. ``topic`` is where the records came from."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, records: beam.PCollection[Rejected]) -> beam.PCollection[bytes]:
        """Apply the stage."""
        topic = self._topic
        encoding = EachFn("encode_rejections", lambda record: [pack_produced([encode_rejected(record, topic=topic)])])
        return records | "Encode" >> beam.ParDo(encoding).with_output_types(bytes)
