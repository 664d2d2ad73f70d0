"""What a module of this benchmark hands to the table: a name to select, and a function to lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.lines import Line


@dataclass(frozen=True)
class Group:
    """Lines that are measured together.

    name: what `--only` selects. measure: takes the number of interleaved repeats, at least 5.
    """

    name: str
    measure: Callable[[int], list[Line]]
