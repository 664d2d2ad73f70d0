"""Count matrices: CPU against plain scipy sums, and memory against the matrix itself."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.lines import Line, ratio_line
from cordon_client.qc.single_cell.blocks import CellBlock, cuts
from cordon_client.qc.single_cell.measure import measure_cells

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from benchmarks.qc.part import Options

CELLS, GENES, STORED = 20_000, 20_000, 30_000_000
_PEAK = """
import sys
from pathlib import Path
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.single_cell import doublets, samples
from cordon_common.qc.profile import builtin_profile
import h5py, scipy.sparse, pyarrow.csv, scipy.stats
def peak():  # of this program alone: getrusage would count the parent's memory too
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if "VmHWM" in line)
profile = builtin_profile("single-cell.v1")
before = peak()
samples.check_sample(SampleFiles("s", (Path(sys.argv[1]),)), profile, lambda done, total: None)
print(before, peak())
"""


def lines(options: Options) -> list[Line]:
    """Measure 20,000 cells × 20,000 genes with 30 million stored counts."""
    matrix = _simulate()
    found = _cpu_lines(matrix, 3 if options.quick else 7)
    path = options.scratch / "cells.h5ad"
    _write(path, matrix)
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    del matrix
    start = time.perf_counter()
    before, peak = _peak(path)
    wall = time.perf_counter() - start
    found.append(
        Line(
            "cells: peak memory of the whole check / the matrix",
            (peak - before) / size,
            must=1.5,
            aim=1.0,
            unit="×",
            note=f"matrix {size / 2**20:.0f} MiB, doublets and report plots included, {wall:.0f} s",
        )
    )
    return found


def _cpu_lines(matrix: Any, repeats: int) -> list[Line]:  # noqa: ANN401 - a sparse matrix
    mitochondrial = np.zeros(GENES, dtype=np.bool_)
    mitochondrial[:13] = True
    blocks = _blocks(matrix)
    ours, plain, bare = [], [], []
    for _ in range(repeats):
        plain.append(_cpu(lambda: _plain_sums(matrix)))
        ours.append(_cpu(lambda: measure_cells(blocks, mitochondrial)))
        bare.append(_cpu(lambda: (matrix.sum(axis=1), matrix.sum(axis=0))))
    return [
        ratio_line("cells: all measures / plain scipy sums, CPU", ours, plain, must=2.0, aim=1.0),
        ratio_line("cells: all measures / two sums only, CPU", ours, bare, must=None),
        _scanpy(matrix, mitochondrial, float(np.median(ours))),
    ]


def _simulate() -> Any:  # noqa: ANN401 - a sparse matrix
    """Counts of a droplet run: mostly ones, few large; float32 as h5ad files hold them."""
    from scipy import sparse

    rows = CELLS // 10
    block = sparse.random(
        rows,
        GENES,
        density=STORED / CELLS / GENES,
        format="csr",
        random_state=1,
        data_rvs=lambda k: np.random.default_rng(2).geometric(0.45, k),
    )
    return sparse.vstack([block] * 10).tocsr().astype(np.float32)


def _blocks(matrix: Any) -> list[CellBlock]:  # noqa: ANN401 - a sparse matrix
    return [CellBlock(a, matrix[a:b]) for a, b in cuts(matrix.indptr.astype(np.int64))]


def _plain_sums(matrix: Any) -> None:  # noqa: ANN401 - a sparse matrix
    """Molecules and detected genes per cell, molecules and cells per gene."""
    matrix.sum(axis=1)
    matrix.sum(axis=0)
    (matrix > 0).sum(axis=1)
    (matrix > 0).sum(axis=0)


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _scanpy(matrix: Any, mitochondrial: npt.NDArray[np.bool_], ours_s: float) -> Line:  # noqa: ANN401
    import anndata
    import scanpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = anndata.AnnData(matrix)
        data.var["mt"] = mitochondrial
        times = [
            _cpu(
                lambda: scanpy.pp.calculate_qc_metrics(
                    data, qc_vars=["mt"], percent_top=[20], inplace=True
                )
            )
            for _ in range(2)
        ]
    return Line(
        "cells: all measures / scanpy's, CPU", ours_s / times[-1], must=None, unit="×",
        note="scanpy's second call",
    )  # fmt: skip


def _write(path: Path, matrix: Any) -> None:  # noqa: ANN401 - a sparse matrix
    import h5py

    with h5py.File(path, "w") as file:
        for name, count, letter in (("obs", CELLS, "c"), ("var", GENES, "g")):
            frame = file.create_group(name)
            frame.attrs["_index"] = "_index"
            frame["_index"] = np.array([f"{letter}{i}".encode() for i in range(count)])
        node = file.create_group("X")
        node.attrs["encoding-type"] = "csr_matrix"
        node.attrs["shape"] = matrix.shape
        for part in ("data", "indices", "indptr"):
            node.create_dataset(part, data=getattr(matrix, part), chunks=True)


def _peak(path: Path) -> tuple[int, int]:
    """Return resident bytes before, and at the peak of, a check in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    before, peak = run.stdout.split()
    return int(before), int(peak)
