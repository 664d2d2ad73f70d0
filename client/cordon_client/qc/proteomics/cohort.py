"""Judge all runs of protein tables together: rows, missingness, pools, outliers, batches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.batch import judge_batches
from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.matrix.cohort import (
    component_plot,
    copies,
    gather,
    outlier_distances,
    similarity_plot,
)
from cordon_client.qc.matrix.compare import most_variable, robust_z, spearman
from cordon_client.qc.modality import CohortQc, Plot, Series
from cordon_client.qc.proteomics.read import protein_matrix, read_proteins
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from cordon_client.qc.matrix.cohort import Gathered
    from cordon_client.qc.modality import SampleFiles, SampleQc
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult

    Values = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

_POOL = re.compile(r"(^|[^a-zA-Z])(qc|pool(ed)?)[-_ ]?\d*($|[^a-zA-Z])", re.IGNORECASE)
_ALPHA = 0.01
_GAP = 0.5
_MIN_PER_LABEL = 4
_MIN_POOLS = 3
_POINTS = 800


def check_cohort(
    samples: Sequence[SampleFiles], checked: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Compare all runs on the proteins that all their tables have."""
    results = list(_rows(samples, profile))
    gathered = gather(samples, protein_matrix)
    if gathered is None:
        return CohortQc(tuple(results))
    labels = np.array([-1 if s.label is None else s.label for s in gathered.samples])
    complete = gathered.values[~np.isnan(gathered.values).any(axis=1)]
    correlations = spearman(complete) if len(complete) > 10 else None
    results += [
        _sparse(gathered, profile),
        _not_at_random(gathered, profile),
        _by_label(gathered, labels, profile),
        _pools(gathered, profile),
        *_shift(samples, checked, profile),
        *_outliers(gathered, correlations, profile),
        _copies(gathered, profile),
    ]
    plots = [_missing_plot(gathered)]
    panel = most_variable(gathered.values)
    if len(panel) > 1 and len(gathered.samples) > 2:
        plots.append(component_plot(panel, gathered))
    if correlations is not None:
        plots.append(similarity_plot(correlations, gathered))
    batches = judge_batches(gathered.values.T, gathered.samples, profile, "log intensities")
    return CohortQc((*results, *batches.results), (*plots, *batches.plots))


def _rows(samples: Sequence[SampleFiles], profile: Profile) -> Iterator[CheckResult]:
    for path in dict.fromkeys(sample.files[0] for sample in samples):
        try:
            table = read_proteins(path)
        except DataError:
            continue
        flags = {
            "decoys": table.decoy,
            "contaminants": table.contaminant,
            "by a site only": table.by_site,
        }
        counts = {word: int(mask.sum()) for word, mask in flags.items() if mask is not None}
        detail = ", ".join(f"{count} {word}" for word, count in counts.items() if count) + "."
        bad = int((~table.usable).sum())
        yield result_of(Finding("prot.rows", bad, bad, detail), profile, path.name)
        share = None
        if table.q_values is not None:
            known = table.q_values[~np.isnan(table.q_values)]
            share = float((known > 0.01).mean()) if len(known) else None
        yield result_of(Finding("prot.error-rate", share), profile, path.name)


def _sparse(gathered: Gathered, profile: Profile) -> CheckResult:
    rate = np.isnan(gathered.values).mean(axis=1)
    mostly = rate > 0.5
    detail = f"{int(mostly.sum())} of {len(rate)} proteins."
    return result_of(
        Finding("prot.sparse-proteins", float(mostly.mean()), int(mostly.sum()), detail), profile
    )


def missing_slope(values: Values) -> float | None:
    """Return Spearman's correlation of missing rate and mean log intensity over proteins.

    values: float64 [proteins, runs]. None where fewer than 20 proteins are ever missing.
    """
    rate = np.isnan(values).mean(axis=1)
    seen = rate < 1
    if ((rate > 0) & seen).sum() < 20:
        return None
    means = np.nanmean(values[seen], axis=1)
    return float(spearman(np.column_stack([rate[seen], means]))[0, 1])


def _not_at_random(gathered: Gathered, profile: Profile) -> CheckResult:
    slope = missing_slope(gathered.values)
    detail = "" if slope is None else f"The rank correlation is {slope:.2f}."
    return result_of(Finding("prot.missing-not-at-random", slope, detail=detail), profile)


