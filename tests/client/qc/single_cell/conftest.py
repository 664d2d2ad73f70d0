import gzip

import numpy as np
import pytest
from scipy import sparse

from cordon_common.qc.profile import builtin_profile


def simulate(cells=300, genes=400, seed=1, groups=3):
    """Counts of cells of a few types, CSR int32 [cells, genes]; the last 5 genes are mitochondrial."""
    rng = np.random.default_rng(seed)
    profile = rng.lognormal(0, 1.2, (groups, genes))
    profile /= profile.sum(axis=1, keepdims=True)
    kind = rng.integers(0, groups, cells)
    depth = rng.lognormal(np.log(2000), 0.25, cells)
    mean = profile[kind] * depth[:, None]
    counts = rng.negative_binomial(8, 8 / (8 + mean))
    return sparse.csr_matrix(counts.astype(np.int32))


def names(genes):
    return [f"G{n}" for n in range(genes - 5)] + [f"MT-{n}" for n in range(5)]


def write_10x(folder, counts, symbols=None, ending=".gz"):
    """Write a 10x folder as the machine's own software lays it out."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = symbols or names(counts.shape[1])

    def put(name, text):
        data = text.encode()
        (folder / (name + ending)).write_bytes(gzip.compress(data) if ending else data)

    put("features.tsv", "".join(f"ENSG{i}\t{s}\tGene Expression\n" for i, s in enumerate(symbols)))
    put("barcodes.tsv", "".join(f"CELL{i}-1\n" for i in range(counts.shape[0])))
    coo = counts.tocoo()
    order = np.lexsort((coo.col, coo.row))
    lines = "".join(
        f"{g + 1} {c + 1} {v:g}\n"
        for g, c, v in zip(
            coo.col[order].tolist(), coo.row[order].tolist(), coo.data[order].tolist(), strict=False
        )
    )
    head = f"%%MatrixMarket matrix coordinate integer general\n%\n{counts.shape[1]} {counts.shape[0]} {counts.nnz}\n"
    put("matrix.mtx", head + lines)
    return folder / f"matrix.mtx{ending}"


@pytest.fixture(scope="session")
def make_cells():
    """Simulate cells: `make_cells(cells=…, genes=…, seed=…)`."""
    return simulate


@pytest.fixture(scope="session")
def put_10x():
    """Write a 10x folder: `put_10x(folder, counts, symbols, ending)` returns the matrix's path."""
    return write_10x


@pytest.fixture(scope="session")
def profile():
    return builtin_profile("single-cell.v1")
