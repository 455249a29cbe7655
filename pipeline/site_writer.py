"""A site map written anew with biases in it; all else stays as it stands, comments and order among it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.tokens import CommentToken
from ruamel.yaml.util import load_yaml_guess_indent

_AFTER = 2
"""Where ruamel.yaml keeps the comment that follows a key's value."""
_NO_WRAPPING = 1_000_000


class Bias(NamedTuple):
    """An anchor's bias and its standard deviation (m), written to the millimetre."""

    bias_m: float
    sigma_m: float

    def written(self) -> dict[str, float]:
        """Return the keys of a site map; a sigma is written as 1 mm at least, for it has to be above 0."""
        return {"bias": round(self.bias_m, 3) + 0.0, "bias_sigma": max(round(self.sigma_m, 3), 0.001)}


def with_biases(path: Path, biases: Mapping[str, Bias]) -> str:
    """Return the text of a site map (.yaml, .yml or .csv) that loads, with biases of anchors in it.

    Anchors that are not named keep what they have. Spaces within a line of YAML may come out otherwise.

    Raises:
        OSError: the file cannot be read.
    """
    text = path.read_bytes().decode("utf-8-sig")
    lines = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    written = _csv_with(text, biases) if path.suffix.lower() == ".csv" else _yaml_with(text, biases)
    return written.replace("\n", lines)


def _yaml_with(text: str, biases: Mapping[str, Bias]) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _NO_WRAPPING
    yaml.explicit_start = re.search(r"^---", text, re.MULTILINE) is not None
    _, indent, offset = load_yaml_guess_indent(text)
    yaml.indent(mapping=2, sequence=indent or 2, offset=offset or 0)
    root = yaml.load(text)
    for anchor in root["anchors"]:
        bias = biases.get(str(anchor["id"]))
        if bias is not None:
            _set(anchor, bias.written())
    out = io.StringIO()
    yaml.dump(root, out)
    return out.getvalue()


def _set(anchor: Any, values: Mapping[str, float]) -> None:
    """Set values of a mapping, new ones at its end: there, but before what comments say of the next anchor."""
    last = list(anchor)[-1]
    anchor.update(values)
    new_last = list(anchor)[-1]
    comments = anchor.ca.items.get(last)
    if new_last == last or not comments or comments[_AFTER] is None:
        return
    on_line, _, below = comments[_AFTER].value.partition("\n")
    if below:
        mark = comments[_AFTER].start_mark
        comments[_AFTER] = CommentToken(f"{on_line}\n", mark, None) if on_line else None
        anchor.ca.items[new_last] = [None, None, CommentToken(f"\n{below}", mark, None), None]


def _csv_with(text: str, biases: Mapping[str, Bias]) -> str:
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True))
    header: list[str] | None = None
    for row in rows:
        if not any(value.strip() for value in row):
            continue
        if header is None:
            row += [column for column in ("bias", "bias_sigma") if column not in map(str.strip, row)]
            header = [value.strip() for value in row]
        else:
            _set_in_row(row, header, biases)
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _set_in_row(row: list[str], header: Sequence[str], biases: Mapping[str, Bias]) -> None:
    row += (len(header) - len(row)) * [""]
    bias = biases.get(row[header.index("anchor_id")].strip())
    if bias is not None:
        for column, value in bias.written().items():
            row[header.index(column)] = str(value)
