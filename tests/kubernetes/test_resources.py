"""What the chart renders, before those who will have to take it: Kubernetes' schemas, the CRD's, the operator."""

from __future__ import annotations

import copy
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from jsonschema import ValidationError
from jsonschema.protocols import Validator

from tests.kubernetes.conftest import Operator, Resource, flink_deployment

VERSIONS = ("1.25", "1.37")
"""The oldest Kubernetes that the chart admits, and the newest whose schemas are at hand."""


def changed(resource: Resource, path: str, value: Any) -> Resource:
    """Return a copy with one field, given as a path, set; None removes it."""
    copied = copy.deepcopy(resource)
    parent: Any = copied
    *way, last = (int(part) if part.isdigit() else part for part in path.split("/"))
    for part in way:
        parent = parent[part]
    if value is None:
        del parent[last]
    else:
        parent[last] = value
    return copied


def require_valid(resource: Resource) -> None:
    """Hold a resource of Kubernetes' own to its schemas, in which unknown fields are errors."""
    for version in VERSIONS:
        kubernetes_validate.validate(resource, version, strict=True)


# --- Kubernetes' own schemas ---------------------------------------------------------------------------------------


def test_kubernetes_takes_every_resource_of_its_own(rendering: list[Resource]) -> None:
    own = [resource for resource in rendering if resource["kind"] != "FlinkDeployment"]
    assert len(own) == len(rendering) - 1
    for resource in own:
        require_valid(resource)


def test_kubernetes_takes_the_pod_templates(rendering: list[Resource]) -> None:
    spec = flink_deployment(rendering)["spec"]
    for role in ("jobManager", "taskManager"):
        require_valid(spec[role]["podTemplate"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/containers/1/readinesProbe", {}),
        ("spec/containers/1/securityContext/readOnlyRootFilesystem", "yes"),
        ("spec/containers/1/volumeMounts/0/mountPath", None),
        ("spec/automountServiceAccountTokens", False),
    ],
)
def test_a_wrong_field_of_a_pod_is_noticed(renderings: dict[str, list[Resource]], path: str, value: Any) -> None:
    pod = flink_deployment(renderings["plain"])["spec"]["taskManager"]["podTemplate"]
    with pytest.raises(kubernetes_validate.ValidationError):
        require_valid(changed(pod, path, value))


# --- the CRD -------------------------------------------------------------------------------------------------------


def test_the_crd_takes_the_deployment(rendering: list[Resource], crd: Validator) -> None:
    crd.validate(flink_deployment(rendering))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/flinkVersion", "v1_99"),
        ("spec/flinkVersions", "v1_19"),
        ("spec/job/jarUri", "local:///opt/flink/usrlib/job.jar"),
        ("spec/job/parallelism", "2"),
        ("spec/job/upgradeMode", "sometimes"),
        ("spec/flinkConfiguration/taskmanager.numberOfTaskSlots", 2),
        ("spec/taskManager/podTemplate/spec/containers/0/securityContexts", {}),
        ("spec/taskManager/podTemplate/spec/volumes/0/emptyDir/size", "1Gi"),
        ("spec/jobManager/podTemplate/spec/enableServiceLink", False),
        ("specs", {}),
    ],
)
def test_a_wrong_field_of_the_deployment_is_noticed(
    renderings: dict[str, list[Resource]], crd: Validator, path: str, value: Any
) -> None:
    with pytest.raises(ValidationError):
        crd.validate(changed(flink_deployment(renderings["plain"]), path, value))


# --- the operator's validator --------------------------------------------------------------------------------------


def test_the_operator_takes_the_deployment(values: str, answers: dict[str, dict[str, Any]]) -> None:
    assert answers[values]["error"] is None


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("plain", ("spec/flinkVersion", None), "Flink Version must be defined"),
        ("plain", ("spec/job/parallelism", 0), "Job parallelism must be larger than 0"),
        ("plain", ("spec/flinkConfiguration/state.savepoints.dir", None), "state.savepoints.dir"),
        ("plain", ("spec/flinkConfiguration/state.checkpoints.dir", None), "state.checkpoints.dir"),
        ("plain", ("spec/flinkConfiguration/kubernetes.cluster-id", "x"), "Forbidden Flink config key"),
        ("last-state", ("spec/flinkConfiguration/high-availability.type", None), "last-state while HA disabled"),
        ("plain", ("spec/jobManager/replicas", 0), "replicas should not be configured less than one"),
        ("plain", ("spec/jobManager/resource", None), "JobManager resource memory must be defined"),
        ("plain", ("spec/taskManager/resource/memory", "much"), "TaskManager resource memory parse error"),
        ("plain", ("spec/serviceAccount", None), "must be defined"),
        ("plain", ("metadata/name", "1st"), "name: 1st is invalid"),
    ],
)
def test_the_operator_would_refuse_what_is_wrong(
    renderings: dict[str, list[Resource]], operator: Operator, name: str, change: tuple[str, Any], expected: str
) -> None:
    answer = operator(changed(flink_deployment(renderings[name]), *change))
    assert expected in answer["error"]


def test_kubernetes_takes_what_operator_and_flink_make_of_it(values: str, answers: dict[str, dict[str, Any]]) -> None:
    for component in ("jobManager", "taskManager"):
        require_valid(answers[values][component])
