"""Prometheus' files, put to promtool; and that what they ask for is what the code counts."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.transforms.metric_names import COUNTERS, GAUGES, NAMESPACE, QUANTITIES, all_names, counters_of
from tests.monitoring.expressions import OF_PROMETHEUS, alerts, asked, dashboard, of_alerts, of_dashboard
from tests.monitoring.relabeling import MONITORING, NAME, Series, exposed, relabelled, rules

TOOLS = Path(os.environ.get("BEAM_RTLS_TOOLS") or Path(__file__).parents[2] / ".tools")
SHOWN = "flink_taskmanager_job_task_operator_beam_rtls_"
CARRIED = {"job_name": "beam_rtls", "operator_id": "ab", "subtask_index": "0"}


def promtool(*arguments: str) -> str:
    program = TOOLS / "promtool"
    if not program.exists():
        pytest.fail(f"{program} is missing: run `make test`, or once `make monitoring`", pytrace=False)
    done = subprocess.run(
        [program, *arguments], cwd=MONITORING, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kept(name: str) -> Series:
    """Return what Prometheus keeps of a metric of ours, called as in the code."""
    series = relabelled({NAME: SHOWN + name.replace(".", "_"), **CARRIED, "task_attempt_id": "1", "host": "here"})
    assert series is not None
    assert series.items() >= CARRIED.items()
    assert not {"task_attempt_id", "host"} & series.keys()
    return {key: value for key, value in series.items() if key not in CARRIED}


OURS = {name: kept(name) for name in all_names()}


def test_the_scrape_configuration_is_valid() -> None:
    promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yaml")


def test_the_alert_rules_are_valid() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml")


def test_alerts_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yaml")


def test_every_alert_is_seen_to_fire_and_to_be_silent() -> None:
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text(encoding="utf-8"))["tests"]
    evaluations = [evaluation for test in tests for evaluation in test["promql_expr_test"]]
    fired = re.findall(r'alertname="(\w+)"', str([one["exp_samples"] for one in evaluations]))
    assert set(fired) == {rule["alert"] for rule in alerts()}
    (well,) = (test for test in tests if test["name"].startswith("all is well"))
    assert all(one["exp_samples"] == [] for one in well["promql_expr_test"])
    given = {str(series["series"]).partition("{")[0] for series in well["input_series"]}
    assert {name for name, _ in asked(of_alerts())} - OF_PROMETHEUS <= given


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_how_bad_it_is_and_what_to_look_at(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert all(len(text) > 10 for text in rule["annotations"].values())


def test_names_become_labels() -> None:
    assert OURS["decode_heartbeats.rejected.bad_anchor_id"] == {
        NAME: "beam_rtls_rejected_total",
        "stage": "decode_heartbeats",
        "reason": "bad_anchor_id",
    }
    assert OURS["watch_anchors.event.anchor_dead"] == {
        NAME: "beam_rtls_event_total",
        "stage": "watch_anchors",
        "kind": "anchor_dead",
    }
    assert OURS["trilaterate.no_fix.internal_error"] == {
        NAME: "beam_rtls_no_fix_total",
        "stage": "trilaterate",
        "reason": "internal_error",
    }
    assert OURS["encode_rejections.internal_error"] == {
        NAME: "beam_rtls_internal_error_total",
        "stage": "encode_rejections",
    }
    assert OURS["encode.latency_ms.le_100"] == {NAME: "beam_rtls_latency_ms_bucket", "stage": "encode", "le": "100"}
    assert OURS["encode.latency_ms.sum"] == {NAME: "beam_rtls_latency_ms_sum", "stage": "encode"}
    assert OURS["site.map_is_refused"] == {NAME: "beam_rtls_site_map_is_refused"}
    assert OURS["site.map_version"] == {NAME: "beam_rtls_site_map_version"}


def test_no_two_metrics_become_one() -> None:
    assert len({tuple(sorted(series.items())) for series in OURS.values()}) == len(OURS)


def test_every_metric_finds_its_stage_and_kind() -> None:
    for stage in COUNTERS:
        for name in counters_of(stage):
            series = OURS[f"{stage}.{name}"]
            assert series.get("stage", "site") == stage
            assert series[NAME].startswith(f"{NAMESPACE}_")
            assert series[NAME].endswith(("_total", "_bucket", "_sum"))
    assert {OURS[name][NAME] for name in GAUGES} == {f"{NAMESPACE}_{name.replace('.', '_')}" for name in GAUGES}


def test_buckets_become_a_histogram() -> None:
    for stage, quantities in QUANTITIES.items():
        for quantity in quantities:
            buckets = [OURS[f"{stage}.{name}"] for name in quantity.counters[:-1]]
            assert {bucket[NAME] for bucket in buckets} == {f"{NAMESPACE}_{quantity.name}_bucket"}
            bounds = [float(bucket["le"]) for bucket in buckets]
            assert bounds == [*quantity.bounds, float("inf")]


def test_what_beam_tells_of_its_own_steps_is_dropped_and_what_flink_tells_stays() -> None:
    assert relabelled({NAME: "flink_taskmanager_job_task_operator_ref_PCollection_7_metric:element_count:v1"}) is None
    assert relabelled({NAME: "flink_jobmanager_job_uptime", "job_id": "1"}) == {
        NAME: "flink_jobmanager_job_uptime",
        "job_id": "1",
    }


def test_both_jobs_relabel_alike() -> None:
    assert rules(0) == rules(1)


def test_an_exposition_is_read_as_prometheus_reads_it() -> None:
    text = '# HELP a_b x\n# TYPE a_b gauge\na_b{c="d",e="f,\\"g",} 3.0\nh 1.0E-4\n'
    assert list(exposed(text)) == [({NAME: "a_b", "c": "d", "e": 'f,\\"g'}, 3.0), ({NAME: "h"}, 0.0001)]


def test_alerts_and_dashboard_ask_only_for_what_there_is() -> None:
    """Of the names of Flink, the test on a real Flink sees that they exist."""
    names = {series[NAME] for series in OURS.values()}
    labels = {(series[NAME], label, value) for series in OURS.values() for label, value in series.items()}
    for name, equal in asked([*of_alerts(), *of_dashboard()]):
        if name.startswith("flink_") or name in OF_PROMETHEUS:
            continue
        assert name in names
        for label, value in equal.items():
            assert (name, label, value) in labels


def test_the_dashboard_shows_every_metric_of_ours() -> None:
    shown = {name for name, _ in asked(of_dashboard())}
    assert {series[NAME] for series in OURS.values()} <= shown


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "job_name"}
    places: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        cells = {(grid["x"] + dx, grid["y"] + dy) for dx in range(grid["w"]) for dy in range(grid["h"])}
        assert not cells & places
        assert all(0 <= x < 24 for x, _ in cells)
        places |= cells
        if panel["type"] == "row":
            continue
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)
        assert all(target["legendFormat"] for target in panel["targets"])
