"""Helm, and the code of the Flink Kubernetes operator and of Flink themselves, to ask what they make of the chart.

Nothing is skipped: where a tool is missing, the test fails and says how to get it.
"""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from runners.java import java

ROOT = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("BEAM_RTLS_TOOLS") or ROOT / ".tools")
HERE = Path(__file__).parent
KUBERNETES = ROOT / "runners" / "flink" / "kubernetes"
CHART = KUBERNETES / "chart"
RELEASE = "beam-rtls"
Resource = dict[str, Any]

SITE = f"--set-file=site.map={ROOT / 'anchors' / 'demo.yaml'}"
BROKERS = "--set=kafka.bootstrapServers=broker:9092"
BUCKET = "--set=storage.uri=s3://bucket/rtls"
PLAIN = (SITE, BROKERS, BUCKET)
"""What has to be given, and no more."""

PASSWORD = "plain-words"  # noqa: S105  (nobody's)
VALUES: dict[str, tuple[str, ...]] = {
    "plain": PLAIN,
    "kind": (SITE, f"--values={KUBERNETES / 'kind-values.yaml'}"),
    "claim": (SITE, BROKERS, "--set=storage.persistentVolumeClaim.existingClaim=flink"),
    "no-high-availability": (*PLAIN, "--set=highAvailability.enabled=false"),
    "last-state": (*PLAIN, "--set=job.upgradeMode=last-state,jobManager.replicas=2"),
    "suspended": (*PLAIN, "--set=job.state=suspended,job.initialSavepointPath=s3://bucket/rtls/savepoints/1"),
    "config-map": (BROKERS, BUCKET, "--set=site.existingConfigMap=map"),
    "secret": (*PLAIN, "--set=kafka.existingSecret=kafka"),
    "properties": (*PLAIN, f"--set=kafka.properties=sasl.jaas.config={PASSWORD}"),
    "bare": (*PLAIN, "--set=networkPolicy.enabled=false,preflight.enabled=false"),
    "metrics": (*PLAIN, "--set=metrics.port=9250,networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus"),
    "no-metrics": (*PLAIN, "--set=metrics.enabled=false"),
    "account": (*PLAIN, "--set=serviceAccount.create=false,serviceAccount.name=flink"),
    "scheduled": (
        *PLAIN,
        "--set=jobManager.nodeSelector.pool=a,taskManager.tolerations[0].key=rtls",
        "--set=imagePullSecrets={registry},storage.credentialsSecret=s3,podLabels.team=rtls,podAnnotations.a=b",
    ),
    "state": (
        *PLAIN,
        "--set=checkpoints.stateBackend=hashmap,job.parallelism=8,taskManager.slots=4,workerPool.port=50001",
        "--set-string=flinkConfiguration.s3\\.endpoint=http://minio:9000",
    ),
}
"""Sets of values by name; each is rendered and put to every check."""


def tool(name: str) -> Path:
    """Return what make has put into the folder of tools."""
    path = TOOLS / name
    if not path.exists():
        pytest.fail(f"{path} is missing: run `make test`, or once `make kubernetes`", pytrace=False)
    return path


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm on the chart."""

    program: Path

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of Helm's commands."""
        return subprocess.run(
            [self.program, *command.split(), *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    def template(self, *values: str) -> list[Resource]:
        """Render the chart."""
        done = self._template(*values)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    def refusal(self, *values: str) -> str:
        """Return what Helm says to values that it has to refuse."""
        done = self._template(*values)
        assert done.returncode != 0, "these values were not refused"
        return done.stderr

    def _template(self, *values: str) -> subprocess.CompletedProcess[str]:
        return self.run(f"template {RELEASE}", str(CHART), "--namespace=rtls", "--kube-version=1.37.0", *values)


@dataclass(frozen=True, slots=True)
class Operator:
    """The operator's validator, and the code that turns a FlinkDeployment into a Deployment and pods."""

    process: subprocess.Popen[str]

    def __call__(self, deployment: Resource) -> dict[str, Any]:
        """Return ``error``, and where that is None, ``jobManager`` and ``taskManager``."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(deployment) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr
            pytest.fail(f"the operator's code failed:\n{self.process.stderr.read()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm, as make builds it."""
    return Helm(tool("helm"))


@pytest.fixture(scope="session")
def renderings(helm: Helm) -> dict[str, list[Resource]]:
    """The chart, rendered with every set of values."""
    return {name: helm.template(*values) for name, values in VALUES.items()}


@pytest.fixture(params=VALUES)
def values(request: pytest.FixtureRequest) -> str:
    """The name of one set of values after the other."""
    name: str = request.param
    return name


@pytest.fixture
def rendering(values: str, renderings: dict[str, list[Resource]]) -> list[Resource]:
    """The chart, rendered with one set of values after the other."""
    return renderings[values]


@pytest.fixture(scope="session")
def operator() -> Iterator[Operator]:
    """The operator's own code, in one process for all tests."""
    command = [java(), "-cp", f"{tool('operator')}/*", str(HERE / "ValidateDeployment.java")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        yield Operator(process)
        assert process.stdin
        process.stdin.close()
        process.wait(10.0)


@pytest.fixture(scope="session")
def answers(renderings: dict[str, list[Resource]], operator: Operator) -> dict[str, dict[str, Any]]:
    """What the operator says to the FlinkDeployment of every set of values."""
    return {name: operator(flink_deployment(rendering)) for name, rendering in renderings.items()}


@pytest.fixture(scope="session")
def flink_options() -> frozenset[str]:
    """The keys of all options that Flink knows."""
    command = [java(), "-cp", f"{tool('flink')}/*", str(HERE / "FlinkOptions.java")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return frozenset(done.stdout.split())


@pytest.fixture(scope="session")
def crd() -> Validator:
    """The schema of a FlinkDeployment, from the operator's CRD; unknown fields are errors."""
    (jar,) = tool("operator").glob("flink-kubernetes-operator-api-*.jar")
    with zipfile.ZipFile(jar) as archive:
        definition = yaml.safe_load(archive.read("META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"))
    (version,) = (version for version in definition["spec"]["versions"] if version["name"] == "v1beta1")
    schema: Resource = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {name: {} for name in ("apiVersion", "kind", "metadata")}
    return Draft202012Validator(schema)


def closed(schema: Any) -> Any:
    """Return the schema of a CRD with unknown fields as errors.

    Kubernetes drops such fields without a word. Fields are free where the schema says so or says nothing of them.
    """
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    is_schema_of_object = schema.get("type") == "object" and "properties" in schema
    if is_schema_of_object and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    return result


def of_kind(resources: Sequence[Resource], kind: str) -> list[Resource]:
    """Return the resources of a kind."""
    return [resource for resource in resources if resource["kind"] == kind]


def flink_deployment(resources: Sequence[Resource]) -> Resource:
    """Return the FlinkDeployment."""
    (deployment,) = of_kind(resources, "FlinkDeployment")
    return deployment
