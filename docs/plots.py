# ruff: noqa: INP001  (a script beside the documents, no package)
"""Measure what docs/positioning.md says of real logs, and draw its pictures.

Every figure in that document's two tables comes from here, and so does every picture in docs/images. The pipeline is
the real one with its default settings, one configuration for all logs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.commands import calibrate
from pipeline.replay.log import Truth, read_ranges, read_truth
from pipeline.replay.replay import Replayed, replay
from pipeline.replay.scoring import Errors, Score, Window, errors_of, mahalanobis, score
from pipeline.settings import GraphSettings
from pipeline.site import Site, load_site

HERE = Path(__file__).resolve().parent
LOGS = Path(os.environ.get("BEAM_RTLS_LOGS") or HERE.parents[1] / "shared" / "data" / "uwb")
DOCUMENT, IMAGES = HERE / "positioning.md", HERE / "images"
MAX_IMAGE_BYTES = 150_000

EPILOG = """\
It takes some minutes and needs the extra `plot` (matplotlib):

  python docs/plots.py                 measure, write the tables into docs/positioning.md, draw docs/images
  python docs/plots.py --print         measure, and print the tables instead; nothing is written
  BEAM_RTLS_LOGS=/srv/uwb python docs/plots.py

A table stands in the document between the lines `<!-- NAME: python docs/plots.py -->` and `<!-- end -->`, NAME being
`figures` or `calibration`; all between them is replaced.

exit code: 0 done, 1 a log is missing or a file cannot be written, 2 called wrongly
"""


class Log(NamedTuple):
    """A log: the folder's name, the height of its tags (m), and the times (s of the log) that are scored."""

    name: str
    tag_height_m: float
    window: Window = Window()


RECORDED = [
    Log("lias_dyn_fast", 0.97),
    Log("hyu_los_case1", 1.13, Window(52.13, 191.88)),
    Log("hyu_los_case2", 1.14, Window(51.00, 197.87)),
    Log("hyu_nlos_case1", 1.13, Window(55.00, 224.25)),
    Log("hyu_nlos_case2", 1.08, Window(61.37, 217.75)),
]
DRAWN = ("lias_dyn_fast", "hyu_nlos_case2")
"""The logs whose tracks and errors over time are drawn."""
ON, OFF = "on", "off"
COLOURS = {ON: "C0", OFF: "C1"}


class Run(NamedTuple):
    """A log through the pipeline."""

    log: Log
    site: Site
    truth: Truth
    replayed: Replayed
    scored: Score
    errors: Errors


def main(argv: Sequence[str]) -> int:
    """Do what ``argv`` says; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="docs/plots.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--logs", type=Path, default=LOGS, metavar="DIR", help="where the logs are (BEAM_RTLS_LOGS)")
    parser.add_argument("--print", action="store_true", dest="is_printed", help="print the tables, and write nothing")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    try:
        runs = {(log.name, tracking): run(given.logs, log, tracking) for log in RECORDED for tracking in (ON, OFF)}
        tables = {"figures": figures(runs), "calibration": calibration(given.logs)}
        if given.is_printed:
            sys.stdout.writelines(f"{table}\n\n" for table in tables.values())
        else:
            write(tables)
            draw(runs)
    except OSError as error:
        sys.stderr.write(f"docs/plots.py: {error}\n")
        return 1
    return 0


def run(logs: Path, log: Log, tracking: str, anchors: Path | None = None, window: Window | None = None) -> Run:
    """Replay a log, on its own site map or another, and score it in its window or another."""
    folder = logs / log.name
    site = load_site(anchors or folder / "anchors.csv", log.tag_height_m)
    settings = GraphSettings() if tracking == ON else GraphSettings(track=None)
    replayed = replay(read_ranges(folder / "ranges.csv"), site, settings)
    truth = read_truth(folder / "truth.csv")
    window = window or log.window
    shown = [estimate for estimate in replayed.estimates if window.holds(estimate.time_us)]
    return Run(log, site, truth, replayed, score(replayed, truth, window), errors_of(shown, truth))


# Tables


def figures(runs: dict[tuple[str, str], Run]) -> str:
    """Return what the logs gave, with tracking and without."""
    head = ("log", "tracking", "positions", "RMSE (m)", "median (m)", "95 % (m)", "without answer", "1 σ", "2 σ", "NIS")
    rows = [head, tuple("---" for _ in head)]
    for (name, tracking), each in runs.items():
        scored = each.scored
        metres = [f"{value:.3f}" for value in (scored.rmse_m, scored.median_m, scored.p95_m) if value is not None]
        shares = (scored.share_without_answer, scored.accuracy.below_1, scored.accuracy.below_2)
        nis = "–" if scored.nis.mean_ratio is None else f"{scored.nis.mean_ratio:.2f}"
        rows.append((f"`{name}`", tracking, f"{scored.scored:,}", *metres, *map(percent, shares), nis))
    for tracking in (ON, OFF):
        of_all = np.concatenate([distances(each) for (_, which), each in runs.items() if which == tracking])
        shares = (None, float(np.mean(of_all < 1)), float(np.mean(of_all < 2)))  # noqa: PLR2004  (two sigma)
        rows.append(("all", tracking, f"{of_all.size:,}", "", "", "", "", *map(percent, shares[1:]), ""))
    return as_markdown(rows)


def calibration(logs: Path) -> str:
    """Return what biases taken from the first half of each log's scored time do for its second half."""
    head = ("log", "biases from", "range RMS (m)", "RMSE tracking on (m)", "RMSE tracking off (m)")
    rows = [head, tuple("---" for _ in head)]
    for log in RECORDED:
        window = Window(max(log.window.from_s, 0.0), log.window.to_s)
        if math.isinf(window.to_s):
            window = Window(0.0, float(next(iter(read_truth(logs / log.name / "truth.csv").values()))[-1, 0]))
        middle_s = (window.from_s + window.to_s) / 2
        second = Window(middle_s, window.to_s)
        for name, is_by_truth in (("none", None), ("truth", True), ("ranges", False)):
            with tempfile.TemporaryDirectory() as folder:
                anchors, told = None, "–"
                if is_by_truth is not None:
                    anchors = Path(folder, "anchors.csv")
                    first = Window(window.from_s, middle_s)
                    told = calibrated(logs, log, first, anchors, is_by_truth=is_by_truth)
                if not told:
                    rows.append((f"`{log.name}`", name, "none found", "–", "–"))
                    continue
                scores = [run(logs, log, tracking, anchors, second).scored for tracking in (ON, OFF)]
                errors_m = [each.rmse_m for each in scores if each.rmse_m is not None]
                rows.append((f"`{log.name}`", name, told, *(f"{error_m:.3f}" for error_m in errors_m)))
    return as_markdown(rows)


