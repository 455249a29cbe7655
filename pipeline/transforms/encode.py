"""Stage encode: fixes and rejections to Kafka keys and values."""

from __future__ import annotations

import apache_beam as beam

from pipeline.model import Fix, Rejected
from pipeline.wire.encode import encode_position, encode_rejected


class EncodePositions(beam.PTransform):
    """``PCollection[Fix]`` to the key and value of ``out_data``."""

    def expand(self, fixes: beam.PCollection[Fix]) -> beam.PCollection[tuple[bytes, bytes]]:
        """Apply the stage."""
        return fixes | "Encode" >> beam.Map(encode_position).with_output_types(tuple[bytes, bytes])


class EncodeRejected(beam.PTransform):
    """``PCollection[Rejected]`` to the key and value of ``out_rejected``. ``topic`` is where the records came from."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, rejected: beam.PCollection[Rejected]) -> beam.PCollection[tuple[bytes, bytes]]:
        """Apply the stage."""
        return rejected | "Encode" >> beam.Map(encode_rejected, topic=self._topic).with_output_types(
            tuple[bytes, bytes],
        )