def missing_by_label(values: Values, labels: npt.NDArray[np.int64]) -> Mask | None:
    """Flag proteins that one outcome misses: shares differ by half, at a false discovery rate of 1 %.

    Fisher's two-sided test per protein, Benjamini and Hochberg 1995 over all of them.

    values: float64 [proteins, runs]; labels: int [runs], -1 = unknown. None below four runs each.
    """
    from scipy.stats import hypergeom

    first, second = labels == 0, labels == 1
    if min(first.sum(), second.sum()) < _MIN_PER_LABEL:
        return None
    absent = np.isnan(values)
    a, b = absent[:, first].sum(axis=1), absent[:, second].sum(axis=1)
    n, k, m = int(first.sum() + second.sum()), a + b, int(first.sum())
    upper = hypergeom.sf(a - 1, n, k, m)
    lower = hypergeom.cdf(a, n, k, m)
    p = np.minimum(2 * np.minimum(upper, lower), 1.0)
    gap = np.abs(a / first.sum() - b / second.sum())
    ordered = np.sort(p)
    below = ordered <= _ALPHA * np.arange(1, len(p) + 1) / len(p)
    cut = ordered[np.flatnonzero(below)[-1]] if below.any() else -1.0
    return np.asarray((gap > _GAP) & (p <= cut))


def _by_label(gathered: Gathered, labels: npt.NDArray[np.int64], profile: Profile) -> CheckResult:
    flagged = missing_by_label(gathered.values, labels)
    if flagged is None:
        return result_of(Finding("prot.missing-by-label", None), profile)
    names = [gathered.features[i].split(";")[0] for i in np.flatnonzero(flagged)[:5]]
    detail = f"{int(flagged.sum())} of {len(flagged)} proteins, {', '.join(names)} among them."
    finding = Finding("prot.missing-by-label", float(flagged.mean()), int(flagged.sum()), detail)
    return result_of(finding, profile)


def _pools(gathered: Gathered, profile: Profile) -> CheckResult:
    pools = np.array([bool(_POOL.search(s.inside or s.sample)) for s in gathered.samples])
    if pools.sum() < _MIN_POOLS:
        return result_of(Finding("prot.pools", None), profile)
    logs = gathered.values[:, pools]
    complete = np.exp2(logs[~np.isnan(logs).any(axis=1)])
    if not len(complete):
        return result_of(Finding("prot.pools", None), profile)
    variation = complete.std(axis=1, ddof=1) / complete.mean(axis=1)
    value = float(np.median(variation))
    detail = f"{int(pools.sum())} pools vary by {value:.0%}."
    return result_of(Finding("prot.pools", value, int(pools.sum()), detail), profile)


def _shift(
    samples: Sequence[SampleFiles], checked: Sequence[SampleQc], profile: Profile
) -> Iterator[CheckResult]:
    medians = [
        (sample.sample, float(median))
        for sample, qc in zip(samples, checked, strict=True)
        if (median := qc.stats.get("median")) is not None
    ]
    if len(medians) < 6:
        yield result_of(Finding("prot.shift", None), profile)
        return
    distance = np.abs(robust_z(np.array([median for _, median in medians])))
    for (name, _), far in zip(medians, distance.tolist(), strict=True):
        yield result_of(Finding("prot.shift", far, 1), profile, name)


def _outliers(
    gathered: Gathered, correlations: Values | None, profile: Profile
) -> Iterator[CheckResult]:
    distances = None if correlations is None else outlier_distances(correlations)
    if distances is None:
        yield result_of(Finding("prot.outlier", None), profile)
        return
    for sample, distance in zip(gathered.samples, distances.tolist(), strict=True):
        yield result_of(Finding("prot.outlier", distance, 1), profile, sample.sample)


def _copies(gathered: Gathered, profile: Profile) -> CheckResult:
    pairs = copies(gathered)
    detail = "; ".join(f"{first} and {second}" for first, second in pairs[:5]) + "."
    return result_of(Finding("prot.same-sample", len(pairs), 2 * len(pairs), detail), profile)


def _missing_plot(gathered: Gathered) -> Plot:
    rate = np.isnan(gathered.values).mean(axis=1)
    seen = np.flatnonzero(rate < 1)
    means = np.nanmean(gathered.values[seen], axis=1)
    chosen = np.unique(np.linspace(0, len(seen) - 1, min(len(seen), _POINTS)).astype(np.int64))
    x, y = means[chosen].tolist(), (100 * rate[seen][chosen]).tolist()
    return Plot(
        id="prot-missing",
        title="Missing values against intensity",
        kind="scatter",
        x_label="mean log2 intensity",
        y_label="% of runs without it",
        sentence="A slope down to the right means that rare proteins are missing because they are "
        "rare; a cloud at all intensities is random loss.",
        series=(Series("proteins", tuple(x), tuple(y)),),
    )
