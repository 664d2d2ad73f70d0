"""Ways in which a site may have written a feature otherwise than the study says.

Each is a map from cells to cells of the feature's histogram: where the patients of a cell are
counted when their values are in another unit, or their categories under another code.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.protocol.dictionary import CategoryFeature, NumberFeature
from cordon_common.qc.summary import bin_edges

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_common.protocol.dictionary import Measured

    Array = npt.NDArray[np.float64]

MOST_PERMUTED = 4
"""Of more categories, permutations are too many to tell from honest differences."""


@dataclass(frozen=True)
class Recoding:
    """One such way. words: completes "the values lie as those of the other sites would …".

    moves: [value cells and the strange cell] squared; row i says where the patients of cell i are
    counted; rows add up to 1.
    """

    words: str
    moves: tuple[tuple[float, ...], ...]

    @property
    def matrix(self) -> Array:
        """The map as float64 [cells, cells]: shares @ matrix are the shares when so written."""
        return np.array(self.moves)


def other_units(feature: NumberFeature, bins: int) -> tuple[Recoding, ...]:
    """List the study's own factors: values left in the other unit, or converted once too often.

    Inside a cell values are taken as evenly spread; beyond the plausible range they are strange.
    """
    edges = np.array(bin_edges(feature, bins))
    found = []
    for unit, factor in feature.unit_factors.items():
        found.append(Recoding(f"in {unit} instead of {feature.unit}", _scaled(edges, 1 / factor)))
        words = f"converted from {unit} to {feature.unit} once too often"
        found.append(Recoding(words, _scaled(edges, factor)))
    return tuple(found)


def _scaled(edges: Array, scale: float) -> tuple[tuple[float, ...], ...]:
    cells = len(edges) - 1
    low, high = edges[:-1, None] * scale, edges[1:, None] * scale
    overlap = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
    moves = np.zeros((cells + 1, cells + 1))
    moves[:cells, :cells] = np.clip(overlap, 0.0, None) / (high - low)
    moves[:, cells] = np.clip(1.0 - moves[:, :cells].sum(axis=1), 0.0, 1.0)
    return _frozen(moves)


def other_codes(feature: CategoryFeature) -> tuple[Recoding, ...]:
    """List permutations of few categories, and code lists that begin one higher or lower."""
    names = feature.categories
    found = []
    if len(names) <= MOST_PERMUTED:
        usual = tuple(range(len(names)))
        for order in permutations(usual):
            moved = [i for i in usual if order[i] != i]
            if moved:
                words = ", ".join(f"{names[i]} as {names[order[i]]}" for i in moved)
                found.append(Recoding(f"with {words}", _placed(order)))
    return (*found, *_shifted(names))


def _shifted(names: tuple[str, ...]) -> list[Recoding]:
    """Shift whole-number codes by one; a code that the study does not know is unknown."""
    if not all(name.removeprefix("-").isdigit() for name in names):
        return []
    found = []
    for step, words in ((1, "one higher"), (-1, "one lower")):
        shifted = [str(int(name) + step) for name in names]
        targets = tuple(names.index(n) if n in names else len(names) for n in shifted)
        if any(target < len(names) for target in targets):  # else the column is merely unknown
            found.append(Recoding(f"with every code {words}", _placed(targets)))
    return found


def _placed(targets: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    return _frozen(np.eye(len(targets) + 1)[[*targets, len(targets)]])


def _frozen(moves: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in moves.tolist())


def recodings(feature: Measured, bins: int) -> tuple[Recoding, ...]:
    """List a feature's possible recodings; empty when the study gives no ground for any."""
    if isinstance(feature, NumberFeature):
        return other_units(feature, bins)
    return other_codes(feature)
