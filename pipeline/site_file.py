"""The site map as it stands in a file: what is written on which line, before anything is made of it.

YAML and CSV end as the same :class:`Draft`; ``site.py`` holds it against the rules. A number is read as plain decimal
text in both, so ``010`` is ten and ``1e3`` a thousand (YAML 1.1 would make them eight and a word), and ``1:30`` (there
ninety) is refused.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import yaml

from pipeline.map_files import MapFiles
from pipeline.site_draft import ANCHOR_KEYS, CSV_COLUMNS, SITE_KEYS, ZONE_KEYS, Cell, Draft, Entry, Problem

if TYPE_CHECKING:
    import _csv  # the type of csv.reader() has no public name

REQUIRED_CSV_COLUMNS = ("anchor_id", "x", "y")
_YAML_STRING = "tag:yaml.org,2002:str"
_YAML_NULL = "tag:yaml.org,2002:null"
_DEEPEST = 2
"""Lists are read into lists so far: a polygon is one of corners. A list can hold itself."""
_WHOLE = re.compile(r"[-+]?[0-9]+")
_DIGITS = re.compile(r"[0-9]+")


def read_draft(path: str, files: MapFiles, problems: list[Problem]) -> Draft | None:
    """Read a site map, adding what is wrong with the file's form to ``problems``.

    Returns:
        What could be read, or None where the file as a whole cannot be.
    """
    readers = {".yaml": _read_yaml, ".yml": _read_yaml, ".csv": _read_csv}
    name = PurePosixPath(path)
    read = readers.get(name.suffix.lower())
    if read is None:
        problems.append(Problem.error(1, f"the file's ending is {name.suffix!r}; expected one of {', '.join(readers)}"))
        return None
    text = _read_text(path, files, problems)
    return None if text is None else read(text, name.stem, problems)


def _read_text(path: str, files: MapFiles, problems: list[Problem]) -> str | None:
    try:
        data = files.read(path)
    except OSError as error:
        problems.append(Problem.error(1, f"the file cannot be read: {error.strerror or error}"))
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.append(Problem.error(line, f"the file is not UTF-8: byte 0x{data[error.start]:02x}; save it as UTF-8"))
        return None
    if not text.strip():
        problems.append(Problem.error(1, "the file is empty"))
        return None
    return text


def _misspelt(where: str, keys: Iterable[tuple[int, str]], known: Sequence[str]) -> Iterator[Problem]:
    """Warn of each key that is not known and looks like one that is; other keys are later versions' business."""
    for line, key in keys:
        if key in known:
            continue
        plain = key.strip().casefold().replace("-", "_").removesuffix("_m")
        for meant in difflib.get_close_matches(plain, known, n=1):
            yield Problem.warning(line, f"{where}: {key!r} is not known and not read; did you mean {meant!r}?")


# YAML


def _read_yaml(text: str, _stem: str, problems: list[Problem]) -> Draft | None:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(Problem.error(mark.line + 1 if mark else 1, f"not valid YAML: {error.problem}"))
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.append(Problem.error(line, f"not valid YAML: character {text[error.position]!r} is not allowed"))
        return None
    except (ValueError, OverflowError, RecursionError) as error:  # PyYAML's on "\UFFFFFFFF" and on very deep nesting
        problems.append(Problem.error(1, f"not valid YAML: {error}"))
        return None
    if root is None or root.tag == _YAML_NULL:
        problems.append(Problem.error(1, "the file is empty"))
        return None
    if not isinstance(root, yaml.MappingNode):
        what = f"the file holds {_kind(root)}; expected a mapping with `site` and `anchors`"
        problems.append(Problem.error(_line(root), what))
        return None
    problems.extend(_key_problems(root))
    problems.extend(_misspelt("site map", _keys(root), SITE_KEYS))
    if root.flow_style:
        problems.extend(_stray_keys("site map", root, SITE_KEYS))
    line, anchors = _under("anchors", root)
    if not isinstance(anchors, yaml.SequenceNode):
        found = "missing" if anchors is None or anchors.tag == _YAML_NULL else _kind(anchors)
        problems.append(Problem.error(line, f"`anchors` is {found}; expected a list of {{id, x, y, z}}"))
    return Draft(
        settings=_entry(root, SITE_KEYS),
        anchors_line=line,
        anchors=_entries("anchor", anchors, ANCHOR_KEYS, problems),
        zones=_yaml_zones(root, problems),
        home_zones=_yaml_home_zones(root, problems),
    )


def _under(name: str, root: yaml.MappingNode) -> tuple[int, yaml.Node | None]:
    return next(((_line(key), value) for key, value in root.value if key.value == name), (1, None))


def _entries(what: str, node: yaml.Node | None, known: Sequence[str], problems: list[Problem]) -> list[Entry] | None:
    if not isinstance(node, yaml.SequenceNode):
        return None
    for number, item in enumerate(node.value, start=1):
        if isinstance(item, yaml.MappingNode):
            problems.extend(_misspelt(f"{what} {number}", _keys(item), known))
            problems.extend(_stray_keys(f"{what} {number}", item, known))
    return [_entry(item, known) for item in node.value]


def _yaml_zones(root: yaml.MappingNode, problems: list[Problem]) -> list[Entry]:
    line, node = _under("zones", root)
    if node is None or node.tag == _YAML_NULL:
        return []
    if not isinstance(node, yaml.SequenceNode):
        problems.append(Problem.error(line, f"`zones` is {_kind(node)}; expected a list of {{id, polygon}}"))
    return _entries("zone", node, ZONE_KEYS, problems) or []


