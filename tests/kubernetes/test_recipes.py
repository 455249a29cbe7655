"""The image recipes and the script for kind, as far as they can be judged without a container engine."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.kubernetes.conftest import KUBERNETES, RELEASE, Helm, flink_deployment

README = (KUBERNETES / "README.md").read_text(encoding="utf-8")
SCRIPT = KUBERNETES / "kind.sh"
MADE = ("job.jar", "constraints.txt", "beam_rtls-0.1.0-py3-none-any.whl")
"""What the commands of the README leave in build/images."""


def instructions(name: str) -> list[tuple[str, str]]:
    """Return a recipe's instructions, each in one line."""
    text = (KUBERNETES / name).read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


@pytest.mark.parametrize("name", ["flink.Dockerfile", "worker.Dockerfile"])
def test_recipes_copy_only_what_is_made_for_them(name: str) -> None:
    for word, rest in instructions(name):
        assert word in {"ARG", "FROM", "RUN", "COPY", "ENV", "USER", "ENTRYPOINT"}
        if word == "COPY":
            *sources, _ = (part for part in rest.split() if not part.startswith("--"))
            for source in sources:
                assert fnmatch.filter(MADE, source), f"nothing makes {source}"


@pytest.mark.parametrize(("name", "user"), [("flink.Dockerfile", 9999), ("worker.Dockerfile", 10001)])
def test_images_run_as_the_user_that_the_chart_names(helm: Helm, name: str, user: int) -> None:
    users = [rest for word, rest in instructions(name) if word == "USER"]
    assert users[-1:] == [f"{user}:{user}"]
    deployment = flink_deployment(helm.template(*kind_values()))
    containers = deployment["spec"]["taskManager"]["podTemplate"]["spec"]["containers"]
    container = containers[0 if name.startswith("flink") else 1]
    assert container["securityContext"]["runAsUser"] == user


def test_base_images_are_pinned() -> None:
    bases = [
        rest for name in ("flink", "worker") for word, rest in instructions(f"{name}.Dockerfile") if word == "FROM"
    ]
    assert bases == ["flink:1.19.3-java17", "python:${PYTHON_VERSION}-slim"]


def test_the_readme_makes_what_recipes_copy() -> None:
    assert "--output-jar build/images/job.jar" in README
    assert "-m build --wheel --outdir build/images" in README
    assert "cp constraints.txt build/images" in README


def test_the_chart_takes_the_values_of_the_readme(helm: Helm, tmp_path: Path) -> None:
    (example,) = re.findall(r"(?s)```yaml\n(.*?)```", README)
    values = tmp_path / "values.yaml"
    values.write_text(example, encoding="utf-8")
    deployment = flink_deployment(helm.template(f"--values={values}", "--set=site.map=a"))
    assert deployment["spec"]["image"] == "registry.example/beam-rtls-flink:1"


def test_the_script_for_kind_can_be_read_by_bash() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True, timeout=10)
    assert os.access(SCRIPT, os.X_OK)


def run_script(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) if path is None else {"PATH": path}
    return subprocess.run(
        ["/bin/bash", SCRIPT, *arguments], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_script_for_kind_explains_itself() -> None:
    done = run_script("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: kind.sh")
    assert run_script("sideways").returncode == 2


def test_the_script_for_kind_names_all_that_is_missing(tmp_path: Path) -> None:
    for needed in ("bash", "dirname", "cat"):
        (tmp_path / needed).symlink_to(f"/bin/{needed}" if Path(f"/bin/{needed}").exists() else f"/usr/bin/{needed}")
    done = run_script("up", path=str(tmp_path))
    assert done.returncode == 1
    for name in ("docker", "kind", "kubectl", "helm"):
        assert f"{name} is missing: " in done.stderr


def kind_values() -> tuple[str, ...]:
    site = KUBERNETES.parents[2] / "anchors" / "demo.yaml"
    return f"--values={KUBERNETES / 'kind-values.yaml'}", f"--set-file=site.map={site}"


def test_the_cluster_of_kind_has_what_the_chart_is_told(helm: Helm) -> None:
    script = SCRIPT.read_text(encoding="utf-8")
    deployment = flink_deployment(helm.template(*kind_values()))
    assert f"readonly RELEASE={deployment['metadata']['name']}" in script
    assert deployment["metadata"]["name"] == RELEASE
    resources = list(yaml.safe_load_all((KUBERNETES / "kind-kafka.yaml").read_text(encoding="utf-8")))
    (kafka,) = (each for each in resources if (each["kind"], each["metadata"]["name"]) == ("Deployment", "kafka"))
    environment = {each["name"]: each["value"] for each in kafka["spec"]["template"]["spec"]["containers"][0]["env"]}
    (servers,) = re.findall(r"readonly KAFKA=(\S+)", script)
    values = yaml.safe_load((KUBERNETES / "kind-values.yaml").read_text(encoding="utf-8"))
    assert values["kafka"]["bootstrapServers"] == servers
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{servers}"
    assert environment["KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE"] == "LogAppendTime"
