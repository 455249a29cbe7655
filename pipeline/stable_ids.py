"""Ids of transforms that follow from their labels, and from nothing else.

Beam numbers the transforms of a pipeline, and Flink keeps a transform's id with each of its timers in a savepoint.
Where a stage is added, those after it had other numbers, and a job resumed with their timers fails.
"""

from __future__ import annotations

from apache_beam.portability.api import beam_runner_api_pb2

_NUMBERED = "ref_AppliedPTransform_"
"""What the ids that Beam's Python side gives begin with; KafkaIO's follow from labels already."""


def name_by_label(pipeline: beam_runner_api_pb2.Pipeline) -> None:
    """Give the transforms of a pipeline ids made of their full labels, which are unique in it."""
    transforms = pipeline.components.transforms
    names = {
        old: f"{_NUMBERED}{transform.unique_name}" if old.startswith(_NUMBERED) else old
        for old, transform in transforms.items()
    }
    for old, new in names.items():
        if new != old:
            transforms[new].CopyFrom(transforms[old])
            del transforms[old]
    for transform in transforms.values():
        transform.subtransforms[:] = [names[old] for old in transform.subtransforms]
    pipeline.root_transform_ids[:] = [names[old] for old in pipeline.root_transform_ids]
