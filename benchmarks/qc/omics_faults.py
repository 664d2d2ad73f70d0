"""Faults planted into clean omics cohorts, and harmless variation of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.qc.part import Fault, Harmless
from cordon_client.qc.bulk_rna.modality import MODALITY as BULK
from cordon_client.qc.finding import excludes
from cordon_client.qc.metagenomics.modality import MODALITY as TAXA
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.proteomics.modality import MODALITY as PROTEINS
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.modality import Modality

    Values = npt.NDArray[np.float64]
    Draw = Callable[[int], Values]
    Spoil = Callable[[Values, np.random.Generator], Values]

_BAD = {Severity.WARN, Severity.FAIL}
_SAMPLES = 16
_LABELS = np.arange(_SAMPLES) % 2


def _bulk(seed: int) -> Values:
    rng = np.random.default_rng(seed)
    level = np.random.default_rng(99).lognormal(3.5, 2.0, 16_000)
    own = level[:, None] * rng.lognormal(0, 0.25, (16_000, _SAMPLES))
    mean = own / own.sum(axis=0) * 20e6 * rng.uniform(0.7, 1.4, _SAMPLES)
    return np.asarray(rng.negative_binomial(20, 20 / (20 + mean)), dtype=np.float64)


def _taxa(seed: int) -> Values:
    rng = np.random.default_rng(seed)
    base = np.random.default_rng(98).lognormal(0, 2, 120)
    shares = base[:, None] * rng.lognormal(0, 1, (120, _SAMPLES))
    shares /= shares.sum(axis=0)
    counts = np.column_stack([rng.multinomial(20_000_000, p) for p in shares.T])
    return np.asarray(counts / counts.sum(axis=0), dtype=np.float64)


def _proteins(seed: int) -> Values:
    rng = np.random.default_rng(seed)
    level = np.random.default_rng(97).normal(24, 2.5, 1500)
    values = level[:, None] + rng.normal(0, 0.4, (1500, _SAMPLES))
    values[rng.random(values.shape) < 0.08] = np.nan
    return np.asarray(values, dtype=np.float64)


_NAMES: dict[str, Callable[[int], str]] = {
    BULK.name: lambda i: f"ENSG{i:011d}",
    TAXA.name: lambda i: f"s__Species_{i}",
    PROTEINS.name: lambda i: f"P{i:05d}",
}


def silent(_done: int, _total: int) -> None:
    """Show no progress."""


def _judge(modality: Modality, values: Values, folder: Path) -> tuple[set[str], int, int]:
    """Return the checks that warn or fail, excluded samples, and samples with any finding."""
    path = folder / "protein.tsv" if modality is PROTEINS else folder / "table.tsv"
    runs = [f"s{i}" for i in range(values.shape[1])]
    lines = ["\t".join(["feature", *runs])]
    lines += [
        "\t".join([_NAMES[modality.name](i), *("" if v != v else f"{v:.9g}" for v in row)])  # noqa: PLR0124
        for i, row in enumerate(values.tolist())
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    profile = builtin_profile(f"{modality.name}.v1")
    samples = [
        SampleFiles(run, (path,), label=int(_LABELS[i]), patient=f"p{i // 2}", inside=run)
        for i, run in enumerate(runs)
    ]
    check = modality.check_file
    checked = () if check is None else check(samples, profile, silent)
    kept = [(s, qc) for s, qc in zip(samples, checked, strict=True) if not excludes(qc.results)]
    cohort = modality.check_cohort([s for s, _ in kept], [qc for _, qc in kept], profile)
    found = {r.check for r in cohort.results if r.severity in _BAD}
    own = [{r.check for r in qc.results if r.severity in _BAD} for qc in checked]
    flagged = sum(map(bool, own)) + len({r.subject for r in cohort.results if r.severity in _BAD})
    return found.union(*own), len(samples) - len(kept), flagged


def _found(
    modality: Modality, draw: Draw, check: str, spoil: Spoil, seed: int, folder: Path
) -> bool:
    values = spoil(draw(seed), np.random.default_rng(seed + 1000))
    return check in _judge(modality, values, folder)[0]


def _one(change: Callable[[Values, np.random.Generator], Values]) -> Spoil:
    """Spoil the fourth sample only."""

    def spoil(values: Values, rng: np.random.Generator) -> Values:
        values[:, 3] = change(values[:, 3], rng)
        return values

    return spoil


def _thin(share: float) -> Spoil:
    return _one(lambda v, rng: rng.binomial(v.astype(np.int64), share).astype(np.float64))


def _mix(share: float) -> Spoil:
    return _one(lambda v, rng: np.floor((1 - share) * v + share * rng.permutation(v)))


def _open(share: float) -> Spoil:
    return _one(
        lambda v, _: np.where(
            np.cumsum(np.sort(v)[::-1])[np.argsort(np.argsort(-v))] > 1 - share, 0, v
        )
    )


def _bloom(share: float) -> Spoil:
    def change(v: Values, _rng: np.random.Generator) -> Values:
        mixed = v * (1 - share)
        mixed[0] += share
        return np.asarray(mixed)

    return _one(change)


def _ghost(share: float) -> Spoil:
    def spoil(values: Values, rng: np.random.Generator) -> Values:
        rows = rng.choice(len(values), int(share * len(values)), replace=False)
        values[np.ix_(rows, np.flatnonzero(_LABELS == 1))] = np.nan
        return values

    return spoil


def _limit(share: float) -> Spoil:
    def spoil(values: Values, rng: np.random.Generator) -> Values:
        noise = rng.normal(0, 0.4, values.shape)
        values[values + noise < np.nanquantile(values, share)] = np.nan
        return values

    return spoil


def _lose(share: float) -> Spoil:
    return _one(lambda v, rng: np.where(rng.random(len(v)) < share, np.nan, v))


def _copy(values: Values, _rng: np.random.Generator) -> Values:
    values[:, 3] = values[:, 4]
    return values


def _shallow_taxa(reads: int) -> Spoil:
    def spoil(values: Values, rng: np.random.Generator) -> Values:
        drawn = [rng.multinomial(reads, v / v.sum()) / reads for v in values.T]
        return np.asarray(np.column_stack(drawn))

    return spoil


_ROWS: tuple[tuple[Modality, Draw, str, str, Sequence[tuple[str, Spoil, bool]]], ...] = (
    (BULK, _bulk, "values that are no counts", "bulk.counts", (
        ("log2", _one(lambda v, _: np.log2(v + 1)), True),
        ("TPM", _one(lambda v, _: v / v.sum() * 1e6), True))),
    (BULK, _bulk, "shallow library", "bulk.library-size", (
        ("a tenth", _thin(0.1), True), ("a third", _thin(0.3), True))),
    (BULK, _bulk, "one gene takes over", "bulk.top-gene", (
        ("half", _one(lambda v, _: np.concatenate([[v.sum()], v[1:]])), True),)),
    (BULK, _bulk, "contaminated sample", "bulk.outlier", (
        ("30 %", _mix(0.3), True), ("60 %", _mix(0.6), True), ("3 %", _mix(0.03), False))),
    (BULK, _bulk, "sample twice", "bulk.same-sample", (("exact", _copy, True),)),
    (BULK, _bulk, "swapped replicate", "bulk.replicates", (
        ("another tissue", _one(lambda v, rng: rng.permutation(v)), True),)),
    (TAXA, _taxa, "shares that were filtered", "taxa.closure", (
        ("10 %", _open(0.10), True), ("25 %", _open(0.25), True), ("2 %", _open(0.02), False))),
    (TAXA, _taxa, "shallow site", "taxa.shallow-samples", (
        ("20,000 reads", _shallow_taxa(20_000), True), ("60,000 reads", _shallow_taxa(60_000), True))),
    (TAXA, _taxa, "overgrown sample", "taxa.dominance", (("95 %", _bloom(0.95), True),)),
    (TAXA, _taxa, "negative abundances", "taxa.values", (
        ("CLR", _one(lambda v, _: np.log(v + 1e-6)), True),)),
    (PROTEINS, _proteins, "missing in one outcome", "prot.missing-by-label", (
        ("5 % of proteins", _ghost(0.05), True), ("20 %", _ghost(0.2), True), ("1 %", _ghost(0.01), False))),
    (PROTEINS, _proteins, "below the detection limit", "prot.missing-not-at-random", (
        ("20 %", _limit(0.2), False), ("35 %", _limit(0.35), True))),
    (PROTEINS, _proteins, "failed run", "prot.missing", (
        ("60 %", _lose(0.6), True), ("95 %", _lose(0.95), True))),
    (PROTEINS, _proteins, "weak injection", "prot.shift", (
        ("a quarter", _one(lambda v, _: v - 2), True),)),
    (PROTEINS, _proteins, "another organism", "prot.outlier", (
        ("all", _one(lambda v, rng: rng.permutation(v)), True),)),
    (PROTEINS, _proteins, "run twice", "prot.same-sample", (("exact", _copy, True),)),
)  # fmt: skip

FAULTS: tuple[Fault, ...] = tuple(
    Fault(modality.name, kind, severity, partial(_found, modality, draw, check, spoil), must)
    for modality, draw, kind, check, severities in _ROWS
    for severity, spoil, must in severities
)


def _alarms(
    modality: Modality, draw: Draw, vary: Spoil, seed: int, folder: Path
) -> tuple[int, int, int]:
    values = vary(draw(seed), np.random.default_rng(seed + 2000))
    _, excluded, flagged = _judge(modality, values, folder)
    return excluded, flagged, values.shape[1]


def _as_it_is(values: Values, _rng: np.random.Generator) -> Values:
    return values


def _deeper(values: Values, rng: np.random.Generator) -> Values:
    return np.asarray(np.floor(values * rng.uniform(0.8, 1.8, values.shape[1])))


def _disease(values: Values, rng: np.random.Generator) -> Values:
    """Five in a hundred features differ fourfold between the outcomes."""
    rows = rng.choice(len(values), len(values) // 20, replace=False)
    values[np.ix_(rows, np.flatnonzero(_LABELS == 1))] *= 4
    return np.asarray(np.floor(values))


HARMLESS: tuple[Harmless, ...] = (
    Harmless(BULK.name, "clean libraries", partial(_alarms, BULK, _bulk, _as_it_is)),
    Harmless(BULK.name, "honest differences of depth", partial(_alarms, BULK, _bulk, _deeper)),
    Harmless(BULK.name, "a disease that changes 5 % of genes", partial(_alarms, BULK, _bulk, _disease)),
    Harmless(TAXA.name, "clean profiles", partial(_alarms, TAXA, _taxa, _as_it_is)),
    Harmless(PROTEINS.name, "clean runs", partial(_alarms, PROTEINS, _proteins, _as_it_is)),
)  # fmt: skip
