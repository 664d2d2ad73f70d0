"""The integer grid of a release: scale, L2 sensitivity, room in the ring. All data-independent.

Every release is a vector of integers in [-2^63, 2^63). Its L2 bound per patient is 2^grid_bits
steps of the grid, whatever the bound is in the unit of the statistic.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PATIENTS = 2**20
"""Most patients that one site may hold in one study; `FLOAT_SLACK` is proved up to here."""

FLOAT_SLACK = 2.0**-11
"""η: relative excess of a float64 clipped sum over the real-number bound C, both ends together.

With unit roundoff u = 2^-53 and n ≤ 2^20 patients, a sum in any order is within (n - 1)·u·n·C of
the exact one (Higham 2002, §4.2); two neighbouring cohorts: 2·n²·u·C ≤ 2^-12·C. The same room
again covers contributions whose own value moves with the shape of the batch: n·κ·u·C ≤ 2^-12·C for
a condition number κ of the forward and backward pass up to 2^21. Clip factors are rounded down, so
clipping itself adds nothing. Float32 sums are not covered.
"""

NOISE_REACH = 12.0
"""Standard deviations that the noise generator must at least reach on either side, without gaps.

Box-Muller with radii from 128-bit uniforms reaches 13.
"""

NOISE_GRAIN = 2.0**-50
"""Relative grain of the noise generator, in float64: a released integer that lies z standard
deviations (s grid steps each) from the sum has its ideal probability up to a factor
exp(± NOISE_GRAIN · s · (1 + |z|)).

Float64 values near s·z are s·z·2^-52 apart, so the ends of the interval that rounds to one integer
are off by a few such steps (ties go to even numbers: even integers are too likely by a factor of
about 1 + s·2^-53). Measured on the generator: an eighth of this allowance.
"""

DELTA_RESERVE = 2.0**-10
"""Share of δ that calibration leaves to the generator: half to its tails, half to its grain."""

NOISE_SPAN = 10.0
"""Standard deviations of noise that must fit the ring (beyond: 1.5e-23 per integer)."""

RING_HALF = 2**63


def grid_per_unit(l2_bound: float, grid_bits: int) -> float:
    """Return γ, grid steps per unit of the statistic: γ · l2_bound = 2^grid_bits."""
    return math.ldexp(1.0, grid_bits) / l2_bound


def grid_sensitivity(*, grid_bits: int, dimension: int, stability: int) -> float:
    """Return Δ, the L2 sensitivity in grid steps for adding or removing one patient.

    Guarantee: Δ = stability · 2^grid_bits · (1 + η) + √dimension. One patient changes at most
    `stability` contributions of at most 2^grid_bits steps each; rounding to the grid moves every
    coordinate by at most 1/2 on either side.
    """
    return stability * math.ldexp(1.0, grid_bits) * (1 + FLOAT_SLACK) + math.sqrt(dimension)


def patients_cap(*, grid_bits: int, noise_std_grid: float, sites: int) -> int:
    """Return how many patients a site may hold so that `sites` noised sums fit the ring together.

    Guarantee: sites · (n · 2^grid_bits + 10 · noise_std_grid) < 2^63 for every n up to the result.
    Wrapping would keep privacy (it is post-processing) and destroy the result. 0: nothing fits.
    """
    room = (RING_HALF - 1) / sites - NOISE_SPAN * noise_std_grid
    if room <= 0:
        return 0
    return min(MAX_PATIENTS, math.floor(room * (1 - 2.0**-50) / math.ldexp(1.0, grid_bits)))


def tail_delta(*, noise_multiplier: float, integers: int) -> float:
    """Return what the missing tails of the generator add to δ over a number of released integers.

    Guarantee: 2 · integers · Φ(-reach + 1/σ). One patient moves an integer by at most 1/σ standard
    deviations, so this bounds both the chance that the generator is cut and the chance of an
    integer that only one of two neighbouring cohorts can give.
    """
    outside = 0.5 * math.erfc((NOISE_REACH - 1 / noise_multiplier) / math.sqrt(2))
    return 2 * integers * outside


def grain_epsilon(parts: Iterable[tuple[int, float]], *, mu: float, delta: float) -> float:
    """Return what the generator's grain adds to ε, beside `delta`.

    parts: (number of integers, noise in grid steps) per release; mu: GDP of all of them together.
    Guarantee: the grain changes the privacy loss by a sum of terms, one per integer, that are at
    most 2c(1 + |z|) with c = NOISE_GRAIN · s. With V = Σ c², their means add up to at most
    4V + 4μ√V (relative entropy, and Cauchy-Schwarz for the shift), and they exceed their means by
    4√V √(2 ln(1/delta)) with probability at most `delta` (sub-Gaussian martingale).
    """
    variance = math.fsum(count * (NOISE_GRAIN * std) ** 2 for count, std in parts)
    deviation = mu + math.sqrt(2 * math.log(1 / delta))
    return 4 * math.sqrt(variance) * deviation + 4 * variance
