"""``beam-rtls run``: the pipeline over Kafka."""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Sequence

from pipeline.commands.run_arguments import parse
from pipeline.kafka_client import UnsupportedPropertyError
from pipeline.preflight import PreflightError, preflight, require_service
from pipeline.site import SiteError, load_site

_TALKATIVE = {"apache_beam", "PrismRunner", "root"}
_NOISE = (
    "crcmod package not found",  # a checksum for file formats that are not used here
    "garbage collected without being shut down",  # Beam's Java worker says so of its own connections
)


def main(argv: Sequence[str]) -> int:
    """Run until stopped. Exit code 0 after SIGINT or SIGTERM, 1 where the run failed, 2 where it was called wrongly."""
    arguments = parse(argv)
    _configure_logging(arguments.log_level)
    try:
        site = load_site(arguments.anchors, tag_height_m=arguments.tag_height_m)
        loading = threading.Thread(target=importlib.import_module, args=("pipeline.execute",))
        loading.start()  # Beam takes seconds to load, and what is checked here takes time as well
        preflight(arguments.settings.kafka, arguments.start_wait_s)
        require_service(arguments.settings.runner.expansion_service, arguments.start_wait_s)
    except (SiteError, PreflightError, UnsupportedPropertyError) as error:
        print(f"beam-rtls run: {error}", file=sys.stderr)
        return 1
    from pipeline.execute import execute  # noqa: PLC0415

    return execute(site, arguments.settings)


def _configure_logging(level: int) -> None:
    """Log to standard error, and of Beam and its engine only what a person can use, unless all is asked for."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if level > logging.DEBUG:
        for handler in logging.getLogger().handlers:  # a logger's own filter would not see what others log
            handler.addFilter(_is_of_use)


def _is_of_use(record: logging.LogRecord) -> bool:
    if record.name.partition(".")[0] in _TALKATIVE and record.levelno < logging.WARNING:
        return False
    text = record.getMessage()
    return not any(noise in text for noise in _NOISE)
