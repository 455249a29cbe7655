"""Pictures of a replay: the track over the truth with the anchors, the error over time, and its distribution.

Drawn with matplotlib, which is loaded only here and comes with the extra ``plot``.
"""

from __future__ import annotations

import html
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.replay.log import Truth
from pipeline.replay.replay import Estimate
from pipeline.replay.scoring import ALL, Errors, Window, errors_of
from pipeline.site import Site

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".html")
_SIZE_INCHES = (9.0, 14.0)
_HEIGHT_RATIOS = (2, 1, 1)
_NAMED_ANCHORS = 50
_NAMED_TAGS = 10

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; max-width: 60rem; margin: 2rem auto">
<h1>{title}</h1>
<pre>{table}</pre>
{picture}
</body>
</html>
"""


class PlotError(RuntimeError):
    """No picture can be drawn."""


def require_matplotlib() -> None:
    """Raise ``PlotError`` where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotError("pictures need matplotlib, which is missing; expected the extra: pip install 'beam-rtls[plot]'")


def plot(
    path: Path,
    title: str,
    table: str,
    *,
    site: Site,
    estimates: Sequence[Estimate],
    truth: Truth,
    window: Window = ALL,
) -> None:
    """Write a picture (``.png``), or a page with the picture and the report's table (``.html``).

    Estimates and the truth are drawn within the window; without a truth there is the track alone.

    Raises:
        PlotError: matplotlib is missing, or the file is to be of another kind.
        OSError: the file cannot be written.
    """
    require_matplotlib()
    if path.suffix.lower() not in ENDINGS:
        raise PlotError(f"{path} ends in {path.suffix!r}; expected {' or '.join(ENDINGS)}")
    from matplotlib.figure import Figure  # noqa: PLC0415

    shown = [estimate for estimate in estimates if window.holds(estimate.time_us)]
    errors = errors_of(shown, truth)
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    if truth:
        track, over_time, distribution = figure.subplots(3, 1, height_ratios=_HEIGHT_RATIOS)
        _draw_errors(over_time, errors)
        _draw_distribution(distribution, errors)
    else:
        track = figure.subplots()
    _draw_track(track, site, shown, truth, window)
    if path.suffix.lower() == ".png":
        figure.suptitle(title)
        figure.savefig(path, format="png", dpi=120)
    else:
        page = _PAGE.format(title=html.escape(title), table=html.escape(table), picture=_svg(figure))
        path.write_text(page, encoding="utf-8")


def _svg(figure: Figure) -> str:
    """Return a figure as an element of a page; equal figures give equal text."""
    import matplotlib as mpl  # noqa: PLC0415

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "beam-rtls"}):  # else ids are random
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _draw_track(axes: Axes, site: Site, estimates: Sequence[Estimate], truth: Truth, window: Window) -> None:
    tags = sorted({estimate.tag for estimate in estimates})
    for number, tag in enumerate(tags):
        colour = f"C{number % 10}"
        label = f"tag {tag}" if number < _NAMED_TAGS else None
        track = truth.get(tag)
        if track is not None:
            inside = track[(track[:, 0] >= window.from_s) & (track[:, 0] <= window.to_s)]
            axes.plot(inside[:, 1], inside[:, 2], color="0.6", linewidth=1.0, label=None if number else "truth")
        places = np.array([(one.x_m, one.y_m) for one in estimates if one.tag == tag])
        axes.plot(places[:, 0], places[:, 1], ".", color=colour, markersize=2.5, label=label)
    anchors = list(site.anchors.values())
    axes.plot([one.x_m for one in anchors], [one.y_m for one in anchors], "k^", markersize=7, label="anchors")
    for anchor in anchors[:_NAMED_ANCHORS]:
        axes.annotate(anchor.id, (anchor.x_m, anchor.y_m), xytext=(4, 4), textcoords="offset points", fontsize=7)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel="x (m)", ylabel="y (m)", title="Track")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)


def _draw_errors(axes: Axes, errors: Errors) -> None:
    times_s = [estimate.time_us / 1e6 for estimate in errors.estimates]
    axes.plot(times_s, errors.horizontal_m, ".", markersize=2.5)
    axes.set(xlabel="t (s)", ylabel="error (m)", title="Horizontal error over time")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)


def _draw_distribution(axes: Axes, errors: Errors) -> None:
    ordered_m = np.sort(errors.horizontal_m)
    axes.step(ordered_m, np.arange(1, ordered_m.size + 1) / max(1, ordered_m.size), where="post")
    axes.set(xlabel="error (m)", ylabel="share at or below", title="Distribution of the horizontal error")
    axes.set_ylim(0, 1)
    axes.set_xlim(left=0)
    axes.grid(visible=True, alpha=0.3)
