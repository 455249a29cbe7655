"""``beam-rtls run``: the pipeline over Kafka."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from pipeline.commands.run_arguments import parse
from pipeline.kafka_client import UnsupportedPropertyError
from pipeline.preflight import PreflightError, preflight
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
        preflight(arguments.settings.kafka)
    except (SiteError, PreflightError, UnsupportedPropertyError) as error:
        print(f"beam-rtls run: {error}", file=sys.stderr)
        return 1
    from pipeline.execute import execute  # noqa: PLC0415  (Beam takes seconds to load; a wrong call is told at once)

    return execute(site, arguments.settings)
