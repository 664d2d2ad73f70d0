"""Refuse a correction that cannot be right: batch and outcome that are the same thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import PolicyRefused
from cordon_common.qc.association import cramers_v

if TYPE_CHECKING:
    import numpy.typing as npt

INSEPARABLE = 0.95
"""Cramér's V from which no correction can tell batch from outcome."""


def require_separable(table: npt.NDArray[np.int64]) -> float:
    """Return Cramér's V of batches and outcomes [batches, outcomes] when they can be told apart.

    Site is batch across hospitals: each site sends its two counts of outcomes. A single outcome
    overall is nothing to confound, and V is 0 then.

    Raises:
        PolicyRefused: PO140 when V is above 0.95, or when every batch holds one outcome only.
    """
    counts = np.maximum(table, 0)
    value = cramers_v(counts)
    if value is None:
        return 0.0
    kinds = np.count_nonzero(counts[counts.sum(axis=1) > 0], axis=1)
    if value > INSEPARABLE or bool((kinds == 1).all()):
        raise PolicyRefused("PO140", why=f"their association (Cramér's V) is {value:.2f}")
    return value
