"""``make run-flink``: the pipeline on a real Flink cluster, with broker, simulator and a live view, in one command.

All that is for a person goes to standard error (the live table to the terminal); the last line on standard output is
the summary as JSON. Exit code 0 when the duration is over or after Ctrl-C, 1 when something failed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from pipeline.flink_rest import Flink, FlinkError, FlinkUnreachableError, Job
from runners.direct.broker import Broker
from runners.flink.cluster import FlinkCluster
from runners.flink.options import Options, parse
from runners.live.summary import Summary
from runners.processes import LOOPBACK, Child, ProcessError, require_free_port, wait_until, wait_until_answers
from runners.session import TOPICS, Session, hold

START_WAIT_S = 60.0
JOB_TIMEOUT_S = 180.0
CANCEL_TIMEOUT_S = 75.0
SLOTS = 2
JOB_NAME = "beam-rtls"


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and return the exit code."""
    options = parse(argv)
    return hold("run-flink", lambda stopped: run(options, stopped))


def run(options: Options, stopped: threading.Event) -> Summary:
    """Start what does not exist, watch, stop what was started.

    Raises:
        ProcessError: a port is taken, or a process could not be started or died.
        WatchError: no positions, or not what they should be.
        Interrupted: asked to end before there was anything to see.
    """
    _require_ports(options)
    session = Session(options.tools / "run-flink", stopped)
    platform = _Platform(session, options)
    pipeline = platform.pipeline()
    simulator = platform.simulator()
    with session.children:
        try:
            platform.start()
            session.children.start(pipeline)
            session.say("building and submitting the job takes some seconds")
            platform.wait_running()
            if simulator is not None:
                session.children.start(simulator)
                session.say(f"simulating {options.tags} tags on {options.site}; the first positions take some seconds")
            summary = session.watch(
                platform.kafka,
                options.duration_s,
                platform.kafka_out,
                truth=simulator is not None,
                from_end=options.kafka is not None,
            )
            session.say(platform.story())
            session.say("stopping")
        finally:  # before the platform, without which the job would fail
            if simulator is not None:
                simulator.stop()
            pipeline.stop()
    session.say("all stopped")
    return summary


class _Platform:
    """Kafka, Flink and the worker pool: those that exist and those that are started here."""

    def __init__(self, session: Session, options: Options) -> None:
        self._session = session
        self._options = options
        self._broker = None
        if options.kafka is None:
            self._broker = Broker(
                session.directory / "kafka", options.kafka_port, options.kafka_controller_port, options.tools / "broker"
            )
        self.kafka = options.kafka or f"{LOOPBACK}:{options.kafka_port}"
        self.kafka_out = options.kafka_out or self.kafka
        self._cluster = None
        if options.flink_master is None:
            self._cluster = FlinkCluster(
                session.directory / "flink",
                options.tools / "flink",
                options.flink_port,
                options.flink_rpc_port,
                options.tools / "flink-state",
                slots=max(SLOTS, options.parallelism),
                backend=options.backend,
                metrics_ports=(options.metrics_port, options.metrics_port + 1),
            )
        self._flink = Flink(options.flink_master or f"http://{LOOPBACK}:{options.flink_port}")

    def start(self) -> None:
        """Start what does not exist, side by side, and create the topics on a broker of ours."""
        children, options = self._session.children, self._options
        if self._broker is not None:
            self._broker.format()
            children.start(self._broker.child)
        if self._cluster is not None:
            self._cluster.configure()
            for child in self._cluster.children:
                children.start(child)
        if options.worker_pool is None:
            children.start(self._session.command("worker-pool", ("--port", str(options.worker_pool_port))))
        if self._broker is not None:
            self._broker.wait_ready(self._session.check)
            self._broker.create_topics(TOPICS)
            self._session.say(f"Kafka broker ready on {self.kafka}")
        if options.worker_pool is None:
            wait_until_answers(options.worker_pool_port, START_WAIT_S, "the worker pool", self._session.check)
        if self._cluster is not None:
            self._cluster.wait_ready(self._session.check)
        self._session.say(f"Flink ready; its web UI is at {self._flink.address}")
        if self._cluster is not None:
            self._session.say(f"metrics for Prometheus are at {' and '.join(self._cluster.metrics_addresses)}")

    def wait_running(self) -> None:
        """Wait until all tasks of the job run.

        Raises:
            ProcessError: it took too long, or the job failed.
        """
        found: list[Job] = []

        def running() -> bool:
            try:
                found[:] = self._flink.running(JOB_NAME)
                return bool(found) and self._flink.is_at_work(found[0].id)
            except FlinkUnreachableError:
                return False
            except FlinkError as error:
                raise ProcessError(str(error)) from error

        wait_until(running, JOB_TIMEOUT_S, "the job runs", self._session.check)
        self._session.say(f"job {found[0].id} is RUNNING: {self._flink.address}/#/job/{found[0].id}/overview")

    def story(self) -> str:
        """Return the job's state and checkpoints in a line."""
        try:
            job = self._flink.job(JOB_NAME)
            checkpoints = self._flink.checkpoints(job.id)
        except FlinkError as error:
            return str(error)
        counts, latest = checkpoints["counts"], checkpoints["latest"]["completed"]
        where = f", the last at {latest['external_path']}" if latest else ""
        counted = f"{counts['completed']} completed, {counts['failed']} failed"
        return f"job {job.id} is {job.state}; checkpoints: {counted}{where}"

    def pipeline(self) -> Child:
        """Return ``beam-rtls run``, not started yet."""
        options = self._options
        arguments = (
            *("--runner", "flink"),
            *("--flink-master", self._flink.address),
            *("--job-name", JOB_NAME),
            *("--java-jar", str(options.tools / "beam.jar")),
            *("--worker-pool", options.worker_pool or f"localhost:{options.worker_pool_port}"),
            *("--worker-processes", str(max(SLOTS, options.parallelism))),
            *("--parallelism", str(options.parallelism)),
            *(("--savepoint", options.savepoint) if options.savepoint else ()),
            *("--anchors", str(options.site)),
            *("--bootstrap-servers", self.kafka),
            *("--output-bootstrap-servers", self.kafka_out),
            *("--group-id", "run-flink"),
            *("--offset", "latest"),
            *("--mode", options.mode),
            *("--start-wait", str(START_WAIT_S if options.kafka is None else 0)),
        )
        return self._session.command("run", arguments, stop_timeout_s=CANCEL_TIMEOUT_S)

    def simulator(self) -> Child | None:
        """Return the simulator, not started yet; None where none was asked for."""
        options = self._options
        if not options.tags:
            return None
        return self._session.simulator(options.site, self.kafka, options.tags, options.simulate)


def _require_ports(options: Options) -> None:
    if options.kafka is None:
        require_free_port(options.kafka_port, "the Kafka broker", "KAFKA_PORT")
        require_free_port(options.kafka_controller_port, "the Kafka broker's controller", "KAFKA_CONTROLLER_PORT")
    if options.flink_master is None:
        require_free_port(options.flink_port, "Flink's web UI", "FLINK_PORT")
        require_free_port(options.flink_rpc_port, "Flink's JobManager", "FLINK_RPC_PORT")
        require_free_port(options.metrics_port, "the JobManager's metrics", "METRICS_PORT")
        require_free_port(options.metrics_port + 1, "the TaskManager's metrics", "METRICS_PORT")
    if options.worker_pool is None:
        require_free_port(options.worker_pool_port, "the worker pool", "WORKER_POOL_PORT")


if __name__ == "__main__":
    raise SystemExit(main())
