"""Plain functions over arrays as machine code, made when they first run.

Nothing is kept on disk: the library would keep it as pickles. `py_func` of what comes out is the
function as it was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

Loop = TypeVar("Loop", bound="Callable[..., object]")

_ANY_ORDER = {"reassoc", "contract"}


def compiled(function: Loop) -> Loop:
    """Compile a function: every operation stays where it is and is rounded by itself."""
    return cast("Loop", njit(nogil=True, error_model="numpy")(function))


def compiled_sum(function: Loop) -> Loop:
    """Compile a function whose sums may be taken in any order and fused with their products.

    The bounds of PROOF.md hold for every such order; it is the same one for rows of equal length.
    NaN and infinity remain what they are.
    """
    return cast("Loop", njit(nogil=True, error_model="numpy", fastmath=_ANY_ORDER)(function))
