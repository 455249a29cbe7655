"""``beam-rtls preflight``: what is settled with Kafka before a job's first start."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from pipeline.commands.preflight_arguments import parse
from pipeline.kafka_client import UnsupportedPropertyError
from pipeline.preflight import PreflightError, preflight


def main(argv: Sequence[str]) -> int:
    """Check and commit. Exit code 0 all is well, 1 something is missing or wrong, 2 called wrongly."""
    arguments = parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        preflight(arguments.kafka, arguments.start_wait_s)
    except (PreflightError, UnsupportedPropertyError) as error:
        print(f"beam-rtls preflight: {error}", file=sys.stderr)
        return 1
    return 0
