"""ERCC spike-ins: do the reads follow what was put in?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.matrix.compare import fit_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

_MOST_ATTOMOL_PER_UL = 30_000.0
_MIX_1_TO_MIX_2 = {"A": 4.0, "B": 1.0, "C": 2 / 3, "D": 0.5}
"""Ratio of the two mixes in each group of 23 spikes (ERCC ExFold, Thermo Fisher 4456739)."""

# Group -> how often the largest concentration was halved -> numbers of the spikes, mix 1.
_HALVINGS = {
    "A": {
        0: (130,),
        2: (4,),
        4: (136,),
        5: (108,),
        6: (116,),
        7: (92,),
        8: (95, 131),
        9: (62,),
        10: (19, 144),
        11: (170,),
        12: (154, 85),
        13: (28,),
        14: (33, 134),
        15: (147,),
        16: (97, 156),
        17: (123,),
        18: (17,),
        20: (83,),
    },
    "B": {
        1: (96,),
        3: (171,),
        5: (9,),
        6: (42,),
        7: (60,),
        8: (35,),
        9: (25, 51),
        10: (53,),
        11: (148, 126),
        12: (34,),
        13: (150, 67),
        14: (31,),
        15: (109, 73),
        16: (158,),
        17: (104, 142),
        18: (138,),
        19: (117,),
        21: (75,),
    },
    "C": {
        1: (74,),
        3: (113,),
        5: (145,),
        6: (111,),
        7: (76,),
        8: (44,),
        9: (162, 71),
        10: (84,),
        11: (99, 54),
        12: (157,),
        13: (143, 39),
        14: (58,),
        15: (120, 40),
        16: (164,),
        17: (24, 16),
        18: (12,),
        19: (98,),
        21: (57,),
    },
    "D": {
        1: (2,),
        3: (46,),
        5: (3,),
        6: (43,),
        7: (22,),
        8: (112,),
        9: (165, 79),
        10: (78,),
        11: (163, 59),
        12: (160,),
        13: (14, 77),
        14: (69,),
        15: (137, 13),
        16: (168,),
        17: (41, 81),
        18: (86,),
        19: (61,),
        21: (48,),
    },
}


@dataclass(frozen=True)
class DoseResponse:
    """The line log2(reads) = intercept + slope · log2(attomol/µl) over the spikes that were seen.

    mix: 1 or 2, whichever fits better. points: (log2 input, log2 reads).
    """

    mix: int
    slope: float
    r_squared: float
    points: tuple[tuple[float, float], ...]


def concentrations(mix: int) -> dict[str, float]:
    """Return attomol/µl of every spike of ExFold mix 1 or 2, by name."""
    found = {}
    for group, halvings in _HALVINGS.items():
        for halved, numbers in halvings.items():
            for number in numbers:
                first = _MOST_ATTOMOL_PER_UL / 2**halved
                value = first if mix == 1 else first / _MIX_1_TO_MIX_2[group]
                found[f"ERCC-{number:05d}"] = value
    return found


def dose_response(names: Sequence[str], counts: Values) -> DoseResponse | None:
    """Fit the spikes of one sample; None where fewer than 10 of them were seen.

    names, counts [spikes]: the spikes' rows of the matrix.
    """
    fits = [fit for mix in (1, 2) if (fit := _fit(mix, names, counts)) is not None]
    return max(fits, key=lambda fit: fit.r_squared, default=None)


def _fit(mix: int, names: Sequence[str], counts: Values) -> DoseResponse | None:
    known = concentrations(mix)
    seen = [i for i, name in enumerate(names) if name in known and counts[i] > 0]
    if len(seen) < 10:
        return None
    x = np.log2([known[names[i]] for i in seen])
    y = np.log2(counts[seen])
    line = fit_line(np.asarray(x), np.asarray(y))
    if line is None:
        return None
    return DoseResponse(mix, line[0], line[2], tuple(zip(x.tolist(), y.tolist(), strict=True)))
