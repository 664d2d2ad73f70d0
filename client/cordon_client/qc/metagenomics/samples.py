"""Judge one taxonomic profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.metagenomics.profile import shannon
from cordon_client.qc.metagenomics.reports import read_report, report_kind
from cordon_client.qc.metagenomics.tables import is_biom, profile_of, read_table
from cordon_client.qc.modality import Plot, SampleQc, Series, StatColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cordon_client.qc.matrix.table import FeatureMatrix
    from cordon_client.qc.metagenomics.profile import TaxonProfile
    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_common.qc.profile import Profile

COLUMNS = (
    StatColumn("reads", "Reads", "million", "reads of the sample", 2),
    StatColumn("taxa", "Taxa", "taxa", "taxa with an abundance", 0),
    StatColumn("shannon", "Shannon", "nats", "Shannon's diversity index", 2),
    StatColumn("unclassified", "Unknown", "%", "share of reads that match nothing"),
    StatColumn("host", "Human", "%", "share of human reads", 2),
    StatColumn("total", "Sum", "%", "what the relative abundances sum to"),
    StatColumn("top", "Top taxon", "%", "share of the most frequent taxon"),
)
_SHOWN = 12


def check_file(
    samples: Sequence[SampleFiles], profile: Profile, progress: Progress
) -> tuple[SampleQc, ...]:
    """Check samples of one table, or the one sample of a report.

    Raises:
        DataError: DA015, DA060 to DA063, DA066, DA067, DA072 or DA073.
    """
    path = samples[0].files[0]
    size = path.stat().st_size
    progress(0, size)
    found = []
    table = None if samples[0].inside is None else read_table(path)
    for done, sample in enumerate(samples, start=1):
        found.append(_check(sample, taxa_of(sample, table), profile))
        progress(size * done // len(samples), size)
    return tuple(found)


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Check one sample."""
    return check_file((sample,), profile, progress)[0]


def taxa_of(sample: SampleFiles, table: FeatureMatrix | None = None) -> TaxonProfile:
    """Read one sample's profile; `table`: its file, if that is read already.

    Raises:
        DataError: as `check_file`.
    """
    path = sample.files[0]
    if sample.inside is None and not _is_table(path):
        return read_report(path)
    matrix = read_table(path) if table is None else table
    return profile_of(matrix, sample.inside or matrix.samples[0])


def _is_table(path: Path) -> bool:
    return is_biom(path) or report_kind(path) is None


def _check(sample: SampleFiles, taxa: TaxonProfile, profile: Profile) -> SampleQc:
    return SampleQc(
        sample=sample.sample,
        stats=_stats(taxa),
        results=tuple(result_of(finding, profile) for finding in _findings(taxa)),
        plots=tuple(_plots(taxa)),
    )


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _stats(taxa: TaxonProfile) -> dict[str, float | int | None]:
    composition = taxa.composition
    return {
        "reads": None if taxa.reads is None else taxa.reads / 1e6,
        "taxa": int((taxa.values > 0).sum()),
        "shannon": None if composition is None else shannon(composition),
        "unclassified": _percent(taxa.unclassified),
        "host": _percent(taxa.host),
        "total": _percent(taxa.total),
        "top": None if composition is None else _percent(float(composition.max())),
    }


def _findings(taxa: TaxonProfile) -> Iterator[Finding]:
    wrong = int((np.isnan(taxa.values) | (taxa.values < 0)).sum())
    yield Finding("taxa.values", wrong / len(taxa.values) if len(taxa.values) else None, wrong)
    yield Finding("taxa.consistent", taxa.unaccounted)
    composition = taxa.composition
    seen = int((taxa.values > 0).sum())
    yield Finding("taxa.empty", seen)
    yield Finding("taxa.depth", taxa.reads)
    smallest = taxa.smallest if taxa.shares else None
    yield Finding("taxa.resolution", smallest)
    detail = "" if taxa.host is None else f"{taxa.host:.2%} of the reads are human."
    yield Finding("taxa.host", taxa.host, detail=detail)
    yield Finding("taxa.unclassified", taxa.unclassified)
    total = taxa.total
    yield Finding(
        "taxa.closure",
        None if total is None or not seen else abs(total - 1),
        detail="" if total is None else f"They sum to {total:.1%}.",
    )
    yield Finding("taxa.dominance", None if composition is None else float(composition.max()))
    yield Finding("taxa.reagents", taxa.reagents())


def _plots(taxa: TaxonProfile) -> Iterator[Plot]:
    composition = taxa.composition
    if composition is None:
        return
    top = np.argsort(-composition, kind="stable")[:_SHOWN]
    top = top[composition[top] > 0]
    names = tuple(taxa.taxa[i].split("|")[-1].split(";")[-1].strip() or "?" for i in top)
    shares = tuple((100 * composition[top]).tolist())
    yield Plot(
        id="taxa-top",
        title="Most frequent taxa",
        kind="bars",
        x_label="",
        y_label="% of the abundances",
        sentence=f"The {len(top)} most frequent taxa hold {sum(shares):.0f} %; genera of soil and "
        "water among them point at reagents.",
        series=(Series("share", names, shares),),
    )
