"""The job on Flink: written into a jar, submitted to a cluster, and followed until it ends or is told to stop."""

from __future__ import annotations

import logging
import tempfile
import threading
from pathlib import Path

from pipeline.flink_rest import ENDED, ENTRY_CLASS, Flink, FlinkError, FlinkUnreachableError, jar_name
from pipeline.portable_jar import write_portable_jar
from pipeline.settings import FlinkSettings, RunSettings
from pipeline.site import SiteSource

_LOG = logging.getLogger(__name__)
_POLL_S = 1.0
_CANCEL_TIMEOUT_S = 60.0
_CAUSE_LINES = 40


def submit(cluster: Flink, site: SiteSource, settings: RunSettings, flink: FlinkSettings) -> str:
    """Submit the job and return its id.

    Raises:
        pipeline.flink_rest.FlinkError: the cluster is out of reach or refused the job.
        OSError, RuntimeError: as of :func:`pipeline.portable_jar.write_portable_jar`.
    """
    cluster.overview()  # out of reach is better known before the work than after it
    with tempfile.TemporaryDirectory(prefix="beam-rtls-") as directory:
        jar = Path(directory, jar_name(flink.job_name))
        write_portable_jar(site, settings, flink, jar)
        _LOG.info("uploading the job (%.0f MB)", jar.stat().st_size / 1e6)
        jar_id = cluster.upload(jar, jar.name)
    if flink.savepoint:
        _LOG.info("resuming from %s", flink.savepoint)
    return cluster.submit(jar_id, ENTRY_CLASS, parallelism=flink.parallelism, savepoint=flink.savepoint)


def follow(cluster: Flink, job_id: str, stopped: threading.Event) -> int:
    """Tell of each change of the job's state until it ends; cancel it when ``stopped`` is set. Return the exit code.

    0 when the job was stopped, by us or by someone else, 1 when it failed.
    """
    known = ""
    while not stopped.wait(_POLL_S):
        try:
            state = cluster.state(job_id)
        except FlinkUnreachableError as error:
            state = "OUT OF REACH"
            if state != known:
                _LOG.warning("%s; the job may run on", error)
        else:
            if state != known:
                _LOG.info("job %s is %s", job_id, state)
            if state == "FAILED":
                cause = "\n".join(cluster.root_cause(job_id).splitlines()[:_CAUSE_LINES])
                _LOG.error("the job failed: %s", cause)
                return 1
            if state in ENDED:
                return 0
        known = state
    _LOG.info("cancelling job %s", job_id)
    try:
        cluster.cancel(job_id)
        cluster.await_end(job_id, _CANCEL_TIMEOUT_S)
    except FlinkError as error:
        _LOG.warning("%s", error)
    return 0
