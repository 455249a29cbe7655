"""The pods: hook and Flink's, the latter as the operator's and Flink's own code makes them of the FlinkDeployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes.conftest import Resource, flink_deployment, of_kind

MAIN = "flink-main-container"
RESTRICTED_VOLUMES = {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim"}


Pods = dict[str, Resource]
"""The two pods of Flink, by component."""


@pytest.fixture(scope="session")
def flinks(answers: dict[str, dict[str, Any]]) -> dict[str, Pods]:
    """The pods of Flink for every set of values."""
    return {
        name: {"jobmanager": answer["jobManager"]["spec"]["template"], "taskmanager": answer["taskManager"]}
        for name, answer in answers.items()
    }


@pytest.fixture
def flink(values: str, flinks: dict[str, Pods]) -> Pods:
    """The pods of Flink for one set of values after the other."""
    return flinks[values]


@pytest.fixture
def pods(rendering: list[Resource], flink: Pods) -> list[Resource]:
    """All pods that there will be."""
    return [*flink.values(), *(job["spec"]["template"] for job in of_kind(rendering, "Job"))]


def containers(pod: Resource) -> Iterator[Resource]:
    yield from pod["spec"]["containers"]
    yield from pod["spec"].get("initContainers", ())


def container(pod: Resource, name: str) -> Resource:
    (found,) = (container for container in containers(pod) if container["name"] == name)
    return found


def mounts(container: Resource) -> dict[str, Resource]:
    return {mount["mountPath"]: mount for mount in container.get("volumeMounts", ())}


def volume(pod: Resource, name: str) -> Resource:
    (found,) = (volume for volume in pod["spec"]["volumes"] if volume["name"] == name)
    return {key: value for key, value in found.items() if key != "name"}


# --- security ------------------------------------------------------------------------------------------------------


def test_no_container_may_do_more_than_it_must(pods: list[Resource]) -> None:
    for pod in pods:
        for each in containers(pod):
            context = each["securityContext"]
            assert context["runAsNonRoot"] is True
            assert context["runAsUser"] >= 1000
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert "privileged" not in context


def test_no_pod_may_do_more_than_it_must(pods: list[Resource]) -> None:
    for pod in pods:
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] >= 1000
        assert context["fsGroup"] >= 1000
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["spec"].get("hostNetwork")
        assert not {"hostPID", "hostIPC"} & pod["spec"].keys()
        kinds = {key for volume in pod["spec"]["volumes"] for key in volume if key != "name"}
        assert kinds <= RESTRICTED_VOLUMES


def test_what_has_to_be_written_can_be(pods: list[Resource], flink: Pods) -> None:
    for pod in pods:
        for each in containers(pod):
            assert "emptyDir" in volume(pod, mounts(each)["/tmp"]["name"])  # noqa: S108  (the container's)
    for pod in flink.values():
        assert "emptyDir" in volume(pod, mounts(container(pod, MAIN))["/opt/flink/log"]["name"])


def test_kubernetes_sets_no_variables_that_would_be_taken_for_settings(pods: list[Resource]) -> None:
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in pods)


def test_only_flink_may_talk_to_kubernetes(rendering: list[Resource], flink: Pods, pods: list[Resource]) -> None:
    token = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  (a place)
    assert flink["jobmanager"]["spec"]["automountServiceAccountToken"] is True
    assert [each["name"] for each in containers(flink["jobmanager"])] == [MAIN]
    for pod in pods:
        if pod is not flink["jobmanager"]:
            assert pod["spec"]["automountServiceAccountToken"] is False
    available = "high-availability.type" in flink_deployment(rendering)["spec"]["flinkConfiguration"]
    assert (token in mounts(container(flink["taskmanager"], MAIN))) == available
    assert token not in mounts(container(flink["taskmanager"], "worker-pool"))


# --- what is where -------------------------------------------------------------------------------------------------


def test_the_images_are_where_they_belong(flink: Pods) -> None:
    for pod in flink.values():
        assert container(pod, MAIN)["image"] == "beam-rtls-flink:0.1.0"
    assert container(flink["taskmanager"], "worker-pool")["image"] == "beam-rtls-worker:0.1.0"


def test_workers_have_probes_and_resources_of_their_own(flink: Pods) -> None:
    pool = container(flink["taskmanager"], "worker-pool")
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= pool.keys()
    assert {"cpu", "memory"} <= pool["resources"]["requests"].keys()
    assert "memory" in pool["resources"]["limits"]
    assert "ports" not in pool


def test_flink_gets_the_resources_of_the_values(flink: Pods) -> None:
    limits = {name: container(pod, MAIN)["resources"]["limits"] for name, pod in flink.items()}
    assert limits["jobmanager"] == {"cpu": "0.5", "memory": "1536Mi"}
    assert limits["taskmanager"] == {"cpu": "1.0", "memory": "2048Mi"}


def test_a_changed_site_map_reaches_the_workers(rendering: list[Resource], flink: Pods) -> None:
    pool = container(flink["taskmanager"], "worker-pool")
    mount = mounts(pool)["/etc/beam-rtls/site"]
    assert mount["readOnly"] is True
    assert "subPath" not in mount  # with one, an update would not arrive
    name = volume(flink["taskmanager"], mount["name"])["configMap"]["name"]
    rendered = {resource["metadata"]["name"]: resource for resource in of_kind(rendering, "ConfigMap")}
    assert name == "map" or "site: demo" in rendered[name]["data"]["site.yaml"]


def test_only_those_who_talk_to_kafka_get_its_credentials(flinks: dict[str, Pods]) -> None:
    for name, secret in (("secret", "kafka"), ("properties", "beam-rtls-kafka"), ("plain", None)):
        for pod in flinks[name].values():
            found = mounts(container(pod, MAIN)).get("/etc/beam-rtls/kafka")
            if secret is None:
                assert found is None
            else:
                assert found is not None
                assert found["readOnly"] is True
                assert volume(pod, found["name"])["secret"]["secretName"] == secret
        pool = container(flinks[name]["taskmanager"], "worker-pool")
        assert set(mounts(pool)) == {"/tmp", "/etc/beam-rtls/site"}  # noqa: S108  (the container's)


def test_all_of_flink_sees_one_volume_for_state(flinks: dict[str, Pods]) -> None:
    for name, claim in (("kind", "beam-rtls"), ("claim", "flink"), ("plain", None)):
        for pod in flinks[name].values():
            found = mounts(container(pod, MAIN)).get("/flink-data")
            assert (found is not None) == (claim is not None)
            if found is not None:
                assert volume(pod, found["name"]) == {"persistentVolumeClaim": {"claimName": claim}}


def test_credentials_of_the_storage_reach_flink_alone(flinks: dict[str, Pods]) -> None:
    for pod in flinks["scheduled"].values():
        assert container(pod, MAIN)["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert "envFrom" not in container(flinks["scheduled"]["taskmanager"], "worker-pool")


def test_pods_go_where_values_send_them(flinks: dict[str, Pods]) -> None:
    pods = flinks["scheduled"]
    assert pods["jobmanager"]["spec"]["nodeSelector"] == {"pool": "a"}
    assert pods["taskmanager"]["spec"]["tolerations"] == [{"key": "rtls"}]
    for pod in pods.values():
        assert {"name": "registry"} in pod["spec"]["imagePullSecrets"]
        assert pod["metadata"]["labels"]["team"] == "rtls"


# --- the network ---------------------------------------------------------------------------------------------------


def policies_for(resources: list[Resource], pod: Resource) -> list[Resource]:
    """Return the network policies that select a pod."""
    labels = pod["metadata"]["labels"].items()
    return [
        policy["spec"]
        for policy in of_kind(resources, "NetworkPolicy")
        if policy["spec"]["podSelector"]["matchLabels"].items() <= labels
    ]


def ports(rules: list[Resource]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_every_pod_has_one_network_policy_for_both_ways(rendering: list[Resource], pods: list[Resource]) -> None:
    expected = 1 if of_kind(rendering, "NetworkPolicy") else 0
    for pod in pods:
        policies = policies_for(rendering, pod)
        assert len(policies) == expected
        for policy in policies:
            assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_only_flinks_own_ports_are_open_and_to_flink_alone(rendering: list[Resource], flink: Pods) -> None:
    for component, pod in flink.items():
        for policy in policies_for(rendering, pod):
            inside, *outside = without_metrics(policy["ingress"])
            (peer,) = inside["from"]
            for other in flink.values():
                assert peer["podSelector"]["matchLabels"].items() <= other["metadata"]["labels"].items()
            named = {port["containerPort"] for port in container(pod, MAIN)["ports"] if port.get("name") != "metrics"}
            assert named - ports([inside]) == ({8081} if component == "jobmanager" else set())
            assert ports(outside) == ({8081} if component == "jobmanager" else set())
            assert not {50000, 50001} & ports(policy["ingress"])
            for rule in outside:
                (operator,) = rule["from"]
                assert operator["namespaceSelector"]
                assert operator["podSelector"]


def without_metrics(rules: list[Resource]) -> list[Resource]:
    return [rule for rule in rules if not ports([rule]) <= {9249, 9250}]


@pytest.mark.parametrize(("name", "port"), [("plain", 9249), ("metrics", 9250)])
def test_prometheus_is_told_of_the_metrics_and_reaches_them(
    renderings: dict[str, list[Resource]], flinks: dict[str, Pods], name: str, port: int
) -> None:
    configuration = flink_deployment(renderings[name])["spec"]["flinkConfiguration"]
    assert configuration["metrics.reporter.prom.port"] == str(port)
    for pod in flinks[name].values():
        assert pod["metadata"]["annotations"].items() >= {
            ("prometheus.io/scrape", "true"),
            ("prometheus.io/path", "/metrics"),
            ("prometheus.io/port", str(port)),
        }
        (named,) = (one for one in container(pod, MAIN)["ports"] if one["name"] == "metrics")
        assert (named["containerPort"], named["protocol"]) == (port, "TCP")
        (policy,) = policies_for(renderings[name], pod)
        (rule,) = (rule for rule in policy["ingress"] if ports([rule]) == {port})
        assert rule["from"]


def test_without_metrics_there_is_no_reporter_and_no_port(
    renderings: dict[str, list[Resource]], flinks: dict[str, Pods]
) -> None:
    configuration = flink_deployment(renderings["no-metrics"])["spec"]["flinkConfiguration"]
    assert not any(key.startswith("metrics.reporter.") for key in configuration)
    for pod in flinks["no-metrics"].values():
        assert "prometheus.io/scrape" not in pod["metadata"].get("annotations", {})
        assert "metrics" not in {one["name"] for one in container(pod, MAIN)["ports"]}
        (policy,) = policies_for(renderings["no-metrics"], pod)
        assert without_metrics(policy["ingress"]) == policy["ingress"]


def test_ports_that_flink_would_choose_at_random_are_fixed_and_open(
    renderings: dict[str, list[Resource]], flinks: dict[str, Pods]
) -> None:
    deployment = flink_deployment(renderings["plain"])
    configuration = deployment["spec"]["flinkConfiguration"]
    data, metrics = (
        int(configuration[key]) for key in ("taskmanager.data.port", "metrics.internal.query-service.port")
    )
    (of_task_manager,) = policies_for(renderings["plain"], flinks["plain"]["taskmanager"])
    (of_job_manager,) = policies_for(renderings["plain"], flinks["plain"]["jobmanager"])
    assert {data, metrics} <= ports(of_task_manager["ingress"])
    assert metrics in ports(of_job_manager["ingress"])
    assert {data, metrics} <= ports(of_task_manager["egress"])


def test_nobody_reaches_preflight(renderings: dict[str, list[Resource]]) -> None:
    (job,) = of_kind(renderings["plain"], "Job")
    (policy,) = policies_for(renderings["plain"], job["spec"]["template"])
    assert policy["ingress"] == []
    assert ports(policy["egress"]) == {53, 9092}


def test_pods_reach_what_they_need(renderings: dict[str, list[Resource]], flinks: dict[str, Pods]) -> None:
    flinks_own = {6121, 6122, 6123, 6124, 6125}
    for name, expected in (
        ("plain", {53, 9092, 443, 6443}),
        ("kind", {53, 9092, 443, 6443}),
        ("no-high-availability", {53, 9092, 443}),
    ):
        (policy,) = policies_for(renderings[name], flinks[name]["taskmanager"])
        assert ports(policy["egress"]) - flinks_own == expected
