"""Columns of numbers, as numpy has them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Booleans: TypeAlias = npt.NDArray[np.bool_]


def changes(column: npt.NDArray[np.generic]) -> Booleans:
    """Return where a column is other than just before, as it is where it begins."""
    is_other = np.ones(len(column), bool)
    np.not_equal(column[1:], column[:-1], out=is_other[1:])
    return is_other
