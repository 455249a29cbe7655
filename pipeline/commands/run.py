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


def main(argv: Sequence[str]) -> int:
    """Run until stopped. Exit code 0 after SIGINT or SIGTERM, 1 where the run failed, 2 where it was called wrongly."""
    arguments = parse(argv)
    logging.basicConfig(
        level=arguments.log_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("apache_beam.typehints").setLevel(logging.WARNING)
    # Beam warns about a checksum library for file formats that are not used here.
    logging.getLogger().addFilter(lambda record: "crcmod" not in record.getMessage())
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
