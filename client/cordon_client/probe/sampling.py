"""Are patients drawn by independent coins of the stated chance, afresh in every round?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.probe.mechanism import patients, repeated
from cordon_common.audit.result import judge

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.probe.mechanism import Mechanism, Vector
    from cordon_client.records import Tensors
    from cordon_common.audit.result import Row

_ROUNDS = 400
_PATIENTS = 100
_COINS = 2000
_ERROR = 1e-6


def sampling_rows(mechanism: Mechanism, generator: np.random.Generator) -> tuple[Row, ...]:
    """Judge batch sizes and single patients' coins; sizes are read off sums of equal patients."""
    weights = mechanism.weights(generator)
    one = patients(mechanism.study, generator, count=1)
    share = mechanism.whole_sum(one, weights)
    if not float(np.linalg.norm(share)):
        return (judge("sampling", _CLAIM, "", unproven=("the made-up patient has no gradient",)),)
    many = _taking_part(mechanism, repeated(one, _PATIENTS), weights, share, _ROUNDS)
    if mechanism.sample_rate == 1:
        problems = [] if (many == _PATIENTS).all() else ["some patients are left out of a round"]
        return (
            judge(
                "sampling",
                "every patient takes part in every round",
                _seen(many),
                problems=problems,
            ),
        )
    alone = _taking_part(mechanism, one, weights, share, _COINS)
    return (_size_row(many, mechanism.sample_rate), _coin_row(alone, mechanism.sample_rate))


_CLAIM = "patients take part by independent coins of the stated chance"


def _taking_part(
    mechanism: Mechanism, cohort: Tensors, weights: Vector, share: Vector, rounds: int
) -> npt.NDArray[np.int64]:
    """Return how many of the equal patients took part in each round."""
    scale = float(share @ share)
    sums = [mechanism.sampled_sum(cohort, weights) for _ in range(rounds)]
    return np.rint([float(total @ share) / scale for total in sums]).astype(np.int64)


def _size_row(sizes: npt.NDArray[np.int64], rate: float) -> Row:
    """Batch sizes must vary as a binomial does: constant sizes are shuffling, not sampling."""
    from scipy.stats import chi2

    expected, spread = _PATIENTS * rate, _PATIENTS * rate * (1 - rate)
    dispersion = float(((sizes - expected) ** 2).sum() / spread)
    low, high = (float(chi2.ppf(level, len(sizes))) for level in (_ERROR / 2, 1 - _ERROR / 2))
    problems = []
    if _binomial_p(int(sizes.sum()), _PATIENTS * len(sizes), rate) < _ERROR:
        problems.append(
            f"the share that takes part is {sizes.mean() / _PATIENTS:.4f}, not {rate:g}"
        )
    if not low <= dispersion <= high:
        problems.append(
            f"batch sizes vary {np.sqrt(dispersion / len(sizes)):.2f} times as much as "
            "independent coins would"
        )
    return judge(
        "sampling.sizes",
        "batch sizes vary as independent coins make them",
        _seen(sizes),
        problems=problems,
    )


def _coin_row(taken: npt.NDArray[np.int64], rate: float) -> Row:
    """One patient's rounds must be independent: no fixed number per epoch, no memory."""
    centred = taken - rate
    memory = float((centred[1:] * centred[:-1]).sum())
    memory /= rate * (1 - rate) * np.sqrt(len(taken) - 1)
    problems = []
    if _binomial_p(int(taken.sum()), len(taken), rate) < _ERROR:
        problems.append(f"one patient took part in {taken.mean():.4f} of the rounds, not {rate:g}")
    if abs(memory) > 5.5:
        problems.append("whether a patient takes part depends on the round before")
    return judge(
        "sampling.coins",
        "a patient's rounds are independent coins of the stated chance",
        f"{taken.sum()} of {len(taken)} rounds at a chance of {rate:g}; memory {memory:+.2f} sigmas",
        problems=problems,
    )


def _binomial_p(count: int, of: int, rate: float) -> float:
    from scipy.stats import binomtest

    return float(binomtest(count, of, rate).pvalue)


def _seen(sizes: npt.NDArray[np.int64]) -> str:
    return f"{len(sizes)} rounds of {_PATIENTS} equal patients: {sizes.min()} to {sizes.max()} took part"
