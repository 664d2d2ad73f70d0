"""Judge single runs of a protein table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import Plot, SampleQc, Series, StatColumn
from cordon_client.qc.proteomics.read import read_proteins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_client.qc.proteomics.read import ProteinTable
    from cordon_common.qc.profile import Profile

    Values = npt.NDArray[np.float64]

COLUMNS = (
    StatColumn("proteins", "Proteins", "proteins", "proteins with an intensity in this run", 0),
    StatColumn("missing", "Missing", "%", "share of the table's proteins without an intensity"),
    StatColumn("median", "Median", "log2", "median log2 intensity", 2),
    StatColumn("contaminants", "Contaminants", "%", "share of the intensity in contaminants"),
)
_BARS = 40


def check_file(
    samples: Sequence[SampleFiles], profile: Profile, progress: Progress
) -> tuple[SampleQc, ...]:
    """Check the runs of one table.

    Raises:
        DataError: DA015, DA060 to DA063, DA068, DA072 or DA073.
    """
    path = samples[0].files[0]
    size = path.stat().st_size
    progress(0, size)
    table = read_proteins(path)
    found = []
    for done, sample in enumerate(samples, start=1):
        found.append(_check(sample, table, profile))
        progress(size * done // len(samples), size)
    return tuple(found)


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Check one run."""
    return check_file((sample,), profile, progress)[0]


def _check(sample: SampleFiles, table: ProteinTable, profile: Profile) -> SampleQc:
    run = sample.inside or table.matrix.samples[0]
    logs = table.matrix.column(run)
    own = logs[table.usable]
    known = own[~np.isnan(own)]
    missing = 1 - len(known) / len(own) if len(own) else None
    foreign = _contaminant_share(logs, table)
    wrong = table.wrong[table.matrix.samples.index(run)]
    findings = (
        Finding("prot.values", wrong / len(logs) if len(logs) else None, wrong),
        Finding(
            "prot.missing",
            missing,
            len(own) - len(known),
            f"{len(own) - len(known)} of {len(own)} proteins.",
            # which proteins are rows depends on all runs
            shared=sample.inside is not None or len(table.matrix.samples) > 1,
        ),
        Finding("prot.contaminants", foreign),
    )
    return SampleQc(
        sample=sample.sample,
        stats={
            "proteins": len(known),
            "missing": None if missing is None else 100 * missing,
            "median": float(np.median(known)) if len(known) else None,
            "contaminants": None if foreign is None else 100 * foreign,
        },
        results=tuple(result_of(finding, profile) for finding in findings),
        plots=tuple(_plots(known)),
    )


def _contaminant_share(logs: Values, table: ProteinTable) -> float | None:
    """Return None where no row of the table is marked: the format may not mark contaminants."""
    if table.contaminant is None or not table.contaminant.any():
        return None
    linear = np.exp2(np.nan_to_num(logs, nan=-np.inf))
    total = float(linear.sum())
    return float(linear[table.contaminant].sum()) / total if total else None


def _plots(known: Values) -> Iterator[Plot]:
    if len(known) > 1:
        counts, edges = np.histogram(known, _BARS)
        middle = (edges[:-1] + edges[1:]) / 2
        yield Plot(
            id="prot-intensities",
            title="Intensities",
            kind="histogram",
            x_label="log2 intensity",
            y_label="proteins",
            sentence="One hump; a cut-off left flank is the detection limit, a spike at one value "
            "is imputation that was done before the export.",
            series=(Series("proteins", tuple(middle.tolist()), tuple(counts.tolist())),),
        )
