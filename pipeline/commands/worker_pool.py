"""``beam-rtls worker-pool``: Python workers for a Flink TaskManager."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Sequence

from pipeline.commands.worker_pool_arguments import parse


def main(argv: Sequence[str]) -> int:
    """Serve until stopped. Exit code 0 after SIGINT or SIGTERM, 1 where it cannot listen, 2 called wrongly."""
    arguments = parse(argv)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("pipeline").setLevel(logging.INFO)
    from pipeline.worker_pool import serving  # noqa: PLC0415  (Beam takes seconds to load)

    try:
        with serving(f"{arguments.host}:{arguments.port}") as port:
            logging.getLogger("pipeline.worker_pool").info("serving at %s:%d", arguments.host, port)
            stopped.wait()
    except OSError as error:
        print(f"beam-rtls worker-pool: {error}", file=sys.stderr)
        return 1
    return 0
