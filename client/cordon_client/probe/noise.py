"""Is the noise as large as the ledger says, Gaussian, and fresh every time?"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.probe.mechanism import nobody, patients
from cordon_common.audit.result import judge

if TYPE_CHECKING:
    from cordon_client.probe.mechanism import Mechanism, Vector
    from cordon_common.audit.result import Row

_VALUES = 6000
"""Noise values to draw; a standard deviation off by a tenth then stands out by ten sigmas."""
_MOST_RELEASES = 600
_LEAST_RELEASES = 24
_ERROR = 1e-6
"""Chance that an honest mechanism fails one of these tests."""
_CORRELATION_FROM = 200

_OTHER_PROCESS = (
    "from cordon_client.training.noise import rounded_gaussian\n"
    "print(rounded_gaussian(32, std=2.0**40).tolist())"
)


@dataclass(frozen=True)
class Residuals:
    """Noise alone, in units of the claimed standard deviation: one row per release.

    empty: releases without patients. filled: releases on made-up patients, their exact sum taken
    away; None where sampling hides who took part.
    """

    empty: Vector
    filled: Vector | None


def measure(mechanism: Mechanism, generator: np.random.Generator) -> Residuals:
    """Draw the releases that the rows below look at."""
    size = mechanism.event.dimension
    times = max(_LEAST_RELEASES, min(_MOST_RELEASES, -(-_VALUES // size)))
    weights = mechanism.weights(generator)
    std = mechanism.event.noise_std_grid
    none = nobody(mechanism.study)
    empty = np.stack([mechanism.release(none, weights) for _ in range(times)]) / std
    if mechanism.sample_rate < 1:
        return Residuals(empty, None)
    some = patients(mechanism.study, generator, count=24)
    exact = mechanism.on_grid(mechanism.whole_sum(some, weights))
    filled = np.stack([mechanism.release(some, weights) - exact for _ in range(times)]) / std
    return Residuals(empty, filled)


def noise_rows(residuals: Residuals) -> tuple[Row, ...]:
    """Judge scale, shape and freshness of the noise."""
    return (
        scale_row("noise.empty", "without patients", residuals.empty),
        _filled_row(residuals),
        _shape_row(residuals.empty),
        _fresh_row(residuals),
    )


def scale_row(check: str, where: str, residuals: Vector) -> Row:
    """Compare the noise's variance with the claim by chi-square, both sides."""
    from scipy.stats import chi2

    count = residuals.size
    statistic = float((residuals.astype(np.float64) ** 2).sum())
    low, high = (float(chi2.ppf(level, count)) for level in (_ERROR / 2, 1 - _ERROR / 2))
    measured = np.sqrt(statistic / count)
    power = float(chi2.cdf(low / 0.81, count))
    problems = []
    if not low <= statistic <= high:
        problems.append(
            f"the standard deviation is {measured:.3f} times what the ledger says "
            f"({count} values; honest noise stays within {np.sqrt(low / count):.3f} and "
            f"{np.sqrt(high / count):.3f})"
        )
    return judge(
        check,
        f"noise {where} has the standard deviation that the ledger says",
        f"{measured:.4f} times the claim over {count} values; "
        f"0.9 times would be found with probability {power:.3f}",
        problems=problems,
    )


def _filled_row(residuals: Residuals) -> Row:
    if residuals.filled is None:
        return judge(
            "noise.filled",
            "noise does not depend on the patients",
            "sampling hides the exact sum; noise without patients was measured instead",
        )
    row = scale_row("noise.filled", "around the patients' exact sum", residuals.filled)
    centre = residuals.filled.mean(axis=0) * np.sqrt(len(residuals.filled))
    if row.status == "PASS" and float(np.abs(centre).max()) > 7:
        return judge(
            "noise.filled",
            row.claim,
            "",
            problems=("releases are not centred on the clipped sum of the patients",),
        )
    return row


def _shape_row(residuals: Vector) -> Row:
    from scipy.stats import kstest

    found = kstest(residuals.ravel(), "norm")
    problems = []
    if found.pvalue < _ERROR:
        problems.append(f"Kolmogorov-Smirnov distance {found.statistic:.3f}: not Gaussian")
    return judge(
        "noise.shape",
        "noise is Gaussian",
        f"Kolmogorov-Smirnov distance {found.statistic:.4f}, p = {found.pvalue:.3g}",
        problems=problems,
    )


def _fresh_row(residuals: Residuals) -> Row:
    drawn = [residuals.empty] + ([] if residuals.filled is None else [residuals.filled])
    rows = np.concatenate(drawn)[:400]
    problems = []
    if len(np.unique(np.round(rows, 6), axis=0)) < len(rows):
        problems.append("two releases carry the same noise")
    evidence = f"{len(rows)} releases compared, all different"
    if rows.shape[1] >= _CORRELATION_FROM:
        largest = _largest_correlation(rows)
        limit = 8 / np.sqrt(rows.shape[1])
        evidence += f"; largest correlation {largest:.3f}"
        if largest > limit:
            problems.append(f"two releases' noise is correlated ({largest:.3f})")
    return judge(
        "noise.fresh", "no two rounds share noise, whole or in part", evidence, problems=problems
    )


def _largest_correlation(rows: Vector) -> float:
    scaled = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    products = np.abs(scaled @ scaled.T)
    return float(max(products[i, j] for i, j in combinations(range(len(rows)), 2)))


def processes_row() -> Row:
    """Start the generator in two new processes, as two sites or two restarts would."""
    command = [sys.executable, "-c", _OTHER_PROCESS]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own text
        for _ in range(2)
    ]
    drawn = [process.communicate()[0] for process in started]
    problems = []
    if any(process.returncode for process in started) or not all(drawn):
        problems.append("the generator could not be started in a process of its own")
    elif drawn[0] == drawn[1]:
        problems.append("two processes drew the same noise: the generator is seeded")
    return judge(
        "noise.processes",
        "two processes, as two sites or a restart, draw different noise",
        "32 values in each of two new processes, different",
        problems=problems,
    )
