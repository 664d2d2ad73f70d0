"""Technical batches (run date, kit, lane, scanner): what they explain, and whether they hide the outcome.

Three questions that every modality asks with the same functions. How much of what differs between
samples does a batch explain? Are batches and outcomes entangled? Can a classifier tell the batches
apart? All of it looks at the whole cohort, so it warns and never picks samples.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import Band, CohortQc, Plot, Series
from cordon_common.qc.association import cramers_v
from cordon_common.qc.batch_checks import CLASSIFIER, CONFOUNDED, VARIANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from cordon_client.qc.modality import SampleFiles, SampleQc, StatColumn
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult

    Floats = npt.NDArray[np.float64]
    Codes = npt.NDArray[np.int64]

MIN_SAMPLES, MIN_PER_BATCH = 8, 3
_COMPONENTS, _COMPONENT_SHARE = 10, 0.8
_PERMUTATIONS = 200
_ALPHA = 0.01
_FOLDS = 5
_Z = 3.29
_RIDGE = 1.0
_INSEPARABLE = 0.95


def judge_batches(
    values: Floats, samples: Sequence[SampleFiles], profile: Profile, what: str = "measurements"
) -> CohortQc:
    """Ask the three questions of every batch that the cohort manifest names.

    values: float64 [samples, features], NaN = not measured; scaled here, so any units, but make
    counts roughly normal first (log, CLR). what: the values' name in the report's sentences.
    Deterministic: permutations are drawn from a fixed seed.
    """
    results: list[CheckResult] = []
    plots: list[Plot] = []
    labels = [None if s.label is None else str(s.label) for s in samples]
    scores, weights = _components(values)
    for name in sorted({name for sample in samples for name in sample.batches}):
        batches = [sample.batches.get(name) for sample in samples]
        for found in (
            _variance(name, batches, labels, (scores, weights), what),
            _entanglement(name, batches, labels),
            _classified(name, batches, scores),
        ):
            finding, plot = found
            results.append(result_of(finding, profile, name))
            plots += [] if plot is None else [plot]
    return CohortQc(tuple(results), tuple(plots))


def stats_matrix(found: Sequence[SampleQc], columns: Sequence[StatColumn]) -> Floats:
    """Lay the general statistics out as float64 [samples, columns]; NaN = not assessable.

    For modalities whose samples have no feature table of their own.
    """
    rows = [[qc.stats.get(column.key) for column in columns] for qc in found]
    return np.array(
        [[np.nan if cell is None else float(cell) for cell in row] for row in rows],
        dtype=np.float64,
    ).reshape(len(rows), len(columns))


# -- how much a batch explains -------------------------------------------------------------------


def _components(values: Floats) -> tuple[Floats, Floats]:
    """Project on the principal components; returns scores [samples, k] and their variances [k]."""
    usable = values[:, np.isfinite(values).any(axis=0)] if values.size else values
    if usable.shape[0] < 2 or usable.shape[1] == 0:
        return np.zeros((values.shape[0], 0)), np.zeros(0)
    finite = np.where(np.isfinite(usable), usable, np.nan)
    centred = finite - np.nanmean(finite, axis=0)
    centred = np.where(np.isnan(centred), 0.0, centred)
    spread = centred.std(axis=0)
    scaled = centred[:, spread > 0] / spread[spread > 0]
    if scaled.shape[1] == 0:
        return np.zeros((values.shape[0], 0)), np.zeros(0)
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    variances = singular**2
    share = np.cumsum(variances) / variances.sum()
    beyond = int(np.searchsorted(share, _COMPONENT_SHARE))
    keep = min(_COMPONENTS, 1 + beyond, len(singular))
    return left[:, :keep] * singular[:keep], variances[:keep]


def explained_share(scores: Floats, weights: Floats, groups: Codes) -> float:
    """Return the share of variance that groups explain, corrected for their number.

    The adjusted R² (1 - (1 - eta²)(n - 1)/(n - k)) of each principal component, weighted by its
    variance (PVCA: Li et al. 2009; here with fixed effects). 0 is expected when groups mean nothing;
    may be slightly negative then.
    """
    n, k = len(groups), int(groups.max()) + 1
    if n <= k or not len(weights):
        return 0.0
    sizes = np.bincount(groups, minlength=k)
    sums = np.zeros((k, scores.shape[1]))
    np.add.at(sums, groups, scores)
    between = (sums**2 / sizes[:, None]).sum(axis=0)
    total = (scores**2).sum(axis=0)
    adjusted = 1 - (1 - between / total) * (n - 1) / (n - k)
    return float((adjusted * weights).sum() / weights.sum())


def _variance(
    name: str,
    batches: Sequence[str | None],
    labels: Sequence[str | None],
    components: tuple[Floats, Floats],
    what: str,
) -> tuple[Finding, Plot | None]:
    scores, weights = components
    share, chance = _share_of(batches, scores, weights)
    if share is None:
        return Finding(VARIANCE, None), None
    of_label, _ = _share_of(labels, scores, weights)
    bars = {name: share} | ({} if of_label is None else {"outcome": of_label})
    compared = "" if of_label is None else f"; the outcome explains {max(0.0, of_label):.0%}"
    said = f"{name} explains {max(0.0, share):.0%} of the variance of the {what}{compared}."
    advice = (
        "Treat it as a covariate, or harmonise before training."
        if share > chance and share > 0.1
        else "Nothing to do: that is within what chance allows."
        if share <= chance
        else "That is little; keep the batch in mind."
    )
    plot = Plot(
        id=f"batch-variance-{name}",
        title=f"Variance explained by {name}",
        kind="bars",
        x_label="factor",
        y_label="share of the variance",
        sentence=f"{said} {advice}",
        series=(Series("share", tuple(bars), tuple(max(0.0, v) for v in bars.values())),),
        bands=(Band(0.0, 0.1, "pass"), Band(0.1, 1.0, "warn")),
    )
    return Finding(VARIANCE, share, None, said, waived=share <= chance), plot


def _share_of(
    groups: Sequence[str | None], scores: Floats, weights: Floats
) -> tuple[float | None, float]:
    """Return the explained share and the most that chance explains in 99 of 100 permutations."""
    codes, rows = _coded(groups)
    if codes is None:
        return None, 0.0
    own = scores[rows] - scores[rows].mean(axis=0)
    if not own.any():
        return None, 0.0
    share = explained_share(own, weights, codes)
    rng = np.random.default_rng(0)
    null = [explained_share(own, weights, rng.permutation(codes)) for _ in range(_PERMUTATIONS)]
    return share, float(np.quantile(null, 1 - _ALPHA))


def _coded(groups: Sequence[str | None]) -> tuple[Codes | None, npt.NDArray[np.bool_]]:
    """Number the groups that are large enough; None when fewer than two are left."""
    sizes = Counter(group for group in groups if group is not None)
    large = sorted(group for group, size in sizes.items() if size >= MIN_PER_BATCH)
    rows = np.array([group in large for group in groups], dtype=np.bool_)
    if len(large) < 2 or int(rows.sum()) < MIN_SAMPLES:
        return None, rows
    codes = [large.index(str(group)) for group in groups if group in large]
    return np.array(codes, dtype=np.int64), rows


# -- whether batch and outcome can be told apart -------------------------------------------------


def _entanglement(
    name: str, batches: Sequence[str | None], labels: Sequence[str | None]
) -> tuple[Finding, Plot | None]:
    pairs = Counter((b, y) for b, y in zip(batches, labels, strict=True) if b and y is not None)
    rows = tuple(sorted({str(batch) for batch, _ in pairs}))
    columns = tuple(sorted({str(label) for _, label in pairs}))
    table = np.array([[pairs[row, column] for column in columns] for row in rows], dtype=np.int64)
    value = cramers_v(table) if table.size and table.sum() >= MIN_SAMPLES else None
    if value is None:
        return Finding(CONFOUNDED, None), None
    said = f"The association of {name} with the outcome is {value:.2f} (0 none, 1 complete)."
    pure = _pure(table)
    if value >= _INSEPARABLE or pure == len(rows):
        said += " Nothing can tell a batch effect from the disease here: no correction is possible."
    elif pure:
        said += f" {pure} of {len(rows)} batches hold one outcome only."
    plot = Plot(
        id=f"batch-outcome-{name}",
        title=f"{name} and outcome",
        kind="heatmap",
        x_label="outcome",
        y_label=name,
        sentence=said,
        matrix=tuple(tuple(int(cell) for cell in row) for row in table),
        rows=rows,
        columns=columns,
    )
    return Finding(CONFOUNDED, value, None, said), plot


def _pure(table: npt.NDArray[np.int64]) -> int:
    large = table[table.sum(axis=1) >= MIN_PER_BATCH]
    return int((np.count_nonzero(large, axis=1) == 1).sum())


# -- whether a classifier tells batches apart ----------------------------------------------------


def classifier_auc(scores: Floats, belongs: npt.NDArray[np.bool_]) -> float | None:
    """Return the cross-validated AUC of guessing membership from the scores; 0.5 is chance.

    Ridge regression on membership, five folds that share out members and others alike; the mean
    of the folds' AUCs (Lopez-Paz, Oquab 2017). None when a fold cannot hold both kinds.
    """
    members, others = np.flatnonzero(belongs), np.flatnonzero(~belongs)
    folds = min(_FOLDS, len(members), len(others))
    if folds < 2 or not scores.shape[1]:
        return None
    fold = np.zeros(len(belongs), dtype=np.int64)
    for kind in (members, others):
        fold[kind] = np.arange(len(kind)) % folds
    scaled = scores / scores.std(axis=0)
    found = []
    for number in range(folds):
        train, test = fold != number, fold == number
        weights = _ridge(scaled[train], belongs[train].astype(np.float64))
        found.append(_auc(scaled[test] @ weights, belongs[test]))
    return float(np.mean(found))


def _ridge(inputs: Floats, target: Floats) -> Floats:
    centred = inputs - inputs.mean(axis=0)
    gram = centred.T @ centred + _RIDGE * np.eye(inputs.shape[1])
    solved: Floats = np.linalg.solve(gram, centred.T @ (target - target.mean()))
    return solved


def _auc(scores: Floats, belongs: npt.NDArray[np.bool_]) -> float:
    differences = scores[belongs][:, None] - scores[~belongs][None, :]
    return float((differences > 0).mean() + 0.5 * (differences == 0).mean())


def _classified(
    name: str, batches: Sequence[str | None], scores: Floats
) -> tuple[Finding, Plot | None]:
    codes, rows = _coded(batches)
    if codes is None:
        return Finding(CLASSIFIER, None), None
    names = sorted({str(b) for b, used in zip(batches, rows, strict=True) if used})
    found = {
        each: auc
        for number, each in enumerate(names)
        if (auc := classifier_auc(scores[rows], codes == number)) is not None
    }
    if not found:
        return Finding(CLASSIFIER, None), None
    easiest = max(found, key=found.__getitem__)
    members = int((codes == names.index(easiest)).sum())
    others = len(codes) - members
    chance = 0.5 + _Z * float(np.sqrt((members + others + 1) / (12 * members * others)))
    value = found[easiest]
    told = "more than chance allows" if value > chance else "what chance allows"
    said = (
        f"A classifier recognises {name} {easiest} with an AUC of {value:.2f} (0.5 is guessing); "
        f"that is {told}."
    )
    plot = Plot(
        id=f"batch-classifier-{name}",
        title=f"How well {name} can be guessed",
        kind="bars",
        x_label=name,
        y_label="AUC",
        sentence=said,
        series=(Series("AUC", tuple(found), tuple(found.values())),),
        bands=(Band(0.0, 0.7, "pass"), Band(0.7, 1.0, "warn")),
    )
    return Finding(CLASSIFIER, value, None, said, waived=value <= chance), plot
