"""Judge bulk RNA samples together: size factors, outliers, replicates, copies, batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.batch import judge_batches
from cordon_client.qc.bulk_rna.samples import scale_sentence
from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.matrix.cohort import (
    component_plot,
    copies,
    gather,
    outlier_distances,
    replicate_agreement,
    similarity_plot,
)
from cordon_client.qc.matrix.compare import log_cpm, most_variable, size_factors, spearman
from cordon_client.qc.matrix.load import load_matrix
from cordon_client.qc.modality import CohortQc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from cordon_client.qc.matrix.cohort import Gathered
    from cordon_client.qc.modality import SampleFiles, SampleQc
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult

    Values = npt.NDArray[np.float64]

_FACTOR = 3.0
_EXPRESSED_CPM = 1.0


def check_cohort(
    samples: Sequence[SampleFiles], _checked: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Compare all samples on the genes that all their files have."""
    gathered = gather(samples, load_matrix)
    if gathered is None:
        return CohortQc()
    counts = np.nan_to_num(gathered.values)
    are_counts = not scale_is_log(gathered)
    scaled = log_cpm(counts) if are_counts else counts
    expressed = scaled[_expressed(scaled, are_counts=are_counts)]
    correlations = spearman(expressed) if len(expressed) > 2 else None
    results = [
        *_size_factors(gathered, counts if are_counts else None, profile),
        *_agreement(gathered, correlations, profile),
        _copies(gathered, profile),
    ]
    plots = []
    panel = most_variable(scaled)
    if len(panel) > 1 and len(gathered.samples) > 2:
        plots.append(component_plot(panel, gathered))
    if correlations is not None:
        plots.append(similarity_plot(correlations, gathered))
    batches = judge_batches(scaled.T, gathered.samples, profile, "log expression")
    return CohortQc((*results, *batches.results), (*plots, *batches.plots))


def scale_is_log(gathered: Gathered) -> bool:
    """Whether the values are logarithms already, so that totals and CPM mean nothing."""
    return scale_sentence(gathered.values.ravel()) == "They look like logarithms." and not bool(
        np.all(np.rint(gathered.values) == gathered.values)
    )


def _expressed(scaled: Values, *, are_counts: bool) -> npt.NDArray[np.bool_]:
    """Genes above 1 CPM in at least half the samples: the others only add ties to the ranks."""
    if not are_counts:
        return np.asarray(scaled.std(axis=1) > 0)
    enough = (scaled > np.log2(_EXPRESSED_CPM + 1)).sum(axis=1) * 2 >= scaled.shape[1]
    return np.asarray(enough)


def _size_factors(
    gathered: Gathered, counts: Values | None, profile: Profile
) -> Iterator[CheckResult]:
    factors = None if counts is None or counts.shape[1] < 2 else size_factors(counts)
    if factors is None:
        yield result_of(Finding("bulk.size-factors", None), profile)
        return
    far = (factors > _FACTOR) | (factors < 1 / _FACTOR)
    names = ", ".join(
        f"{gathered.samples[i].sample} ({factors[i]:.2g})" for i in np.flatnonzero(far)[:5]
    )
    yield result_of(
        Finding("bulk.size-factors", float(far.mean()), int(far.sum()), f"{names}."), profile
    )


def _agreement(
    gathered: Gathered, correlations: Values | None, profile: Profile
) -> Iterator[CheckResult]:
    distances = None if correlations is None else outlier_distances(correlations)
    if distances is None:
        yield result_of(Finding("bulk.outlier", None), profile)
    else:
        for index, distance in enumerate(distances.tolist()):
            name = gathered.samples[index].sample
            yield result_of(Finding("bulk.outlier", distance, 1), profile, name)
    worst = None if correlations is None else replicate_agreement(correlations, gathered.samples)
    if worst is None:
        yield result_of(Finding("bulk.replicates", None), profile)
    else:
        value, first, second = worst
        detail = f"{first} and {second} are the least alike."
        yield result_of(Finding("bulk.replicates", value, 2, detail), profile)


def _copies(gathered: Gathered, profile: Profile) -> CheckResult:
    pairs = copies(gathered)
    detail = "; ".join(f"{first} and {second}" for first, second in pairs[:5]) + "."
    return result_of(Finding("bulk.same-sample", len(pairs), 2 * len(pairs), detail), profile)
