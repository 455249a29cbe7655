"""Beam's Java expansion service with KafkaIO, and in the same process the Java worker that runs KafkaIO's steps.

Because of that worker the process has to outlive the pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runners.java import java
from runners.processes import Child, wait_until_answers

START_TIMEOUT_S = 60.0
READ_ON_PRISM = "use_unbounded_sdf_wrapper"
"""KafkaIO then reads with Kafka's UnboundedSource, wrapped in a splittable DoFn, which is what Prism takes.

Without it, at Beam 2.70, the read dies with a ConcurrentModificationException when the topic is quiet for 100 ms.
"""


def new_expansion_service(jar: Path, port: int, log: Path, read_mode: str = READ_ON_PRISM) -> Child:
    """Return the service, not started yet. Beam lets it listen on all interfaces; keep its port behind the firewall.

    Args:
        jar: the service's program.
        port: where it listens.
        log: takes what it prints.
        read_mode: the experiment that tells KafkaIO how to read; an engine each.
    """
    return Child(
        "the expansion service",
        [
            java(),
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-jar",
            str(jar),
            str(port),
            "--javaClassLookupAllowlistFile=*",
            "--alsoStartLoopbackWorker",
            f"--experiments={read_mode}",
            # The worker is here already: no jar is handed to the pipeline, which would copy it thrice (8 s).
            "--filesToStage=",
        ],
        log,
    )


def wait_ready(port: int, check: Callable[[], None]) -> None:
    """Wait until the service answers.

    Raises:
        ProcessError: it took too long. Whatever ``check`` raises.
    """
    wait_until_answers(port, START_TIMEOUT_S, "the expansion service", check)
