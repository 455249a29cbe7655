"""``beam-rtls fences``: the zones of a site map as an omlox hub takes them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.commands.fences_arguments import parse
from pipeline.site import SiteError, load_site
from pipeline.wire.omlox import fences


def main(argv: Sequence[str]) -> int:
    """Print the fences of the site map named in ``argv`` and return the exit code."""
    arguments = parse(argv)
    try:
        site = load_site(arguments.anchors, arguments.tag_height_m)
    except SiteError as error:
        print(f"beam-rtls fences: {error}", file=sys.stderr)
        return 1
    print(fences(site.zones.values(), site.name).decode())
    return 0
