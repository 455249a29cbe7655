"""``beam-rtls check``: say what is wrong with a site map, line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.commands.check_arguments import parse
from pipeline.site import Problem, Site, examine_site


def main(argv: Sequence[str]) -> int:
    """Check the site map named in ``argv``, print its problems and return the exit code."""
    arguments = parse(argv)
    site, problems = examine_site(arguments.file, arguments.tag_height_m)
    for problem in problems:
        print(f"{arguments.file}:{problem.line}: {problem.severity}: {problem.message}")
    print(f"{arguments.file}: {summary(site, problems)}")
    return 1 if site is None else 0


def summary(site: Site | None, problems: Sequence[Problem]) -> str:
    """Return the outcome in a few words: ``12 anchors, ok, version 0123456789ab`` or ``2 errors, 1 warning``."""
    counts = Counter(problem.severity for problem in problems)
    parts = [] if site is None else [f"{len(site.anchors)} anchors, ok, version {site.version}"]
    for severity in ("error", "warning"):
        count = counts[severity]
        if count:
            parts.append(f"{count} {severity}{'' if count == 1 else 's'}")
    return ", ".join(parts)
