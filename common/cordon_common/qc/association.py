"""How strongly two categories go together, from their table of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def cramers_v(table: npt.NDArray[np.int64]) -> float | None:
    """Return the bias-corrected Cramér's V of a table of counts [groups, outcomes] (Bergsma 2013).

    0 = independent, 1 = one determines the other; None when there is nothing to compare.
    """
    counts = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    n, (rows, columns) = counts.sum(), counts.shape
    if rows < 2 or columns < 2 or n < 2:
        return None
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / n
    phi = float(((counts - expected) ** 2 / expected).sum() / n)
    corrected = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    rows_c, columns_c = rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)
    smaller = min(rows_c, columns_c) - 1
    return float(min(1.0, np.sqrt(corrected / smaller))) if smaller > 0 else None
