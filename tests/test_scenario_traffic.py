"""The script's directions are given at their moment, and what goes wrong with the traffic is told."""

from __future__ import annotations

import pytest

from pipeline.commands.simulate_kafka import SimulationError
from pipeline.simulation.directed import DirectedScene
from pipeline.simulation.events import AnchorRecord, Heartbeat
from pipeline.simulation.settings import SceneSettings
from pipeline.site import Anchor, Site
from runners.processes import ProcessError, wait_until
from runners.scenario import traffic as module
from runners.scenario.script import Deed, Step
from runners.scenario.traffic import Traffic

SITE = Site("demo", {name: Anchor(name, x, 0.0, None) for name, x in (("A0", 0.0), ("A1", 5.0))})
SETTINGS = SceneSettings(tags=1, lost_share=0)
SCRIPT = (
    Step(None, "it begins", lambda scene: scene.silence("A1")),
    Step(0.2, "A1 works", lambda scene: scene.wake("A1")),
    Step(0.3, "somebody does something", Deed.KILL),
    Step(0.5, "A0 dies", lambda scene: scene.silence("A0")),
)


class Kafka:
    """Takes what is published, and takes no time for it; the clock of the test is the scene's."""

    def __init__(self, fails: bool) -> None:  # noqa: FBT001
        self.records: list[AnchorRecord | Heartbeat] = []
        self._fails = fails

    def __call__(self, *_: object) -> Kafka:
        return self

    def publish(self, record: AnchorRecord | Heartbeat) -> bool:
        if self._fails:
            raise SimulationError("no broker")
        self.records.append(record)
        return True

    def serve(self, wait_s: float) -> None:
        pass

    def close(self) -> None:
        pass


def started(monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> tuple[Traffic, Kafka, list[tuple[str, float]]]:
    kafka, noted = Kafka(fails), list[tuple[str, float]]()
    monkeypatch.setattr(module, "Publisher", kafka)
    traffic = Traffic(
        DirectedScene(SITE, SETTINGS, [(1.0, 1.0)]),
        SCRIPT,
        lambda step, _: noted.append((step.tells, round(traffic.script_s, 3))),
    )
    traffic.start("nowhere:1")
    return traffic, kafka, noted


def test_directions_are_given_at_their_moment_and_deeds_are_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic, kafka, noted = started(monkeypatch)
    wait_until(lambda: len(kafka.records) > 5, 10, "records", traffic.check)
    assert noted == [("it begins", 0.0)]
    assert {one.anchor_id for one in kafka.records} == {"A0"}
    traffic.begin()
    wait_until(lambda: traffic.script_s > 5, 10, "the script's fifth second", traffic.check)
    traffic.stop()
    assert [tells for tells, _ in noted] == ["it begins", "A1 works", "A0 dies"]
    assert [at_s for _, at_s in noted] == pytest.approx([0.0, 0.2, 0.5], abs=1e-6)
    assert kafka.records[-1].anchor_id == "A1"
    assert traffic.sent == sum(isinstance(one, AnchorRecord) for one in kafka.records)


def test_a_failure_to_publish_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic, _, _ = started(monkeypatch, fails=True)
    with pytest.raises(ProcessError, match="fell silent: no broker"):
        wait_until(lambda: False, 10, "the failure", traffic.check)
    traffic.check()
    traffic.stop()
