"""A job on Flink, followed until it ends or is told to stop."""

from __future__ import annotations

import logging
import threading

from pipeline.flink_rest import ENDED, Flink, FlinkError, FlinkUnreachableError

_LOG = logging.getLogger(__name__)
_POLL_S = 1.0
_CANCEL_TIMEOUT_S = 60.0
_CAUSE_LINES = 40


def follow(cluster: Flink, job_id: str, stopped: threading.Event) -> int:
    """Tell of each change of the job's state until it ends; cancel it when ``stopped`` is set. Return the exit code.

    0 when the job was stopped, by us or by someone else, 1 when it failed or does not let itself be cancelled.
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
        _LOG.error("%s; the job may run on", error)
        return 1
    return 0
