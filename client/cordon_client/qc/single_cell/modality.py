"""Single cells as the table of modalities lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.batch import judge_batches, stats_matrix
from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import CohortQc, Modality, Plot, SampleFiles, Series
from cordon_client.qc.single_cell.read import open_cells
from cordon_client.qc.single_cell.samples import COLUMNS, check_file, check_sample
from cordon_common.errors import DataError
from cordon_common.qc.single_cell_checks import SINGLE_CELL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_client.qc.modality import SampleQc
    from cordon_common.qc.profile import Profile

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_RAW = "raw_feature_bc_matrix"
_PARTS = ("barcodes.tsv", "features.tsv", "genes.tsv", "cells.csv")


def recognises(path: Path) -> bool:
    """Whether a file is a 10x matrix, one of the files beside it, or an h5ad."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith("matrix.mtx"):
        return True
    if name.endswith(_PARTS):
        return any((path.parent / f"matrix.mtx{gz}").is_file() for gz in ("", ".gz"))
    if not name.endswith((".h5ad", ".h5")):
        return False
    try:
        with path.open("rb") as file:
            return file.read(8) == _HDF5_MAGIC
    except OSError:
        return False


def group(files: Sequence[Path]) -> tuple[SampleFiles, ...]:
    """Make samples of matrices; an unfiltered 10x matrix goes with the cells beside it.

    An h5ad that names the sample of every cell holds several samples.
    """
    matrices = [f for f in files if f.name.removesuffix(".gz").endswith((".mtx", ".h5", ".h5ad"))]
    raw = {f for f in matrices if _RAW in f.name or _RAW in f.parent.name}
    made: list[SampleFiles] = []
    for path in sorted(set(matrices) - raw) or sorted(raw):
        twin = next((f for f in sorted(raw) if _twins(f, path) and f != path), None)
        pair = (path,) if twin is None else (path, twin)
        made += _samples(pair, _name(path))
    return tuple(made)


def beside(path: Path) -> tuple[Path, ...]:
    """List the names of cells and genes that a 10x matrix is read with."""
    if not path.name.removesuffix(".gz").endswith("matrix.mtx"):
        return ()
    return tuple(
        sorted(f for f in path.parent.iterdir() if f.name.removesuffix(".gz").endswith(_PARTS))
    )


def _twins(raw: Path, cells: Path) -> bool:
    if raw.suffix != cells.suffix and not cells.suffix.startswith(".h5"):
        return False
    home = raw.parent.parent if _RAW in raw.parent.name else raw.parent
    return home in {cells.parent, cells.parent.parent}


def _name(path: Path) -> str:
    if path.name.startswith("matrix.mtx"):
        home = path.parent.name
        return path.parent.parent.name if "feature_bc_matrix" in home else home
    return path.name


def _samples(files: tuple[Path, ...], name: str) -> list[SampleFiles]:
    try:
        groups = open_cells(files[0]).groups
    except DataError:
        groups = None  # the check of the sample will say what is wrong
    named = sorted({each for each in groups or () if each})
    if len(named) < 2:
        return [SampleFiles(name, files)]
    return [SampleFiles(f"{name}/{each}", files, inside=each) for each in named]


def check_cohort(
    samples: Sequence[SampleFiles], checked: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Compare the samples' depth, and their statistics between the manifest's batches."""
    together = _depths(samples, checked, profile)
    batches = judge_batches(stats_matrix(checked, COLUMNS), samples, profile, "statistics")
    return CohortQc((*together.results, *batches.results), (*together.plots, *batches.plots))


def _depths(
    samples: Sequence[SampleFiles], checked: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    depths = [
        (sample.sample, float(depth))
        for sample, qc in zip(samples, checked, strict=True)
        if (depth := qc.stats.get("depth"))
    ]
    if len(depths) < 2:
        return CohortQc((result_of(Finding("cells.sample-depth", None), profile),))
    least, most = min(depths, key=lambda d: d[1]), max(depths, key=lambda d: d[1])
    detail = f"{most[0]}: {most[1]:,.0f} molecules per cell, {least[0]}: {least[1]:,.0f}."
    result = result_of(Finding("cells.sample-depth", most[1] / least[1], detail=detail), profile)
    plot = Plot(
        id="cells-sample-depth",
        title="Median molecules per cell",
        kind="bars",
        x_label="",
        y_label="molecules",
        sentence="Differences between samples become differences between cells in a model.",
        series=(Series("median", tuple(d[0] for d in depths), tuple(d[1] for d in depths)),),
    )
    return CohortQc((result,), (plot,))


MODALITY = Modality(
    name=SINGLE_CELL,
    title="Single cells",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
    group=group,
    check_file=check_file,
    beside=beside,
)