def _yaml_home_zones(root: yaml.MappingNode, problems: list[Problem]) -> Entry:
    line, node = _under("home_zones", root)
    if node is None or node.tag == _YAML_NULL:
        return Entry(line, {})
    if not isinstance(node, yaml.MappingNode):
        what = f"`home_zones` is {_kind(node)}; expected a mapping from tag ids to the ids of zones"
        problems.append(Problem.error(line, what))
        return Entry(line, {})
    return _entry(node, [key for _, key in _keys(node)])


def _entry(node: yaml.Node, known: Sequence[str]) -> Entry:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    cells = {
        key.value: _cell(value)
        for key, value in pairs
        if isinstance(key, yaml.ScalarNode) and key.value in known and value.tag != _YAML_NULL
    }
    return Entry(_line(node), cells)


def _cell(node: yaml.Node, depth: int = 0) -> Cell:
    if isinstance(node, yaml.ScalarNode):
        return Cell(_line(node), node.value, is_string=node.tag == _YAML_STRING, is_plain=not node.style)
    nodes = node.value if isinstance(node, yaml.SequenceNode) and depth < _DEEPEST else ()
    items = tuple(_cell(item, depth + 1) for item in nodes if not isinstance(item, yaml.MappingNode))
    items = items if len(items) == len(nodes) else ()
    return Cell(_line(node), _kind(node), is_string=False, is_plain=True, is_list_or_mapping=True, items=items)


def _keys(node: yaml.MappingNode) -> list[tuple[int, str]]:
    return [(_line(key), key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]


def _key_problems(root: yaml.Node) -> Iterator[Problem]:
    """Find, at any depth, the keys given twice and the merge keys, which would otherwise be passed over in silence."""
    to_visit, visited = [root], set()
    while to_visit:
        node = to_visit.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            to_visit.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            to_visit.extend(value for _, value in node.value)
            yield from _key_problems_of_one(node)


def _key_problems_of_one(node: yaml.MappingNode) -> Iterator[Problem]:
    first_lines: dict[str, int] = {}
    for line, key in _keys(node):
        if key == "<<":
            yield Problem.error(line, "merging with '<<' is not read here; write the keys out")
        elif key in first_lines:
            yield Problem.error(line, f"key {key!r} is given twice; it already stands on line {first_lines[key]}")
        first_lines.setdefault(key, line)


def _stray_keys(where: str, node: yaml.MappingNode, known: Sequence[str]) -> Iterator[Problem]:
    """Find the keys that no version will know: numbers, and those without a value.

    A decimal comma makes such keys, and would else cost the decimals in silence: ``{x: 29,6}`` is x of 29 and a key 6.
    """
    before = ""
    for key, value in node.value:
        is_empty = value.tag == _YAML_NULL
        if isinstance(key, yaml.ScalarNode) and key.value not in known:
            is_split = is_empty and _DIGITS.fullmatch(key.value) and _WHOLE.fullmatch(before)
            mend = f"a decimal comma? write {before}.{key.value}" if is_split else "take it out, or give it a value"
            if is_empty:
                yield Problem.error(_line(key), f"{where}: {key.value!r} is not known and has no value; {mend}")
            elif _cell(key).number() is not None:
                expected = f"expected one of {', '.join(known)}"
                yield Problem.error(_line(key), f"{where}: the key {key.value!r} is a number; {expected}")
        before = value.value if isinstance(value, yaml.ScalarNode) and not value.style else ""


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "a single value"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


# CSV


def _read_csv(text: str, stem: str, problems: list[Problem]) -> Draft | None:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    try:
        rows = list(_csv_rows(reader))
    except csv.Error as error:
        problems.append(Problem.error(max(reader.line_num, 1), f"not valid CSV: {error}"))
        return None
    header_line, header = rows[0]
    header_problems = list(_header_problems(header_line, header))
    problems.extend(header_problems)
    if any(problem.severity == "error" for problem in header_problems):
        return None
    for line, row in rows[1:]:
        if len(row) > len(header):
            what = f"the row has {len(row)} values; expected {len(header)}, as in the header"
            problems.append(Problem.error(line, what))
    name = Cell(1, stem, is_string=True, is_plain=True)
    return Draft(
        settings=Entry(1, {"site": name}),
        anchors_line=header_line,
        anchors=[_csv_entry(line, header, row) for line, row in rows[1:]],
    )


def _csv_rows(reader: _csv.Reader) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank with the line on which it begins."""
    line = 1
    for row in reader:
        values = [value.strip() for value in row]
        if any(values):
            yield line, values
        line = reader.line_num + 1


def _header_problems(line: int, header: Sequence[str]) -> Iterator[Problem]:
    for column in REQUIRED_CSV_COLUMNS:
        if column not in header:
            what = f"column {column!r} is missing; the header is {','.join(header)!r}, expected 'anchor_id,x,y[,z]'"
            yield Problem.error(line, what)
    for column in CSV_COLUMNS:
        if header.count(column) > 1:
            yield Problem.error(line, f"column {column!r} is given {header.count(column)} times; expected once")
    yield from _misspelt("header", [(line, column) for column in header], tuple(CSV_COLUMNS))


def _csv_entry(line: int, header: Sequence[str], row: Sequence[str]) -> Entry:
    named = zip(header, row, strict=False)  # a short row lacks its last values; a long one is told of above
    cells = {
        CSV_COLUMNS[column]: Cell(line, value, is_string=True, is_plain=True)
        for column, value in named
        if column in CSV_COLUMNS and value
    }
    return Entry(line, cells)
