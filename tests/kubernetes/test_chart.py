"""The Helm chart: it renders, says what is wrong with values, and what it renders is what it promises."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import preflight_arguments, worker_pool_arguments
from tests.kubernetes.conftest import (
    BROKERS,
    BUCKET,
    CHART,
    PASSWORD,
    PLAIN,
    SITE,
    VALUES,
    Helm,
    Resource,
    flink_deployment,
    of_kind,
    tool,
)

FROM_VALUES = VALUES["properties"]


def spec_of(resources: list[Resource]) -> Resource:
    spec: Resource = flink_deployment(resources)["spec"]
    return spec


def test_the_chart_passes_helms_own_check(helm: Helm) -> None:
    done = helm.run("lint --strict", str(CHART), *PLAIN)
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_application_is_rendered(rendering: list[Resource]) -> None:
    spec = spec_of(rendering)
    assert spec["flinkVersion"] == "v1_19"
    assert spec["mode"] == "native"
    assert spec["job"]["jarURI"] == "local:///opt/flink/usrlib/job.jar"
    assert spec["job"]["entryClass"] == "rtls.FlinkJob"
    assert spec["job"]["allowNonRestoredState"] is False


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), "kafka.bootstrapServers is not given"),
        ((BROKERS, BUCKET), "give site.map (--set-file site.map=site.yaml) or site.existingConfigMap"),
        ((SITE, BROKERS), "give storage.uri, or storage.persistentVolumeClaim.create or .existingClaim"),
        ((*PLAIN, "--set=storage.persistentVolumeClaim.create=true"), "storage.uri, storage.persistentVolumeClaim"),
        ((*PLAIN, "--set=site.existingConfigMap=map"), "site.map and site.existingConfigMap are both given"),
        ((*FROM_VALUES, "--set=kafka.existingSecret=s"), "kafka.existingSecret and kafka.properties are both given"),
        ((*PLAIN, "--set=job.parallelism=0"), "/job/parallelism"),
        ((*PLAIN, "--set=job.parallelism=two"), "/job/parallelism"),
        ((*PLAIN, "--set=job.upgradeMode=now"), "/job/upgradeMode"),
        ((*PLAIN, "--set=job.paralelism=2"), "paralelism"),
        ((*PLAIN, "--set=kafka.offset=committed"), "/kafka/offset"),
        ((*PLAIN, "--set=kafka.bootstrapServers=broker"), "/kafka/bootstrapServers"),
        ((*PLAIN, "--set=storage.uri=/data"), "/storage/uri"),
        ((*PLAIN, "--set=workerPool.port=70000"), "/workerPool/port"),
        ((*PLAIN, "--set=taskManager.resource.memory=2G"), "/taskManager/resource/memory"),
        ((*PLAIN, "--set=checkpoints.stateBackend=disk"), "/checkpoints/stateBackend"),
        ((*PLAIN, "--set=checkpoints.interval=10"), "/checkpoints/interval"),
        ((*PLAIN, "--set=flinkConfiguration.a=1"), "/flinkConfiguration/a"),
        ((*PLAIN, "--set=highAvailability.enabled=false,job.upgradeMode=last-state"), "job.upgradeMode last-state"),
        ((*PLAIN, "--set=highAvailability.enabled=false,jobManager.replicas=2"), "jobManager.replicas"),
        ((*PLAIN, "--set=serviceAccount.create=false"), "serviceAccount.name is empty"),
    ],
)
def test_wrong_values_are_refused_by_name(helm: Helm, values: tuple[str, ...], expected: str) -> None:
    assert expected in helm.refusal(*values)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("execution.checkpointing.mode", 'the chart sets it, to "EXACTLY_ONCE"'),
        ("state.checkpoints.dir", 'the chart sets it, to "s3://bucket/rtls/checkpoints"'),
        ("taskmanager.data.port", 'the chart sets it, to "6121"'),
        ("state.backend", "use checkpoints.stateBackend"),
        ("high-availability.type", "use highAvailability.enabled"),
        ("kubernetes.pod-template-file.taskmanager", "it would replace the pods of the chart"),
    ],
)
@pytest.mark.parametrize("available", ["true", "false"])
def test_what_the_chart_stands_for_is_not_overridden(helm: Helm, key: str, expected: str, available: str) -> None:
    escaped = key.replace(".", "\\.")
    values = (f"--set=highAvailability.enabled={available}", f"--set-string=flinkConfiguration.{escaped}=x")
    refusal = helm.refusal(*PLAIN, *values)
    assert f"flinkConfiguration.{key} cannot be given: {expected}" in refusal


def test_more_configuration_is_merged_in(helm: Helm) -> None:
    given = {"s3.endpoint": "http://minio:9000", "state.checkpoints.num-retained": "9"}
    configuration = spec_of(helm.template(*PLAIN, f"--set-json=flinkConfiguration={json.dumps(given)}"))[
        "flinkConfiguration"
    ]
    assert given.items() <= configuration.items()
    assert configuration["execution.checkpointing.mode"] == "EXACTLY_ONCE"


def test_every_setting_is_one_that_flink_knows(rendering: list[Resource], flink_options: frozenset[str]) -> None:
    """Flink itself says nothing to one that it does not know."""
    configuration = spec_of(rendering)["flinkConfiguration"]
    of_plugins = {key for key in configuration if key.startswith(("s3.", "metrics.reporter.prom."))}
    assert configuration.keys() - of_plugins <= flink_options
    assert "execution.checkpointing.intervall" not in flink_options


def test_the_metrics_reporter_is_one_that_flink_finds(renderings: dict[str, list[Resource]]) -> None:
    configuration = spec_of(renderings["plain"])["flinkConfiguration"]
    (jar,) = tool("flink").glob("flink-metrics-prometheus-*.jar")
    with zipfile.ZipFile(jar) as archive:
        found = archive.read("META-INF/services/org.apache.flink.metrics.reporter.MetricReporterFactory").decode()
    assert configuration["metrics.reporter.prom.factory.class"] in found.split()


def test_state_goes_to_the_storage_that_was_named(renderings: dict[str, list[Resource]]) -> None:
    for name, place in (("plain", "s3://bucket/rtls"), ("kind", "file:///flink-data"), ("claim", "file:///flink-data")):
        configuration = spec_of(renderings[name])["flinkConfiguration"]
        assert configuration["state.checkpoints.dir"] == f"{place}/checkpoints"
        assert configuration["state.savepoints.dir"] == f"{place}/savepoints"
        assert configuration["high-availability.storageDir"] == f"{place}/ha"


def test_a_created_claim_outlives_the_release(renderings: dict[str, list[Resource]]) -> None:
    (claim,) = of_kind(renderings["kind"], "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert not of_kind(renderings["claim"], "PersistentVolumeClaim")
    assert not of_kind(renderings["plain"], "PersistentVolumeClaim")


def test_a_changed_site_map_restarts_nothing(helm: Helm) -> None:
    """The workers see the mounted file change."""

    def deployed(*values: str) -> Any:
        return spec_of(helm.template(BROKERS, BUCKET, *values))

    assert deployed("--set=site.map=a") == deployed("--set=site.map=b")


def test_a_newer_chart_alone_does_not_restart_the_job(rendering: list[Resource]) -> None:
    spec = spec_of(rendering)
    for role in ("jobManager", "taskManager"):
        labels = spec[role]["podTemplate"]["metadata"]["labels"]
        assert not labels.keys() & {"helm.sh/chart", "app.kubernetes.io/version"}


def test_no_secret_stands_anywhere_but_in_secrets(renderings: dict[str, list[Resource]]) -> None:
    resources = renderings["properties"]
    secrets = of_kind(resources, "Secret")
    assert len(secrets) == 2
    for secret in secrets:
        assert PASSWORD in base64.b64decode(secret["data"]["kafka.properties"]).decode()
    others = json.dumps([resource for resource in resources if resource["kind"] != "Secret"])
    assert PASSWORD not in others
    assert base64.b64encode(PASSWORD.encode()).decode() not in others


def test_the_role_is_bound_to_the_account_that_flink_runs_as(renderings: dict[str, list[Resource]]) -> None:
    resources = renderings["plain"]
    account = spec_of(resources)["serviceAccount"]
    (binding,) = of_kind(resources, "RoleBinding")
    (role,) = of_kind(resources, "Role")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "rtls"}]
    assert [resource["metadata"]["name"] for resource in of_kind(resources, "ServiceAccount")] == [account]
    for rule in role["rules"]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_a_named_account_is_left_as_it_is(renderings: dict[str, list[Resource]]) -> None:
    resources = renderings["account"]
    assert spec_of(resources)["serviceAccount"] == "flink"
    assert not [resource for resource in resources if resource["kind"] in {"ServiceAccount", "Role", "RoleBinding"}]


# --- preflight -----------------------------------------------------------------------------------------------------


def hooks(resources: list[Resource]) -> list[Resource]:
    return [resource for resource in resources if "helm.sh/hook" in resource["metadata"].get("annotations", {})]


def test_preflight_runs_before_the_first_start_alone(rendering: list[Resource]) -> None:
    for hook in hooks(rendering):
        assert hook["metadata"]["annotations"]["helm.sh/hook"] == "pre-install"
    assert all(hook in hooks(rendering) for hook in of_kind(rendering, "Job"))


def test_what_preflight_needs_is_there_before_it_and_goes_with_it(renderings: dict[str, list[Resource]]) -> None:
    found = hooks(renderings["properties"])
    weights = {hook["kind"]: int(hook["metadata"]["annotations"]["helm.sh/hook-weight"]) for hook in found}
    assert weights.keys() == {"Secret", "NetworkPolicy", "Job"}
    assert max(weights["Secret"], weights["NetworkPolicy"]) < weights["Job"]
    policies = {hook["metadata"]["annotations"]["helm.sh/hook-delete-policy"] for hook in found}
    assert policies == {"before-hook-creation,hook-succeeded"}
    (job,) = of_kind(found, "Job")
    (secret,) = of_kind(found, "Secret")
    (volume,) = (volume for volume in job["spec"]["template"]["spec"]["volumes"] if volume["name"] == "kafka")
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]


def test_preflight_takes_nothing_from_resources_that_come_later(rendering: list[Resource]) -> None:
    later = {resource["metadata"]["name"] for resource in rendering if resource not in hooks(rendering)}
    for job in of_kind(rendering, "Job"):
        spec = job["spec"]["template"]["spec"]
        secrets = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
        assert not {*secrets, spec.get("serviceAccountName")} & later


def test_preflight_is_called_as_the_command_takes_it(rendering: list[Resource], tmp_path: Path) -> None:
    properties = tmp_path / "kafka.properties"
    properties.write_text("security.protocol=SSL")
    for job in of_kind(rendering, "Job"):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["command"] == ["beam-rtls", "preflight"]
        arguments = [
            argument.replace("/etc/beam-rtls/kafka/kafka.properties", str(properties)) for argument in container["args"]
        ]
        kafka = preflight_arguments.parse(arguments).kafka
        assert (kafka.group_id, kafka.offset) == ("beam-rtls", "latest")
        assert bool(kafka.properties) == any(volume["name"] == "kafka" for volume in container["volumeMounts"])


def test_output_brokers_are_handed_on(helm: Helm) -> None:
    resources = helm.template(*PLAIN, "--set=kafka.outputBootstrapServers=out:9094")
    (job,) = of_kind(resources, "Job")
    arguments = preflight_arguments.parse(job["spec"]["template"]["spec"]["containers"][0]["args"])
    assert arguments.kafka.bootstrap_servers == "broker:9092"
    assert arguments.kafka.output_bootstrap_servers == "out:9094"


def test_the_worker_pool_is_called_as_the_command_takes_it(
    rendering: list[Resource],
) -> None:
    pool = worker_pool(rendering)
    arguments = worker_pool_arguments.parse(pool["args"])
    assert arguments.host == "127.0.0.1"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        command = pool[probe]["exec"]["command"]
        assert command[:2] == ["python", "-c"]
        assert f"('127.0.0.1', {arguments.port})" in command[2]
        compile(command[2], "probe", "exec")


def worker_pool(resources: list[Resource]) -> Resource:
    containers = spec_of(resources)["taskManager"]["podTemplate"]["spec"]["containers"]
    assert [container["name"] for container in containers] == ["flink-main-container", "worker-pool"]
    pool: Resource = containers[1]
    return pool
