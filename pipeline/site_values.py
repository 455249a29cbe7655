"""Single values of a site map, read and checked: each is returned, or told of as a problem on its line."""

from __future__ import annotations

from pipeline.site_draft import Cell, Entry, Problem

_ENDS = 2


def name(entry: Entry, where: str, key: str, problems: list[Problem]) -> str:
    """Return the string under a key, or an empty one where there is none."""
    cell = entry.cells.get(key)
    if cell is None:
        problems.append(Problem.error(entry.line, f"{where} is missing; expected text"))
    elif not cell.text.strip():
        problems.append(Problem.error(cell.line, f"{where} is empty; expected text"))
    elif cell.is_list_or_mapping:
        problems.append(Problem.error(cell.line, f"{where} is {cell}; expected text"))
    elif not cell.is_string:
        what = f'{where} is {cell}, which YAML does not read as text; quote it: {key}: "{cell}"'
        problems.append(Problem.error(cell.line, what))
    elif not _is_utf8(cell.text):
        problems.append(Problem.error(cell.line, f"{where} is {cell.text!r}, which is not text in UTF-8"))
    else:
        return cell.text
    return ""


def _is_utf8(text: str) -> bool:
    """Whether text can be written at all: YAML's escapes can make halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_units(cell: Cell | None, problems: list[Problem]) -> None:
    """Tell of a unit other than metres."""
    if cell is not None and cell.text != "m":
        problems.append(Problem.error(cell.line, f"`units` is {cell}; expected m (metres)"))


def number_above_0(cell: Cell | None, what: str, unit: str, problems: list[Problem]) -> float | None:
    """Return a finite number above 0, or None where it is left out or wrong. ``unit`` in words, as in metres."""
    number = None if cell is None else cell.number()
    if cell is not None and (number is None or number <= 0.0):
        problems.append(Problem.error(cell.line, f"{what} is {cell}; expected a number of {unit} above 0"))
        return None
    return number


def number_from_0(cell: Cell | None, what: str, unit: str, problems: list[Problem]) -> float:
    """Return a finite number, 0 or more, and 0 where it is left out or wrong. ``unit`` in words, as in metres."""
    number = None if cell is None else cell.number()
    if cell is not None and (number is None or number < 0.0):
        problems.append(Problem.error(cell.line, f"{what} is {cell}; expected a number of {unit}, 0 or more"))
        return 0.0
    return number or 0.0


def length(cell: Cell | None, what: str, problems: list[Problem]) -> float | None:
    """Return a finite number of metres, or None where it is left out or wrong."""
    number = None if cell is None else cell.number()
    if cell is not None and number is None:
        problems.append(Problem.error(cell.line, f"{what} is {cell}; expected a finite number of metres"))
    return number


def needed_length(entry: Entry, what: str, key: str, problems: list[Problem]) -> float | None:
    """Return a finite number of metres that must be there, or None where it is missing or wrong."""
    cell = entry.cells.get(key)
    if cell is None:
        problems.append(Problem.error(entry.line, f"{what} is missing; expected a finite number of metres"))
    return length(cell, what, problems)


def length_range(cell: Cell | None, what: str, problems: list[Problem]) -> tuple[float, float] | None:
    """Return (lowest, highest) in metres, or None where it is left out or wrong."""
    if cell is None:
        return None
    ends = [item.number() for item in cell.items]
    lowest, highest = ends if len(ends) == _ENDS else (None, None)
    if lowest is not None and highest is not None and lowest < highest:
        return lowest, highest
    expected = "expected [lowest, highest], two numbers of metres, the lower one first"
    problems.append(Problem.error(cell.line, f"{what} is {written(cell)}; {expected}{comma_hint(cell)}"))
    return None


def comma_hint(cell: Cell) -> str:
    """Return what to add to a message where two numbers are expected and a list has more: 1,5 is two of them."""
    is_longer = len(cell.items) > _ENDS and all(item.number() is not None for item in cell.items)
    return " (a decimal comma? decimals take a point)" if is_longer else ""


def written(cell: Cell) -> str:
    """Return a value as it stands in the file, a list of single values with what is in it."""
    is_list = cell.items and not any(item.is_list_or_mapping for item in cell.items)
    return f"[{', '.join(map(str, cell.items))}]" if is_list else str(cell)
