"""How the numeric kernels are compiled: to machine code on the first call, kept on disk for the next process.

IEEE arithmetic in the order that is written (no ``fastmath``), so that the same ranges give the same bits in any
process; a division by zero gives infinity or not a number, as with arrays, and never raises.

numba keeps machine code as long as the file of the outermost kernel is the same, though the code of those that it
calls is within, and constants of any file. It is therefore kept in a folder named after the text of all files here, and
of the site map's: under ``NUMBA_CACHE_DIR`` where that is set, else beside the kernels; and where neither can be
written to, in the user's cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from numba import config, njit

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_HERE = Path(__file__).parent


def compiled(kernel: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Return the function, compiled for the types of its arguments when first called."""
    return _compiled(kernel, {})


def compiled_in_place(kernel: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Do as :func:`compiled` with a function that makes no array, and counts no references to those that it is given.

    Where many small functions hand many arrays on, most time goes into counting. No function that counts may call such
    a one for an array: it would give up a reference that nobody has taken.
    """
    return _compiled(kernel, {"_nrt": False})


def _compiled(kernel: Callable[_Given, _Result], options: dict[str, Any]) -> Callable[_Given, _Result]:
    try:
        made = njit(cache=True, error_model="numpy", **options)(kernel)
    except RuntimeError:  # there is no place at all that can be written to: each process compiles for itself
        made = njit(error_model="numpy", **options)(kernel)
    return cast("Callable[_Given, _Result]", made)


def _digest() -> str:
    """Return what changes with any kernel, and with any constant that is compiled into one."""
    digest = hashlib.blake2b(digest_size=8)
    for source in (*sorted(_HERE.glob("*.py")), *sorted(_HERE.parent.glob("site*.py"))):
        digest.update(source.read_bytes())
    return digest.hexdigest()


config.CACHE_DIR = str(Path(config.CACHE_DIR or _HERE / "__pycache__") / f"kernels-{_digest()}")  # type: ignore[attr-defined]
