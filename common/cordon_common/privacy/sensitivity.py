"""The integer grid of a release: scale, L2 sensitivity, room in the ring. All data-independent.

Every release is a vector of integers in [-2^63, 2^63). Its L2 bound per patient is 2^grid_bits
steps of the grid, whatever the bound is in the unit of the statistic.
"""

from __future__ import annotations

import math

from cordon_common.errors import ProtocolError

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

NOISE_REACH = 18.0
"""Standard deviations that the noise generator must reach on either side without a gap."""

NOISE_DEFECT = 2.0**-50
"""Allowed relative error of the probability of every integer within `NOISE_REACH`.

Only a generator that rounds exactly meets it: rounding float64 noise to nearest makes even integers
likelier by about std · 2^-53, which at 2^46 grid steps is plain to see.
"""

DELTA_RESERVE = 2.0**-10
"""Share of δ that calibration leaves to the tails beyond `NOISE_REACH`."""

NOISE_SPAN = 10.0
"""Standard deviations of noise that must fit the ring (beyond: 1.5e-23 per integer)."""

RING_HALF = 2**63

SUM_REACH = 12.0
"""Standard deviations within which shares of a sum are compared with exact discrete Gaussians."""


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


def patients_cap(*, grid_bits: int, noise_std_grid: float, sites: int, ring_bits: int = 64) -> int:
    """Return how many patients a site may hold so that `sites` noised sums fit the ring together.

    Guarantee: sites · (n · 2^grid_bits + 10 · noise_std_grid) < 2^(ring_bits - 1) for every n up to
    the result.
    Wrapping would keep privacy (it is post-processing) and destroy the result. 0: nothing fits.
    """
    half = 1 << (ring_bits - 1)
    room = (half - 1) / sites - NOISE_SPAN * noise_std_grid
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


def defect_epsilon(integers: int) -> float:
    """Return what `NOISE_DEFECT` adds to ε over a number of released integers.

    Guarantee: the probability of a whole vector is off by a factor between (1 - defect)^integers
    and (1 + defect)^integers, with the patient as without; the ratio of both by twice the logarithm.
    """
    return -2 * integers * math.log1p(-NOISE_DEFECT)


def sum_log_ratio(*, share_std: float, shares: int, dimension: int) -> float:
    """Bound |log p/p*| of a sum of rounded Gaussians against one rounded Gaussian, both in Z^d.

    p: `shares` independent rounded Gaussians of standard deviation share_std, added up. p*: one of
    standard deviation share_std · √shares. The bound holds unless a share, or the sum, lies beyond
    `SUM_REACH` standard deviations (`sum_missing_mass`). It goes over sums of discrete Gaussians:
    rounded against discrete z² / (24 s²) per integer, once per share and once for the sum; discrete
    sums against one discrete Gaussian 5 Σ_k exp(-2π² s² k/(k+1)) (Kairouz, Liu, Steinke 2021).
    Proof: securesum/PROOF.md §3.
    """
    if shares == 1:
        return 0.0
    rounding = SUM_REACH**2 / (24 * share_std**2) * (shares + 1 / shares)
    return dimension * (rounding + 2 * _poisson_excess(share_std, shares) + tau(share_std, shares))


def sum_missing_mass(*, share_std: float, shares: int, dimension: int) -> float:
    """Bound the probability that `sum_log_ratio` does not apply, on either side.

    Guarantee: 2 · d · (shares + 1) · Φ(-z + 1/s): every share and the sum, rounded or discrete.
    """
    if shares == 1:
        return 0.0
    beyond = 0.5 * math.erfc((SUM_REACH - 1 / share_std) / math.sqrt(2))
    return 2 * dimension * (shares + 1) * beyond


def tau(share_std: float, shares: int) -> float:
    """Bound |log| of a sum of discrete Gaussians against one discrete Gaussian, per integer.

    Source: Kairouz, Liu, Steinke 2021, theorem 11, applied once per further share; below 1e-40 from
    share_std = 3 on.

    Raises:
        ProtocolError: PR033 below share_std = 1, where the theorem does not hold.
    """
    if share_std < 1:
        raise ProtocolError("PR033", why=f"a share of noise would be {share_std:.3g} grid steps")
    terms = (math.exp(-2 * (math.pi * share_std) ** 2 * k / (k + 1)) for k in range(1, shares))
    return 5 * math.fsum(terms)


def _poisson_excess(share_std: float, shares: int) -> float:
    """Bound how far the normalising sums of the discrete Gaussians involved are from 1."""
    return 3 * (shares + 1) * math.exp(-2 * (math.pi * share_std) ** 2)
