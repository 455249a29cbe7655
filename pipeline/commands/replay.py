"""``beam-rtls replay``: the pipeline over a log, and how near the truth it comes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Sequence

import orjson

from pipeline.commands.replay_arguments import ReplayArguments, parse
from pipeline.replay.log import LogError, Truth, read_ranges, read_truth
from pipeline.replay.plots import PlotError, plot, require_matplotlib
from pipeline.replay.replay import Replayed, replay
from pipeline.replay.report import as_json, as_table
from pipeline.replay.scoring import Score, score
from pipeline.site import SiteError, load_site


def main(argv: Sequence[str]) -> int:
    """Replay the log named in ``argv``, print the report and return the exit code."""
    arguments = parse(argv)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        _replay(arguments)
    except (SiteError, LogError, PlotError, OSError) as error:
        print(f"beam-rtls replay: {error}", file=sys.stderr)
        return 1
    return 0


def _replay(arguments: ReplayArguments) -> None:
    if arguments.plot is not None:
        require_matplotlib()  # before the work, not after
    site = load_site(arguments.anchors, arguments.tag_height_m)
    truth: Truth = {} if arguments.truth is None else read_truth(arguments.truth)
    replayed = replay(read_ranges(arguments.readings), site, arguments.graph)
    scored = score(replayed, truth, arguments.window)
    table = as_table(scored)
    print(table)
    if truth and not scored.scored:
        print(f"beam-rtls replay: no position has a truth: {_why(replayed, truth)}", file=sys.stderr)
    _write(arguments, replayed, scored)
    if arguments.plot is not None:
        title = f"{site.name}: {arguments.readings.name}"
        plot(
            arguments.plot,
            title,
            table,
            site=site,
            estimates=replayed.estimates,
            truth=truth,
            window=arguments.window,
        )


def _write(arguments: ReplayArguments, replayed: Replayed, scored: Score) -> None:
    if arguments.output is not None:
        with arguments.output.open("wb") as file:
            file.writelines(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in replayed.values)
    if arguments.report is not None:
        arguments.report.write_bytes(
            orjson.dumps(as_json(scored), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        )


def _why(replayed: Replayed, truth: Truth) -> str:
    """Return what is likely wrong where truth and positions do not meet."""
    positioned = {estimate.tag for estimate in replayed.estimates}
    if not positioned & truth.keys():
        return f"the truth tells of tags {_some(truth)}, the positions of {_some(positioned) or 'none'}"
    return "the truth is of other times, or --from and --to leave none"


def _some(names: Collection[str], most: int = 3) -> str:
    return ", ".join(sorted(names)[:most]) + (" …" if len(names) > most else "")
