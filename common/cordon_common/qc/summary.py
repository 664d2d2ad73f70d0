"""What quality control lets out of a hospital: patient counts on public cells, and some sums.

The layout follows from the study alone. Each histogram counts every patient at most once (a
patient with several records is shared out over them), so its L2 sensitivity is 1; `PROOF.md`
beside this file derives the sensitivity of the whole vector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from cordon_common.errors import ProtocolError
from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.qc.fates import KEPT_FATES, patient_fates
from cordon_common.qc.rules import exclusion_stability

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from cordon_common.protocol.dictionary import Measured
    from cordon_common.protocol.study import Study

SHARE = 2**20
"""Integer units of one patient: a record of a patient with m records counts SHARE // m units."""

FATE, LABEL = "(patients)", "(outcome)"
OUT_OF_RANGE, UNKNOWN = "out of range", "unknown"
MISSING_POSITIVE, MISSING_NEGATIVE = "missing, positive", "missing, negative"
LABEL_CELLS = ("positive", "negative", "missing")

_WEIGHT_STEPS = 64


@dataclass(frozen=True)
class HistogramSpec:
    """One histogram of the summary: its public cells and its weight in the vector.

    edges: for a number, the cells 0 … len(edges)-2 are [edges[i], edges[i+1]), the last one
    closed. weight: a multiple of 1/64; the vector holds weight · counts, so a small weight buys
    less noise for the other histograms.
    """

    name: str
    kind: Literal["fate", "label", "number", "category"]
    cells: tuple[str, ...]
    weight: float
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class EffectColumn:
    """One sum over patients of value × outcome (±1).

    The value: a number mapped so that `typical` is [-1, 1], clipped there; a category of two as
    ±1 (the second is +1); of more, 1 for this category. Missing and unknown values count 0.
    """

    feature: str
    category: str | None = None


@dataclass(frozen=True)
class EffectSpec:
    """The signed sums of the summary, behind its histograms. weight: as of a histogram."""

    columns: tuple[EffectColumn, ...]
    features: int
    weight: float


MOMENT_CENTRE = 0.5
"""Squares are released less this: |(v, v² - 1/2)|² = v⁴ + 1/4 ≤ 5/4 for |v| ≤ 1."""
_MOMENT_SQUARES = 1.25


@dataclass(frozen=True)
class MomentSpec:
    """The sums for harmonisation, last in the vector: of all features Σv, then of all Σ(v² - 1/2).

    v: the value mapped so that `typical` is [-1, 1], clipped there; missing and impossible ones add
    nothing. features: numbers on a linear scale; none unless the study asks. weight: as of a
    histogram.
    """

    features: tuple[str, ...]
    weight: float


@dataclass(frozen=True)
class QcLayout:
    """The order and meaning of the released vector; equal for every site of a study."""

    histograms: tuple[HistogramSpec, ...]
    effects: EffectSpec
    moments: MomentSpec

    @property
    def dimension(self) -> int:
        """Number of released values."""
        cells = sum(len(spec.cells) for spec in self.histograms)
        return cells + len(self.effects.columns) + 2 * len(self.moments.features)

    def l2_sensitivity(self, study: Study) -> float:
        """Return the L2 change of the vector when one patient joins or leaves.

        Guarantee: √(Σ w² s²), rounded up. s = 1 for the outcome, for each feature and for each
        feature's signed sums, because they look at a patient's own records only, before any exclusion. s = 1 + √2 (c - 1) for the
        fates: the patient brings one count, and each of the c - 1 others whose fate changes moves
        one count from one cell to another (√2). The stability c is part of the result: do not
        multiply by it again.
        """
        squares = 0.0
        for spec in self.histograms:
            moved = exclusion_stability(study) - 1 if spec.kind == "fate" else 0
            squares += (spec.weight * (1 + math.sqrt(2) * moved)) ** 2
        # Per feature a patient adds a vector of norm at most 1 to the signed sums.
        squares += self.effects.features * self.effects.weight**2
        # And one of squared norm at most 5/4 to each harmonised feature's two sums.
        squares += len(self.moments.features) * _MOMENT_SQUARES * self.moments.weight**2
        return math.sqrt(squares) * (1 + 2.0**-50)


