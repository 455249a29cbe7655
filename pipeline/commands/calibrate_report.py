"""What a calibration found: as a table and sentences for people, as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.positioning.calibration import MIN_READINGS, AnchorCalibration, Calibration, Offset
from pipeline.positioning.held_out import BeforeAfter, HeldOut
from pipeline.site import Site

_DIGITS = 4
_HEADER = ("anchor", "readings", "bias before", "bias after", "RMS before", "after", "median before", "after")


@dataclass(frozen=True, slots=True)
class Findings:
    """All there is to tell. ``rounds`` is None with a truth; ``unused`` is how many readings had no part, by reason."""

    site: Site
    calibration: Calibration
    held_out: HeldOut
    readings: int
    tags: int
    rounds: int | None
    unused: Mapping[str, int]


def as_table(found: Findings) -> str:
    """Return a line for each anchor and one for all; lengths in metres, residuals of readings held out."""
    rows: list[tuple[str, ...]] = [_HEADER]
    anchors = zip(found.site.anchors.values(), found.calibration.anchors, found.held_out.anchors, strict=True)
    for anchor, calibrated, compared in anchors:
        after = "-" if calibrated.bias_m is None else f"{calibrated.bias_m:.3f} ± {calibrated.sigma_m:.3f}"
        rows.append((anchor.id, str(calibrated.readings), f"{anchor.bias_m:.3f}", after, *_compared(compared)))
    readings = sum(calibrated.readings for calibrated in found.calibration.anchors)
    rows.append(("all", str(readings), "", "", *_compared(found.held_out.overall)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def remarks(found: Findings) -> Iterator[str]:
    """Yield a sentence for whatever deserves a look."""
    for anchor_id, calibrated in zip(found.site.anchors, found.calibration.anchors, strict=True):
        if calibrated.bias_m is None:
            yield f"anchor {anchor_id!r} keeps what it has: {_why_not(calibrated)}"
        if calibrated.offset is not None:
            yield (
                f"anchor {anchor_id!r} seems to stand {calibrated.offset.length_m():.2f} m from its place on the map: "
                f"{_offset(calibrated.offset)}. Survey it again; it was not moved, and its bias suits the map's place"
            )
    spread_m = found.calibration.tag_spread_m
    if spread_m is None:
        yield "one tag: how much biases differ from tag to tag is not known, and not in the sigmas"
    else:
        yield f"biases differ from tag to tag by {spread_m:.3f} m (standard deviation); the sigmas hold it"
    if found.held_out.overall is None:
        yield "nothing could be held out for a comparison: the tags stood at one place"
    for reason, count in found.unused.items():
        yield f"{count} readings were not used: {reason}"


def as_json(found: Findings, argument_names: Mapping[str, str]) -> dict[str, Any]:
    """Return the report; lengths in metres, null where there is nothing to tell."""
    calibration = found.calibration
    anchors = zip(found.site.anchors.values(), calibration.anchors, found.held_out.anchors, strict=True)
    return {
        **argument_names,
        "method": "truth" if found.rounds is None else "self-consistency",
        "readings": found.readings,
        "rounds": found.rounds,
        "tags": found.tags,
        "unused_readings": dict(found.unused),
        "tag_spread_m": _rounded(calibration.tag_spread_m),
        "held_out": _json_compared(found.held_out.overall),
        "anchors": {
            anchor.id: {
                "readings": calibrated.readings,
                "bias_before_m": anchor.bias_m,
                "bias_m": _rounded(calibrated.bias_m),
                "bias_sigma_m": None if calibrated.bias_m is None else _rounded(calibrated.sigma_m),
                "offset": None
                if calibrated.offset is None
                else {name: _rounded(value) for name, value in calibrated.offset._asdict().items()},
                "held_out": _json_compared(compared),
            }
            for anchor, calibrated, compared in anchors
        },
    }


def _why_not(calibrated: AnchorCalibration) -> str:
    if calibrated.readings < MIN_READINGS:
        return f"{calibrated.readings} readings of it, {MIN_READINGS} are needed"
    return f"the readings leave its bias open (sigma {calibrated.sigma_m:.2f} m, as good as before any reading)"


def _offset(offset: Offset) -> str:
    axes = [("x", offset.x_m, offset.sigma_x_m), ("y", offset.y_m, offset.sigma_y_m)]
    if offset.z_m is not None and offset.sigma_z_m is not None:
        axes.append(("z", offset.z_m, offset.sigma_z_m))
    return ", ".join(f"{axis} {value_m:+.2f} ± {sigma_m:.2f}" for axis, value_m, sigma_m in axes)


def _compared(compared: BeforeAfter | None) -> Sequence[str]:
    if compared is None:
        return 4 * ("-",)
    before, after = compared.before, compared.after
    return tuple(f"{metres:.3f}" for metres in (before.rms_m, after.rms_m, before.median_m, after.median_m))


def _json_compared(compared: BeforeAfter | None) -> dict[str, Any] | None:
    if compared is None:
        return None
    return {
        "readings": compared.readings,
        "before": {name: _rounded(value) for name, value in compared.before._asdict().items()},
        "after": {name: _rounded(value) for name, value in compared.after._asdict().items()},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
