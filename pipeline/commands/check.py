"""``beam-rtls check``: say what is wrong with a site map, line by line."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence

from pipeline.commands.arguments import new_parser
from pipeline.site import Problem, Site, examine_site

DESCRIPTION = """\
Check a site map, the file that says where the anchors are, and print everything that is wrong with it.

An error makes a map unusable: anchors without a place, ids given twice, all anchors on one line (two places would fit
every reading). A warning tells of a map that works but deserves a look. x and y are metres in the plane of the site; z
is the height, in metres, and left out where it is not known. Where anchors have a z, the height of the tags is needed
too: distances are measured aslant.
"""

EPILOG = """\
a site map in YAML:

  site: hall-3
  units: m
  tag_height: 1.2       # how high tags are carried; may be left out where no anchor has z
  max_distance: 80      # longer readings are refused; 100 if left out
  anchors:
    - {id: "A1B2C3D3E4F50001", x: 0.0, y: 0.0, z: 4.5}
    - {id: "A1B2C3D3E4F50002", x: 30.0, y: 0.5, z: 4.5}
    - {id: "A1B2C3D3E4F50003", x: 14.0, y: 18.0, z: 5.1}

the same in CSV; the file's name is the site's, and --tag-height gives the height of the tags:

  anchor_id,x,y,z
  A1B2C3D3E4F50001,0.0,0.0,4.5
  A1B2C3D3E4F50002,30.0,0.5,4.5
  A1B2C3D3E4F50003,14.0,18.0,5.1

exit code: 0 usable, perhaps with warnings; 1 errors; 2 called wrongly
"""


def main(argv: Sequence[str]) -> int:
    """Check the site map named in ``argv``, print its problems and return the exit code."""
    parser = new_parser("check", DESCRIPTION, EPILOG)
    parser.add_argument("file", metavar="FILE", help="the site map: .yaml, .yml or .csv")
    parser.add_argument(
        "--tag-height",
        metavar="M",
        type=finite_metres,
        help="height (m) at which tags are carried, in place of the file's",
    )
    arguments = parser.parse_args(argv)
    site, problems = examine_site(arguments.file, arguments.tag_height)
    for problem in problems:
        print(f"{arguments.file}:{problem.line}: {problem.severity}: {problem.message}")
    print(f"{arguments.file}: {summary(site, problems)}")
    return 1 if site is None else 0


def finite_metres(text: str) -> float:
    """Parse a length in metres.

    Raises:
        argparse.ArgumentTypeError: where it is not a finite number.
    """
    try:
        length_m = float(text)
    except ValueError:
        length_m = math.nan
    if not math.isfinite(length_m):
        raise argparse.ArgumentTypeError(f"expected a finite number of metres, got {text!r}")
    return length_m


def summary(site: Site | None, problems: Sequence[Problem]) -> str:
    """Return the outcome in a few words: ``12 anchors, ok`` or ``2 errors, 1 warning``."""
    counts = Counter(problem.severity for problem in problems)
    parts = [] if site is None else [f"{len(site.anchors)} anchors, ok"]
    for severity in ("error", "warning"):
        count = counts[severity]
        if count:
            parts.append(f"{count} {severity}{'' if count == 1 else 's'}")
    return ", ".join(parts)