def qc_layout(study: Study) -> QcLayout:
    """Lay out the summary of a study: fates, outcome, one histogram per feature, signed sums.

    The feature histograms together weigh as much as fates and outcome together, and so do the
    signed sums: how many patients are left, and why, must stay readable in a small hospital with
    many features. The sums for harmonisation have the weight of a feature's histogram each.
    """
    features = study.cohort.measured
    steps = max(1, math.floor(_WEIGHT_STEPS * min(1.0, math.sqrt(2 / len(features)))))
    weight = steps / _WEIGHT_STEPS
    fates = HistogramSpec(FATE, "fate", tuple(fate.value for fate in patient_fates(study)), 1.0)
    label = HistogramSpec(LABEL, "label", LABEL_CELLS, 1.0)
    bins = study.qc.histogram_bins
    columns = tuple(column for feature in features for column in effect_columns(feature))
    return QcLayout(
        (fates, label, *(_feature_spec(f, bins, weight) for f in features)),
        EffectSpec(columns, len(features), weight),
        MomentSpec(tuple(feature.name for feature in harmonised(study)), weight),
    )


def harmonised(study: Study) -> tuple[NumberFeature, ...]:
    """List the features whose mean and spread the study's summary carries."""
    if not study.qc.harmonise:
        return ()
    numbers = (f for f in study.cohort.measured if isinstance(f, NumberFeature))
    return tuple(feature for feature in numbers if feature.scale == "linear")


def effect_columns(feature: Measured) -> tuple[EffectColumn, ...]:
    """List a feature's signed sums: one for a number or two categories, else one per category."""
    if isinstance(feature, NumberFeature) or len(feature.categories) == 2:
        return (EffectColumn(feature.name),)
    return tuple(EffectColumn(feature.name, category) for category in feature.categories)


def _feature_spec(feature: Measured, bins: int, weight: float) -> HistogramSpec:
    # Missing is split by outcome: a patient still falls into one cell, so this costs no privacy.
    missing = (MISSING_POSITIVE, MISSING_NEGATIVE)
    if not isinstance(feature, NumberFeature):
        cells = (*feature.categories, UNKNOWN, *missing)
        return HistogramSpec(feature.name, "category", cells, weight)
    edges = bin_edges(feature, bins)
    names = tuple(f"{low:g} to {high:g}" for low, high in pairwise(edges))
    cells = (*names, OUT_OF_RANGE, *missing)
    return HistogramSpec(feature.name, "number", cells, weight, edges)


def bin_edges(feature: NumberFeature, bins: int) -> tuple[float, ...]:
    """Return public cell edges: equal steps over `typical`, and a tail on each side up to `range`.

    Without `typical`, or with fewer than four bins, equal steps over `range`. Amounts on a
    logarithmic scale have equal ratios over `typical`.
    """
    inner = feature.typical if bins >= 4 else None
    return _edges(feature.range, inner, bins, feature.scale in {"log", "detection"})


@lru_cache(maxsize=4096)
def _edges(
    outer: tuple[float, float],
    typical: tuple[float, float] | None,
    bins: int,
    logarithmic: bool,  # noqa: FBT001 - a cache key
) -> tuple[float, ...]:
    low, high = outer
    if typical is None:
        return tuple(float(edge) for edge in np.linspace(low, high, bins + 1))
    left, right = typical[0] > low, typical[1] < high
    spaced = np.geomspace if logarithmic else np.linspace
    inner = spaced(*typical, bins - left - right + 1)
    return (*([low] if left else []), *(float(edge) for edge in inner), *([high] if right else []))


def encode(
    layout: QcLayout,
    counts: Mapping[str, npt.NDArray[np.int64]],
    effects: npt.NDArray[np.int64] | None = None,
    moments: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float64]:
    """Write exact counts as the vector to be noised; never leaves the vault as it is.

    counts: per histogram int64 [cells], in units of 1/SHARE patient. effects: int64 [columns], the
    signed sums in the same units; moments: int64 [2 · features], those for harmonisation; zeros when
    None. Result: float64 [dimension].
    Guarantee: exact up to 2^27 patients (all values are multiples of 2^-26), so floating point
    adds nothing to the sensitivity.

    Raises:
        ValueError: when counts do not fit the layout (a programming error).
    """
    parts = []
    for spec in layout.histograms:
        units = counts[spec.name]
        if units.shape != (len(spec.cells),) or (units < 0).any():
            raise ValueError(f"the counts of {spec.name} do not fit the layout")
        parts.append(units.astype(np.float64) / SHARE * spec.weight)
    parts.append(_sums(effects, len(layout.effects.columns), layout.effects.weight))
    parts.append(_sums(moments, 2 * len(layout.moments.features), layout.moments.weight))
    return np.concatenate(parts)


