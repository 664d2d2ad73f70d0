"""Which patients take part in a step: everyone, or fresh coins from the cryptographic generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.training.csprng import WordStream
from cordon_common.protocol.study import Poisson

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_common.protocol.study import Sampling


def draw_patients(n_patients: int, sampling: Sampling) -> npt.NDArray[np.bool_]:
    """Return who takes part, bool [n_patients]; the draw is never released nor stored.

    Guarantee: full batch takes everyone; Poisson flips one independent coin per patient with
    probability ⌊rate · 2^64⌋ / 2^64 ≤ rate. Source: Poisson subsampling (Zhu, Wang 2019).
    """
    if not isinstance(sampling, Poisson):
        return np.ones(n_patients, dtype=np.bool_)
    threshold = np.uint64(int(sampling.rate * 2**64))
    return WordStream().take(n_patients) < threshold
