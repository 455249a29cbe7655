"""What Prometheus finds at a real Flink: our counts, and every name that alerts and dashboard ask for."""

from __future__ import annotations

import requests

from runners.direct.broker import Broker
from runners.flink.cluster import FlinkCluster
from runners.processes import wait_until
from tests.integration.conftest import DEMO, HAND_MADE, ReadTopic, RunOnFlink, Topics, publish
from tests.monitoring.expressions import asked, of_alerts, of_dashboard
from tests.monitoring.relabeling import NAME, Series, exposed, relabelled

LEFT_OUT = {"operator_id", "task_id", "job_id", "job_name", "task_name", "subtask_index"}


def scraped(cluster: FlinkCluster) -> list[tuple[Series, float]]:
    """Return what Prometheus keeps of what JobManager and TaskManager show."""
    found = []
    for address in cluster.metrics_addresses:
        response = requests.get(address, timeout=30)
        response.raise_for_status()
        for series, value in exposed(response.text):
            labels = relabelled(series)
            if labels is not None:
                found.append((labels, value))
    return found


def test_prometheus_finds_our_counts_and_all_that_alerts_and_dashboard_ask_for(
    broker: Broker, topics: Topics, run_on_flink: RunOnFlink, read_topic: ReadTopic, flink_cluster: FlinkCluster
) -> None:
    publish(broker, topics.data, [b"\xff", *HAND_MADE])
    run = run_on_flink(DEMO)
    read_topic(topics.positions, lambda found: len(found) >= 1, 180, check=run.check)
    read_topic(topics.rejected, lambda found: len(found) >= 1, 60, check=run.check)
    ours: dict[tuple[tuple[str, str], ...], float] = {}

    def of(name: str, **labels: str) -> float | None:
        return ours.get(tuple(sorted({NAME: f"beam_rtls_{name}", **labels}.items())))

    def told() -> bool:
        """Flink is told of a bundle once its records have been sent."""
        ours.clear()
        for series, value in scraped(flink_cluster):
            if series[NAME].startswith("beam_rtls_") and series["job_name"] == topics.data.replace("-", "_"):
                key = tuple(sorted((label, value) for label, value in series.items() if label not in LEFT_OUT))
                ours[key] = ours.get(key, 0.0) + value
        return of("out_total", stage="encode") == 1 and of("out_total", stage="encode_rejections") == 1

    wait_until(told, 60, "the stages have told what they count", run.check)
    assert of("in_total", stage="decode") == 4
    assert of("out_total", stage="decode") == 3
    assert of("rejected_total", stage="decode", reason="undecodable") == 1
    assert of("in_total", stage="group") == 3
    assert of("out_total", stage="group") == of("out_total", stage="trilaterate") == of("out_total", stage="track") == 1
    assert [of("group_size_bucket", stage="group", le=le) for le in ("1", "2", "3", "4", "+Inf")] == [0, 0, 1, 1, 1]
    assert of("group_size_sum", stage="group") == 3
    assert of("latency_ms_bucket", stage="encode", le="+Inf") == 1
    assert of("solve_us_bucket", stage="trilaterate", le="+Inf") == 1
    assert {value for key, value in ours.items() if ("__name__", "beam_rtls_internal_error_total") in key} == {0.0}

    names = {series[NAME] for series, _ in scraped(flink_cluster)}
    of_flink = {name for name, _ in asked([*of_alerts(), *of_dashboard()]) if name.startswith("flink_")}
    assert len(of_flink) > 5
    assert of_flink <= names
