"""Judge single samples of bulk RNA counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.bulk_rna.spikes import dose_response
from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.matrix.load import load_matrix
from cordon_client.qc.matrix.tally import feature_kinds, tally
from cordon_client.qc.modality import Plot, SampleQc, Series, StatColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from cordon_client.qc.bulk_rna.spikes import DoseResponse
    from cordon_client.qc.matrix.table import FeatureMatrix
    from cordon_client.qc.matrix.tally import CountTally, FeatureKinds
    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_common.qc.profile import Profile

    Values = npt.NDArray[np.float64]

COLUMNS = (
    StatColumn("reads", "Reads", "million", "reads that fell into features", 2),
    StatColumn("genes", "Genes", "features", "features with at least 10 reads", 0),
    StatColumn("top", "Top gene", "%", "share of reads in the most frequent feature"),
    StatColumn("mt", "MT", "%", "share of reads of mitochondrial genes"),
    StatColumn("rrna", "rRNA", "%", "share of reads of ribosomal RNA"),
    StatColumn("slope", "ERCC slope", "", "slope of the spike-ins' dose response, ideally 1", 2),
)
_WHOLE_TRANSCRIPTOME = 15_000
"""Fewer features are a panel: the number of detected genes says nothing there."""
_CURVE_POINTS = 24


def check_file(
    samples: Sequence[SampleFiles], profile: Profile, progress: Progress
) -> tuple[SampleQc, ...]:
    """Check samples of one matrix; reads it once.

    Raises:
        DataError: DA060 to DA065, DA072, DA073 when it is not a matrix with these samples.
    """
    path = samples[0].files[0]
    size = path.stat().st_size
    progress(0, size)
    matrix = load_matrix(path)
    kinds = feature_kinds(matrix.features, _symbols(matrix))
    checked = []
    for done, sample in enumerate(samples, start=1):
        checked.append(_check(sample, matrix, kinds, profile))
        progress(size * done // len(samples), size)
    return tuple(checked)


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Check one sample; the matrix it lies in stays in memory for the next."""
    return check_file((sample,), profile, progress)[0]


def _symbols(matrix: FeatureMatrix) -> tuple[str, ...] | None:
    named = {name.lower(): note for name, note in matrix.notes.items()}
    words = ("gene_name", "symbol", "gene_symbol", "genename", "feature_name")
    return next((named[word] for word in words if word in named), None)


def _check(
    sample: SampleFiles, matrix: FeatureMatrix, kinds: FeatureKinds, profile: Profile
) -> SampleQc:
    values = matrix.column(sample.inside or matrix.samples[0])
    counted = tally(values, kinds)
    spikes = [name for name, spike in zip(matrix.features, kinds.spike, strict=True) if spike]
    response = dose_response(spikes, np.nan_to_num(values[kinds.spike])) if spikes else None
    return SampleQc(
        sample=sample.sample,
        stats=_stats(counted, response),
        results=tuple(result_of(f, profile) for f in _findings(counted, values, response)),
        plots=tuple(_plots(counted, response)),
        measures={"counts": counted},
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _stats(counted: CountTally, response: DoseResponse | None) -> dict[str, float | int | None]:
    reads = counted.total if counted.are_counts else None
    return {
        "reads": None if reads is None else reads / 1e6,
        "genes": counted.expressed if counted.are_counts else None,
        "top": _percent(counted.top_share(1)),
        "mt": _percent(counted.share(counted.mitochondrial, counted.mitochondrial_features)),
        "rrna": _percent(counted.share(counted.ribosomal, counted.ribosomal_features)),
        "slope": None if response is None else response.slope,
    }


def _findings(
    counted: CountTally, values: Values, response: DoseResponse | None
) -> Iterator[Finding]:
    wrong = counted.negative + counted.fractional
    present = counted.features - counted.missing
    yield Finding(
        "bulk.counts", wrong / present if present else None, wrong, scale_sentence(values)
    )
    yield Finding(
        "bulk.missing", counted.missing / counted.features, counted.missing,
        f"{counted.missing} of {counted.features} features.",
    )  # fmt: skip
    usable = counted.are_counts and present > 0
    panel = counted.features < _WHOLE_TRANSCRIPTOME
    yield Finding(
        "bulk.library-size", counted.total if usable else None, detail=f"{counted.total:,} reads."
    )
    yield Finding(
        "bulk.detected-genes", counted.expressed if usable and not panel else None,
        detail=f"{counted.expressed:,} of {counted.features:,} features.",
    )  # fmt: skip
    yield Finding("bulk.top-gene", None if panel else counted.top_share(1))
    ribosomal = counted.share(counted.ribosomal, counted.ribosomal_features)
    yield Finding("bulk.ribosomal", ribosomal)
    yield Finding(
        "bulk.mitochondrial", counted.share(counted.mitochondrial, counted.mitochondrial_features)
    )
    usable_response = response if usable else None
    yield Finding(
        "bulk.spike-slope",
        None if usable_response is None else abs(usable_response.slope - 1),
        detail="" if usable_response is None else f"The slope is {usable_response.slope:.2f}.",
    )
    yield Finding("bulk.spike-fit", None if usable_response is None else usable_response.r_squared)


def scale_sentence(values: Values) -> str:
    """Say what values that are no counts most likely are."""
    known = values[~np.isnan(values)]
    if not len(known):
        return ""
    if known.min() < 0 or known.max() < 40:
        return "They look like logarithms."
    if abs(known.sum() / 1e6 - 1) < 0.01:
        return "They sum to a million, like TPM or CPM."
    return "They have decimals, like estimated or normalised counts."


def _plots(counted: CountTally, response: DoseResponse | None) -> Iterator[Plot]:
    if counted.total and counted.are_counts:
        top = np.cumsum(counted.top[:_CURVE_POINTS]) / counted.total * 100
        yield Plot(
            id="bulk-top-genes",
            title="Share of reads in the most frequent genes",
            kind="line",
            x_label="genes",
            y_label="% of reads",
            sentence=f"The {len(top)} most frequent genes hold {top[-1]:.0f} % of the reads; a steep "
            "start means that few genes took over the library.",
            series=(Series("this sample", tuple(range(1, len(top) + 1)), tuple(top.tolist())),),
        )
    if response is not None:
        yield Plot(
            id="bulk-spikes",
            title="Dose response of the spike-ins",
            kind="scatter",
            x_label="log2 attomol/µl put in",
            y_label="log2 reads",
            sentence=f"Slope {response.slope:.2f} (ideally 1) and R² {response.r_squared:.2f} "
            f"against mix {response.mix}.",
            series=(Series("spikes", *map(tuple, zip(*response.points, strict=True))),),
        )