def _sums(units: npt.NDArray[np.int64] | None, size: int, weight: float) -> npt.NDArray[np.float64]:
    if units is None:
        units = np.zeros(size, dtype=np.int64)
    if units.shape != (size,):
        raise ValueError("the sums do not fit the layout")
    sums: npt.NDArray[np.float64] = units.astype(np.float64) / SHARE * weight
    return sums


@dataclass(frozen=True)
class Estimate:
    """A noisy number of patients and the standard deviation of its noise (not of sampling)."""

    value: float
    std: float


@dataclass(frozen=True)
class NoisyHistogram:
    """Patient counts per cell as released: may be negative or fractional, on purpose.

    counts: float64 [cells], unclipped (clipping would bias every sum and look exact).
    std: standard deviation of the noise in each cell.
    """

    spec: HistogramSpec
    counts: npt.NDArray[np.float64]
    std: float

    def estimate(self, *cells: str) -> Estimate:
        """Return the noisy sum over the named cells (all cells when none is named)."""
        chosen = [self.spec.cells.index(cell) for cell in (cells or self.spec.cells)]
        return Estimate(float(self.counts[chosen].sum()), self.std * math.sqrt(len(chosen)))


@dataclass(frozen=True)
class NoisyEffects:
    """The signed sums as released: float64 [columns], in patients; std: of the noise in each."""

    columns: tuple[EffectColumn, ...]
    sums: npt.NDArray[np.float64]
    std: float


@dataclass(frozen=True)
class NoisyMoments:
    """The sums for harmonisation as released: float64 [features], in patients.

    totals: Σv; squares: Σ(v² - 1/2); std: of the noise in each number.
    """

    features: tuple[str, ...]
    totals: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    std: float


@dataclass(frozen=True)
class QcSummary:
    """A site's released summary as the coordinator reads it."""

    histograms: dict[str, NoisyHistogram]
    effects: NoisyEffects
    moments: NoisyMoments

    @property
    def kept(self) -> Estimate:
        """Patients who passed quality control."""
        return self.histograms[FATE].estimate(*(fate.value for fate in KEPT_FATES))

    @property
    def patients(self) -> Estimate:
        """Patients in the file, kept or not."""
        return self.histograms[FATE].estimate()


def decode(
    layout: QcLayout,
    noisy: npt.NDArray[np.int64],
    *,
    grid_per_unit: float,
    noise_std_grid: float,
) -> QcSummary:
    """Read a released integer vector.

    grid_per_unit: grid steps per unit of the vector; noise_std_grid: standard deviation of the noise
    in grid steps. Both are public.

    Raises:
        ProtocolError: PR008 when the vector does not have the layout's dimension or type.
    """
    if noisy.shape != (layout.dimension,) or noisy.dtype != np.int64:
        raise ProtocolError("PR008", why="the QC summary does not fit the study's layout")
    histograms: dict[str, NoisyHistogram] = {}
    start = 0
    for spec in layout.histograms:
        stop = start + len(spec.cells)
        scale = grid_per_unit * spec.weight
        counts = noisy[start:stop].astype(np.float64) / scale
        histograms[spec.name] = NoisyHistogram(spec, counts, noise_std_grid / scale)
        start = stop
    scale = grid_per_unit * layout.effects.weight
    stop = start + len(layout.effects.columns)
    sums = noisy[start:stop].astype(np.float64) / scale
    effects = NoisyEffects(layout.effects.columns, sums, noise_std_grid / scale)
    scale = grid_per_unit * layout.moments.weight
    totals, squares = np.split(noisy[stop:].astype(np.float64) / scale, 2)
    names = layout.moments.features
    return QcSummary(
        histograms, effects, NoisyMoments(names, totals, squares, noise_std_grid / scale)
    )
