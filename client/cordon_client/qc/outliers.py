"""Samples that lie far from the others of their cohort."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_client.qc.modality import SampleQc

LEAST_SAMPLES = 8
"""A robust z needs about eight samples: with fewer, the scatter is not known."""
FAR = 3.5
"""Limit of the robust z (Iglewicz & Hoaglin 1993)."""


def outlying(
    checked: Sequence[SampleQc], column: str, *, least: float, only_below: bool = False
) -> list[str] | None:
    """Name samples beyond FAR in a column of the statistics; None where too few are known.

    least: how far a sample must lie from the median in any case, in the column's unit.
    """
    known = [(each.sample, v) for each in checked if (v := each.stats.get(column)) is not None]
    if len(known) < LEAST_SAMPLES:
        return None
    values = np.array([float(value) for _, value in known])
    away = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(away)))
    size = -away if only_below else np.abs(away)
    far = (size > FAR * spread) & (size > least)
    return [name for (name, _), is_far in zip(known, far.tolist(), strict=True) if is_far]
