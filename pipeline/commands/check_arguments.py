"""The settings of ``beam-rtls check``: which site map, and the height of the tags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.commands.arguments import new_parser, number, refuse_unknown_variables

DESCRIPTION = """\
Check a site map, the file that says where the anchors are, and print everything that is wrong with it.

An error makes a map unusable: anchors without a place, ids given twice, all anchors on one line (two places would fit
every reading). A warning tells of a map that works but deserves a look. x and y are metres in the plane of the site; z
is the height, in metres, and left out where it is not known. Where anchors have a z, the height of the tags is needed
too, or the range it lies in: distances are measured aslant.
"""

EPILOG = """\
a site map in YAML:

  site: hall-3
  units: m
  tag_height: 1.2       # how high tags are carried; needed where anchors have z
                        # or tag_height_range: [0.5, 2.0], to have it solved for
  max_distance: 80      # longer readings are refused; 100 if left out
  speed_limit: 5        # how fast a tag can be (m/s); 10 if left out
  anchors:
    - {id: "A1B2C3D3E4F50001", x: 0.0, y: 0.0, z: 4.5}
    - {id: "A1B2C3D3E4F50002", x: 30.0, y: 0.5, z: 4.5}
    - {id: "A1B2C3D3E4F50003", x: 14.0, y: 18.0, z: 5.1,
       bias: 0.18, bias_sigma: 0.02}  # ranges too long by; of beam-rtls calibrate

the same in CSV, named for the site; --tag-height tells the tags' height:

  anchor_id,x,y,z,bias,bias_sigma
  A1B2C3D3E4F50001,0.0,0.0,4.5,,
  A1B2C3D3E4F50002,30.0,0.5,4.5,,
  A1B2C3D3E4F50003,14.0,18.0,5.1,0.18,0.02

exit code: 0 usable, perhaps with warnings; 1 errors; 2 called wrongly
"""


@dataclass(frozen=True, slots=True)
class CheckArguments:
    """What ``beam-rtls check`` was asked. ``file`` as it was written, for the messages."""

    file: str
    tag_height_m: float | None


def parse(argv: Sequence[str]) -> CheckArguments:
    """Return the arguments; a wrong one ends the program with what was expected (exit code 2)."""
    parser = new_argument_parser()
    refuse_unknown_variables(parser)
    given = parser.parse_args(list(argv))
    return CheckArguments(given.file, given.tag_height)


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls check``."""
    parser = new_parser("check", DESCRIPTION, EPILOG)
    parser.add_argument("file", metavar="FILE", help="the site map: .yaml, .yml or .csv")
    parser.add_argument(
        "--tag-height",
        metavar="M",
        type=number(),
        help="height (m) at which tags are carried, in place of the file's",
    )
    return parser
