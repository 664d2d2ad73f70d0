"""What the samples of any matrix show together: alike, outlying, replicated, copied."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.matrix.compare import principal_components, robust_z
from cordon_client.qc.modality import Plot, Series
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.matrix.table import FeatureMatrix
    from cordon_client.qc.modality import SampleFiles

    Values = npt.NDArray[np.float64]

_MIN_FOR_OUTLIERS = 6
"""Fewer samples have no distribution to lie outside of."""
_SHOWN = 60


@dataclass(frozen=True)
class Gathered:
    """All samples on the features that every file has; values float64 [features, samples]."""

    samples: tuple[SampleFiles, ...]
    features: tuple[str, ...]
    values: Values


def gather(
    samples: Sequence[SampleFiles], load: Callable[[Path], FeatureMatrix]
) -> Gathered | None:
    """Put the samples of all files side by side; unreadable files have no part in it.

    None where fewer than two samples, or no common feature, are left.
    """
    of_file: dict[Path, list[SampleFiles]] = {}
    for sample in samples:
        of_file.setdefault(sample.files[0], []).append(sample)
    matrices: list[tuple[FeatureMatrix, list[SampleFiles]]] = []
    for path, inside in of_file.items():
        try:
            matrix = load(path)
        except DataError:
            continue
        known = set(matrix.samples)
        matrices.append((matrix, [s for s in inside if s.inside is None or s.inside in known]))
    kept = tuple(sample for _, inside in matrices for sample in inside)
    if len(kept) < 2:
        return None
    features = _common([matrix.features for matrix, _ in matrices])
    if not features:
        return None
    return Gathered(kept, features, np.hstack([_part(m, s, features) for m, s in matrices]))


def _common(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    if all(other == names[0] for other in names[1:]):
        return names[0]
    shared = set(names[0]).intersection(*names[1:])
    return tuple(name for name in dict.fromkeys(names[0]) if name in shared)


def _part(matrix: FeatureMatrix, samples: list[SampleFiles], features: tuple[str, ...]) -> Values:
    place = {name: index for index, name in enumerate(matrix.samples)}
    columns = [0 if s.inside is None else place[s.inside] for s in samples]
    if features == matrix.features:
        return matrix.values[:, columns]
    first: dict[str, int] = {}
    for index, name in enumerate(matrix.features):
        first.setdefault(name, index)
    return matrix.values[np.ix_([first[name] for name in features], columns)]


def outlier_distances(correlations: Values) -> Values | None:
    """Return how many robust standard deviations a sample agrees less than the others do.

    correlations: [samples, samples]. None below six samples.
    """
    n = len(correlations)
    if n < _MIN_FOR_OUTLIERS:
        return None
    others = correlations[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    agreement = np.median(others, axis=1)
    return -robust_z(np.arctanh(np.clip(agreement, -0.999999, 0.999999)))


def replicate_agreement(
    correlations: Values, samples: Sequence[SampleFiles]
) -> tuple[float, str, str] | None:
    """Return the smallest correlation between two samples of one patient, and their names."""
    of_patient: dict[str, list[int]] = {}
    for index, sample in enumerate(samples):
        if sample.patient is not None:
            of_patient.setdefault(sample.patient, []).append(index)
    pairs = [pair for group in of_patient.values() for pair in combinations(group, 2)]
    if not pairs:
        return None
    first, second = min(pairs, key=lambda pair: correlations[pair])
    value = float(correlations[first, second])
    return value, samples[first].sample, samples[second].sample


def copies(gathered: Gathered) -> list[tuple[str, str]]:
    """Name pairs of samples with exactly the same values; samples without any value are left out."""
    first: dict[bytes, str] = {}
    found = []
    for index, sample in enumerate(gathered.samples):
        column = np.ascontiguousarray(gathered.values[:, index])
        if not np.nan_to_num(column).any():
            continue
        digest = hashlib.sha256(column.tobytes()).digest()
        if digest in first:
            found.append((first[digest], sample.sample))
        first.setdefault(digest, sample.sample)
    return found


def component_plot(panel: Values, gathered: Gathered) -> Plot:
    """Draw samples on the first two directions of variance, coloured by the outcome."""
    scores, shares = principal_components(panel, 2)
    if scores.shape[1] < 2:
        scores = np.column_stack([scores[:, 0], np.zeros(len(scores))])
        shares = np.array([shares[0], 0.0])
    labels = ["no outcome" if s.label is None else f"outcome {s.label}" for s in gathered.samples]
    series = tuple(
        Series(
            name,
            tuple(float(scores[i, 0]) for i, label in enumerate(labels) if label == name),
            tuple(float(scores[i, 1]) for i, label in enumerate(labels) if label == name),
        )
        for name in sorted(set(labels))
    )
    return Plot(
        id="components",
        title="Samples on the first two principal components",
        kind="scatter",
        x_label=f"component 1 ({shares[0]:.0%} of the variance)",
        y_label=f"component 2 ({shares[1]:.0%})",
        sentence=f"{len(panel)} most variable features. Groups that follow a run date, kit or lane "
        "instead of the outcome are a batch effect; a point far away is a sample to look at.",
        series=series,
    )


def similarity_plot(correlations: Values, gathered: Gathered) -> Plot:
    """Draw how alike all pairs of samples are."""
    names = tuple(sample.sample for sample in gathered.samples[:_SHOWN])
    shown = correlations[: len(names), : len(names)]
    more = "" if len(correlations) <= _SHOWN else f" The first {_SHOWN} samples are shown."
    return Plot(
        id="similarity",
        title="Rank correlation between samples",
        kind="heatmap",
        x_label="",
        y_label="",
        sentence="Replicates should be the most alike; a dark row is a sample that fits nobody."
        + more,
        matrix=tuple(
            tuple(None if np.isnan(v) else round(float(v), 3) for v in row) for row in shown
        ),
        rows=names,
        columns=names,
    )
