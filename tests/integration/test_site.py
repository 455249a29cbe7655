"""What happens to a site while the pipeline runs over a real Kafka: its map changes, anchors die, tags cross zones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Message

from runners.direct.broker import Broker
from tests.integration.conftest import ReadTopic, RunOnFlink, RunPipeline, Topics
from tests.integration.test_pipeline import parsed, simulate
from tests.test_wire_omlox import check as check_omlox

ANCHORS = """\
site: hall
tag_height: 1.0
anchors:
  - {id: A0, x: 0, y: 0, z: 3}
  - {id: A1, x: 12, y: 0, z: 3}
  - {id: A2, x: 12, y: 10, z: 3}
  - {id: A3, x: 0, y: 10, z: 3}
"""
NEW = "  - {id: A4, x: 6, y: 12, z: 3}\n"
BROKEN = "  - {id: A4, x: six, y: 12, z: 3}\n"
ZONES = """\
zones:
  - {id: hall, polygon: [[-20, -20], [30, -20], [30, 30], [-20, 30]]}
  - {id: moon, polygon: [[500, 500], [510, 500], [510, 510]]}
"""
CALM = ("--outlier-share=0", "--lost-share=0", "--still-share=0")


def any_of(check: Callable[[dict[str, Any]], bool]) -> Callable[[list[Message]], bool]:
    return lambda messages: any(check(value) for value in parsed(messages))


def test_a_site_is_changed_while_the_job_runs(
    broker: Broker, topics: Topics, run_on_flink: RunOnFlink, read_topic: ReadTopic, tmp_path: Path
) -> None:
    """An anchor that is heard before it is on the map; a broken map; a mended one."""
    site, whole = tmp_path / "site.yaml", tmp_path / "whole.yaml"
    whole.write_text(ANCHORS + NEW)
    site.write_text(ANCHORS)
    flags = (f"--anchors={whole}", "--tags=3", "--duration=600", *CALM)
    run_on_flink.children.start(simulate(broker, topics, tmp_path, *flags))
    run = run_on_flink(site)

    is_unknown = any_of(lambda value: (value["reason"], value["anchorid"]) == ("unknown_anchor", "A4"))
    read_topic(topics.rejected, is_unknown, 180, check=run.check)
    positions = read_topic(topics.positions, lambda found: len(found) >= 10, 60, check=run.check)
    (first,) = {value["map_version"] for value in parsed(positions)}

    site.write_text(ANCHORS + BROKEN)
    (refused,) = parsed(read_topic(topics.events, lambda found: len(found) >= 1, 60, settle_s=5, check=run.check))
    assert (refused["kind"], refused["site"]) == ("map_refused", "hall")
    assert refused["detail"] == f"{site}:8: anchor 'A4': x is six; expected a finite number of metres"
    known = len(read_topic(topics.positions, lambda found: len(found) >= 10, 60, check=run.check))
    positions = read_topic(topics.positions, lambda found: len(found) >= known + 10, 60, check=run.check)
    assert {value["map_version"] for value in parsed(positions)} == {first}

    site.write_text(ANCHORS + NEW)
    read_topic(topics.positions, any_of(lambda value: "A4" in value["anchors"]), 60, check=run.check)
    _, changed = parsed(read_topic(topics.events, lambda found: len(found) >= 2, 60, settle_s=5, check=run.check))
    assert (changed["kind"], changed["detail"]) == ("map_changed", "")
    for value in parsed(read_topic(topics.positions, lambda found: len(found) > known, 60)):
        assert value["map_version"] in {first, changed["map_version"]}
        assert "A4" not in value["anchors"] or value["map_version"] == changed["map_version"]


def test_on_prism_deaths_entries_and_tags_torn_off_are_told_once(
    broker: Broker, topics: Topics, run_pipeline: RunPipeline, read_topic: ReadTopic, tmp_path: Path
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(ANCHORS + "tag_identity: first12\n" + ZONES)
    omlox = {name: f"{name}-{topics.data}" for name in ("locations", "fence_events")}
    broker.create_topics(omlox.values())
    flags = [f"--omlox-{name.replace('_', '-')}-topic={topic}" for name, topic in omlox.items()]
    run = run_pipeline(site, "--anchor-timeout=4", "--outage-window=2", *flags)
    told = (f"--anchors={site}", "--tags=2", "--duration=45", *CALM, "--tear-off=0:20", "--anchor-outage=A3:15:15")
    run_pipeline.children.start(simulate(broker, topics, tmp_path, *told))

    def are_all_told(messages: list[Message]) -> bool:
        kinds = [value["kind"] for value in parsed(messages)]
        return kinds.count("zone_entry") >= 2 and {"anchor_dead", "anchor_back", "tag_detached"} <= set(kinds)

    events = parsed(read_topic(topics.events, are_all_told, 120, check=run.check))
    assert sorted((value["kind"], value["tagid"] or value["anchorid"]) for value in events) == [
        ("anchor_back", "A3"),
        ("anchor_dead", "A3"),
        ("tag_detached", "0003FF0000000000"),
        ("zone_entry", "0003FF0000000000"),
        ("zone_entry", "0003FF0000010000"),
    ]
    (death,) = parsed(read_topic(topics.deaths, lambda found: len(found) >= 1, 10))
    assert death["anchorid"] == "A3"
    assert death["event_id"] in {value["event_id"] for value in events}
    tags = {value["tagid"] for value in parsed(read_topic(topics.positions, lambda found: len(found) >= 50, 30))}
    assert tags == {"0003FF0000000000", "0003FF0000010000"}
    for name, topic, kind in (
        ("locations", omlox["locations"], "Location"),
        ("fence_events", omlox["fence_events"], "FenceEvent"),
    ):
        for value in parsed(read_topic(topic, lambda found: len(found) >= 2, 30)):
            check_omlox(value, kind)
            assert value["provider_id"] in tags, name


def test_a_run_that_watches_nothing_needs_no_heartbeats(
    broker: Broker, topics: Topics, run_pipeline: RunPipeline, read_topic: ReadTopic, tmp_path: Path
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(ANCHORS)
    run = run_pipeline(site, "--anchor-watch=off", "--tag-watch=off", "--zone-watch=off", "--map-poll=0")
    run_pipeline.children.start(simulate(broker, topics, tmp_path, f"--anchors={site}", "--tags=2", "--duration=10"))
    read_topic(topics.positions, lambda found: len(found) >= 5, 120, check=run.check)
