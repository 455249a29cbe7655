"""Row coders for the records that cross from stage to stage; without them Beam would pickle."""

from __future__ import annotations

from apache_beam.coders import RowCoder, registry

from pipeline import events, model

RECORDS = (model.KafkaRecord, model.Reading, model.Group, model.Solved, model.Position, model.Rejected, events.Event)

for _record in RECORDS:
    registry.register_coder(_record, RowCoder)