def calibrated(logs: Path, log: Log, window: Window, output: Path, *, is_by_truth: bool) -> str:
    """Write the calibrated site map; return the RMS of the ranges held out, before and after; nothing if none could."""
    folder = logs / log.name
    argv = ["--anchors", str(folder / "anchors.csv"), "--tag-height", f"{log.tag_height_m}"]
    argv += ["--readings", str(folder / "ranges.csv"), "--from", f"{window.from_s}", "--to", f"{window.to_s}"]
    argv += ["--truth", str(folder / "truth.csv")] if is_by_truth else []
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = calibrate.main([*argv, "--output", str(output)])
    if code:
        return ""
    overall = next(line for line in told.getvalue().splitlines() if line.startswith("all ")).split()
    return f"{overall[2]} → {overall[3]}"


def distances(each: Run) -> NDArray[np.float64]:
    """Return the Mahalanobis distances of a run's errors, of the positions that have a covariance."""
    pairs = zip(each.errors.estimates, each.errors.dx_m.tolist(), each.errors.dy_m.tolist(), strict=True)
    return np.array([mahalanobis(dx, dy, one.cov_m2) for one, dx, dy in pairs if one.cov_m2 is not None])


def percent(share: float | None) -> str:
    """Return a share for a table."""
    return "–" if share is None else f"{100 * share:.1f} %"


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(tables: dict[str, str]) -> None:
    """Put tables into the document, each between its marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name}: python docs/plots.py -->\n", "<!-- end -->"
        before, found, after = text.partition(begin)
        if not found:
            raise OSError(f"{DOCUMENT}: the line {begin.strip()!r} is missing")
        text = f"{before}{begin}\n{table}\n\n{end}{after.partition(end)[2]}"
    DOCUMENT.write_text(text, encoding="utf-8")


# Pictures


def draw(runs: dict[tuple[str, str], Run]) -> None:
    """Draw all pictures."""
    for name, size, across in zip(DRAWN, ((10.0, 4.6), (9.0, 5.4)), (2, 1), strict=True):
        with picture(f"track-{name.replace('_', '-')}.png", size) as figure:
            panels = figure.subplots(2 // across, across, sharex=True, sharey=True)
            for axes, tracking in zip(panels, (ON, OFF), strict=True):
                draw_track(axes, runs[name, tracking], tracking)
    with picture("error-over-time.png", (10.0, 6.0)) as figure:
        for axes, name in zip(figure.subplots(len(DRAWN), 1), DRAWN, strict=True):
            draw_errors(axes, runs, name)
    with picture("error-distribution.png", (11.0, 3.2)) as figure:
        panels = figure.subplots(1, len(RECORDED), sharey=True)
        for axes, log in zip(panels, RECORDED, strict=True):
            draw_distribution(axes, runs, log.name)
        panels[0].set(ylabel="share at or below")
        panels[0].legend(fontsize=8)
    with picture("honesty.png", (9.0, 4.2)) as figure:
        for axes, tracking in zip(figure.subplots(1, 2, sharey=True), (ON, OFF), strict=True):
            draw_honesty(axes, runs, tracking)


@contextlib.contextmanager
def picture(name: str, size: tuple[float, float]) -> Iterator[Figure]:
    """Give a figure to draw on, and write it."""
    figure = Figure(figsize=size, layout="constrained")
    yield figure
    path = IMAGES / name
    figure.savefig(path, dpi=90, metadata={"Software": None})
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise OSError(f"{path} has {path.stat().st_size} bytes; expected at most {MAX_IMAGE_BYTES}")


def draw_track(axes: Axes, each: Run, tracking: str) -> None:
    """Draw the places of the first tag over its truth."""
    tag = min(each.truth)
    track = each.truth[tag]
    window = each.log.window
    inside = track[(track[:, 0] >= window.from_s) & (track[:, 0] <= window.to_s)]
    axes.plot(inside[:, 1], inside[:, 2], color="0.55", linewidth=1.2, label="truth")
    places = np.array([(one.x_m, one.y_m) for one in each.errors.estimates if one.tag == tag])
    axes.plot(places[:, 0], places[:, 1], ".", color=COLOURS[tracking], markersize=2.0, label="positions")
    anchors = [(one.x_m, one.y_m) for one in each.site.anchors.values()]
    axes.plot(*zip(*anchors, strict=True), "k^", markersize=5, label="anchors")
    reach = np.concatenate([inside[:, 1:3], np.array(anchors)])
    margin_m = 0.08 * float(np.ptp(reach, axis=0).max())
    axes.set_xlim(reach[:, 0].min() - margin_m, reach[:, 0].max() + margin_m)
    axes.set_ylim(reach[:, 1].min() - margin_m, reach[:, 1].max() + margin_m)
    axes.set_aspect("equal", adjustable="box")
    axes.set(xlabel="x (m)", ylabel="y (m)", title=f"{each.log.name}, tag {tag}, tracking {tracking}")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8, loc="upper left", markerscale=2)


def draw_errors(axes: Axes, runs: dict[tuple[str, str], Run], name: str) -> None:
    """Draw the error of the first tag over time, with the accuracy that was stated for it."""
    tag = min(runs[name, ON].truth)
    for tracking in (OFF, ON):
        errors = runs[name, tracking].errors
        mine = [index for index, one in enumerate(errors.estimates) if one.tag == tag]
        times_s = [errors.estimates[index].time_us / 1e6 for index in mine]
        axes.plot(
            *(times_s, errors.horizontal_m[mine], "."),
            color=COLOURS[tracking],
            markersize=2.0,
            label=f"error, tracking {tracking}",
        )
        if tracking == ON:
            axes.plot(times_s, [stated_m(errors, index) for index in mine], "k", linewidth=0.8, label="accuracy stated")
    top_m = 1.1 * float(np.percentile(runs[name, OFF].errors.horizontal_m, 99))
    axes.set(xlabel="t (s)", ylabel="m", title=f"{name}, tag {tag}", ylim=(0, top_m))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8, loc="upper right", markerscale=3)


def stated_m(errors: Errors, index: int) -> float:
    """Return the ``accuracy`` of a position; not a number where none is stated."""
    cov_m2 = errors.estimates[index].cov_m2
    return math.nan if cov_m2 is None else math.sqrt((cov_m2[0] + cov_m2[2]) / 2)


def draw_distribution(axes: Axes, runs: dict[tuple[str, str], Run], name: str) -> None:
    """Draw which share of the errors is how small, with tracking and without."""
    for tracking in (ON, OFF):
        steps(axes, runs[name, tracking].errors.horizontal_m, f"tracking {tracking}", COLOURS[tracking])
    axes.set_xscale("log")
    axes.set(xlabel="error (m)", title=name, ylim=(0, 1))
    axes.title.set_fontsize(9)
    axes.grid(visible=True, alpha=0.3)


def draw_honesty(axes: Axes, runs: dict[tuple[str, str], Run], tracking: str) -> None:
    """Draw which share of the errors lies within how many sigma of its covariance, against what it should be."""
    expected = np.linspace(0, 4, 200)
    axes.plot(expected, 1 - np.exp(-np.square(expected) / 2), "k--", linewidth=1.5, label="expected (χ², 2 degrees)")
    for number, log in enumerate(RECORDED):
        steps(axes, distances(runs[log.name, tracking]), log.name, f"C{number}")
    axes.set(xlabel="Mahalanobis distance of the error", title=f"tracking {tracking}", xlim=(0, 4), ylim=(0, 1))
    axes.grid(visible=True, alpha=0.3)
    if tracking == ON:
        axes.set(ylabel="share at or below")
        axes.legend(fontsize=8)


def steps(axes: Axes, values: NDArray[np.float64], label: str, colour: str) -> None:
    """Draw a distribution function."""
    ordered = np.sort(values)
    axes.step(ordered, np.arange(1, ordered.size + 1) / ordered.size, where="post", label=label, color=colour)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
