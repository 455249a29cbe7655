"""Packaging of beam-rtls. Generates the protobuf modules from proto/ whenever the package is built."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from setuptools import Command, find_packages, setup
from setuptools.command.build import build
from setuptools.command.sdist import sdist

# The one place where Beam is pinned. The Makefile reads it from here for Prism and for the Java side.
BEAM = "apache-beam==2.70.0"

ROOT = Path(__file__).parent
PROTO = Path("proto")
GENERATED = Path("pipeline", "wire")


class GenerateProto(Command):
    """Generate ``pipeline/wire/*_pb2.py`` (and type stubs) from ``proto/*.proto``."""

    description = "generate the protobuf modules from proto/"
    user_options: ClassVar[list[tuple[str, str, str]]] = []

    def initialize_options(self) -> None:
        """No options."""

    def finalize_options(self) -> None:
        """No options."""

    def run(self) -> None:
        """Run protoc where a generated module is missing or older than its source."""
        sources = sorted((ROOT / PROTO).glob("*.proto"))
        stale = [source for source in sources if self._is_stale(source)]
        if not stale:
            return
        from importlib.resources import files  # noqa: PLC0415

        from grpc_tools import protoc  # noqa: PLC0415  (needed only when something is stale)

        out = ROOT / GENERATED
        arguments = [
            "protoc",
            f"--proto_path={ROOT / PROTO}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--python_out={out}",
            f"--pyi_out={out}",
            *(str(source) for source in stale),
        ]
        if protoc.main(arguments) != 0:
            message = f"protoc failed on {', '.join(map(str, stale))}"
            raise RuntimeError(message)

    @staticmethod
    def _is_stale(source: Path) -> bool:
        made = ROOT / GENERATED / f"{source.stem}_pb2.py"
        return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


class Build(build):
    """Build with the generated modules in it."""

    sub_commands = [("generate_proto", None), *build.sub_commands]  # noqa: RUF012


class Sdist(sdist):
    """Source distribution with the generated modules in it, so that a Beam worker needs no protoc."""

    def make_distribution(self) -> None:
        """Generate first, so that the file list sees the modules."""
        self.run_command("generate_proto")
        self.filelist.extend(
            str(path.relative_to(ROOT)) for path in sorted((ROOT / GENERATED).glob("*_pb2.py*")) if path.is_file()
        )
        self.filelist.remove_duplicates()
        super().make_distribution()


setup(
    name="beam-rtls",
    version="0.1.0",
    description="Positions of UWB tags from distance readings in Kafka, as an Apache Beam pipeline",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["pipeline", "pipeline.*"]),
    package_data={"pipeline": ["py.typed"], "pipeline.wire": ["*.pyi"]},
    install_requires=[
        BEAM,  # the dataflow
        "protobuf",  # the wire and the state (version chosen by Beam)
        "numpy",  # arrays
        "numba",  # the solver and the filter, compiled: a tenth of their time in plain Python
        "PyYAML",  # site maps
        "ruamel.yaml",  # site maps written anew with their comments
        "orjson",  # JSON out, exact and fast
        "ConfigArgParse",  # one setting from flag, environment or file, in that order
        "confluent-kafka",  # the checks before a run, the simulator, the live table
        "javaproperties",  # the properties files of Kafka's Java client, as Java reads them
        "requests",  # Flink's REST interface
        "requests-toolbelt",  # a jar of 160 MB uploaded as it is read
        "tenacity",  # trying again, for so long and no longer
        "shapely",  # zones: what lies in a polygon, and how far off
        "tqdm",  # progress of long work
    ],
    extras_require={
        "demo": ["rich"],  # live tables
        "plot": ["matplotlib"],  # pictures of a replay
        "test": [
            "pytest",
            "pytest-timeout",  # a timer that fires for ever fails a test instead of hanging it
            "hypothesis",  # properties of the geometry and the grouping
            "rich",
            "matplotlib",
            "build",  # the package, as a front end builds it
            "cryptography",  # certificates for a broker with TLS
            "kubernetes-validate",  # the schemas of Kubernetes, for what the chart renders
            "jsonschema",  # the operator's own schema, for the FlinkDeployment
            "promql-parser",  # the names that alerts and dashboards ask for
        ],
        "lint": [
            "ruff",
            "mypy",
            "types-jsonschema",
            "types-PyYAML",
            "types-protobuf",
            "types-requests",
            "types-setuptools",
            "types-shapely",
            "types-tqdm",
        ],
    },
    entry_points={"console_scripts": ["beam-rtls=pipeline.commands:main"]},
    cmdclass={"generate_proto": GenerateProto, "build": Build, "sdist": Sdist},
)
