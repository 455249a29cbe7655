"""``make run-direct``: broker, simulator, pipeline on Prism, and a live view, with one command and no container.

All that is for a person goes to standard error (the live table to the terminal); the last line on standard output is
the summary as JSON. Exit code 0 when the duration is over or after Ctrl-C, 1 when something failed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from runners.direct import expansion
from runners.direct.broker import Broker
from runners.direct.options import Options, parse
from runners.live.summary import Summary
from runners.processes import LOOPBACK, Child, require_free_port
from runners.session import TOPICS, Session, hold

START_WAIT_S = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and return the exit code."""
    options = parse(argv)
    return hold("run-direct", lambda stopped: run(options, stopped))


def run(options: Options, stopped: threading.Event) -> Summary:
    """Start everything, watch, stop everything.

    Raises:
        ProcessError: a port is taken, or a process could not be started or died.
        WatchError: no positions, or not what they should be.
        Interrupted: asked to end before there was anything to see.
    """
    require_free_port(options.kafka_port, "the Kafka broker", "KAFKA_PORT")
    require_free_port(options.kafka_controller_port, "the Kafka broker's controller", "KAFKA_CONTROLLER_PORT")
    require_free_port(options.expansion_port, "the expansion service", "EXPANSION_PORT")
    session = Session(options.tools / "run-direct", stopped)
    broker = Broker(
        session.directory / "kafka", options.kafka_port, options.kafka_controller_port, options.tools / "broker"
    )
    pipeline = _pipeline(session, options, broker)
    simulator = session.simulator(options.site, broker.bootstrap_servers, options.tags, options.simulate)
    with session.children:
        try:
            session.children.start(pipeline)  # it waits for broker and topics, and has much to load meanwhile
            _start_platform(session, options, broker)
            session.children.start(simulator)
            session.say("the first positions take some seconds")
            summary = session.watch(broker.bootstrap_servers, options.duration_s)
            session.say("stopping")
        finally:  # before the platform, without which the job would fail
            simulator.stop()
            pipeline.stop()
    session.say("all stopped")
    return summary


def _start_platform(session: Session, options: Options, broker: Broker) -> None:
    """Start broker and expansion service side by side, and create the topics."""
    log = session.directory / "expansion.log"
    broker.format()
    session.children.start(broker.child)
    session.children.start(expansion.new_expansion_service(options.tools / "beam.jar", options.expansion_port, log))
    broker.wait_ready(session.check)
    broker.create_topics(TOPICS)
    session.say(f"Kafka broker ready on {broker.bootstrap_servers}")
    expansion.wait_ready(options.expansion_port, session.check)
    session.say(f"expansion service ready on {LOOPBACK}:{options.expansion_port}")


def _pipeline(session: Session, options: Options, broker: Broker) -> Child:
    prism = options.tools / "prism"
    arguments = (
        *("--runner", "prism"),
        *(("--prism", str(prism)) if prism.exists() else ()),  # else Beam fetches it
        *("--expansion-service", f"localhost:{options.expansion_port}"),
        *("--anchors", str(options.site)),
        *("--bootstrap-servers", broker.bootstrap_servers),
        *("--group-id", "run-direct"),
        *("--offset", "latest"),
        *("--mode", options.mode),
        *("--start-wait", str(START_WAIT_S)),
    )
    return session.command("run", arguments)


if __name__ == "__main__":
    raise SystemExit(main())
