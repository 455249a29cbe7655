"""The ids by which a savepoint knows who set a timer."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.portability.api import beam_runner_api_pb2

from pipeline.graph import build
from pipeline.live_site import LiveSite
from pipeline.replay.engine import batch
from pipeline.settings import GraphSettings
from pipeline.site import SiteFile
from pipeline.stable_ids import name_by_label
from tests.beam_engines import FN_API, anything, ends, engine
from tests.test_graph import ROOT, keeps_state


def graph(*, with_one_more: bool) -> beam_runner_api_pb2.Pipeline:
    pipeline = engine(FN_API)
    if with_one_more:
        _ = pipeline | "One" >> beam.Create([1]) | "More" >> beam.Map(str)
    site = LiveSite(SiteFile(str(ROOT / "anchors" / "demo.yaml")))
    build(pipeline, ends(batch(()), anything, anything), site, GraphSettings())
    described: beam_runner_api_pb2.Pipeline = pipeline.to_runner_api()
    return described


def stages_with_state(described: beam_runner_api_pb2.Pipeline) -> dict[str, str]:
    """Return the ids of the stages that a savepoint knows, by their labels."""
    return {step.unique_name: name for name, step in described.components.transforms.items() if keeps_state(step)}


def test_a_stage_more_changes_no_id_of_a_stage_with_state() -> None:
    before, after = graph(with_one_more=False), graph(with_one_more=True)
    assert stages_with_state(before) != stages_with_state(after)  # as Beam has it
    name_by_label(before)
    name_by_label(after)
    assert stages_with_state(before) == stages_with_state(after)
    assert len(stages_with_state(before)) == 5


def test_the_pipeline_stays_what_it_was() -> None:
    before, named = graph(with_one_more=False), graph(with_one_more=False)
    name_by_label(named)
    assert by_label(named) == by_label(before)
    transforms = named.components.transforms
    assert {name for step in transforms.values() for name in step.subtransforms} <= transforms.keys()
    assert set(named.root_transform_ids) <= transforms.keys()
    again = beam_runner_api_pb2.Pipeline()
    again.CopyFrom(named)
    name_by_label(again)
    assert again == named


def by_label(described: beam_runner_api_pb2.Pipeline) -> dict[str, tuple[list[str], bytes, dict[str, str]]]:
    """Return what each transform is made of and does, by its label."""
    transforms = described.components.transforms
    return {
        step.unique_name: (
            [transforms[name].unique_name for name in step.subtransforms],
            step.spec.payload if keeps_state(step) else b"",
            dict(step.inputs),
        )
        for step in transforms.values()
    }


def test_stages_that_watch_are_known_by_their_ids() -> None:
    """The job's entry class gives them longer bundles, and no other stage with state (StageBundles.java)."""
    named = graph(with_one_more=False)
    name_by_label(named)
    watches = {
        label for label, name in stages_with_state(named).items() if name.startswith("ref_AppliedPTransform_Watch")
    }
    assert watches == {"WatchAnchors/Watch", "WatchMap/Watch", "WatchTags/Watch", "WatchZones/Watch"}
