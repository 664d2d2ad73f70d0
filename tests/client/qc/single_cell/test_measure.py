"""What is measured per cell and gene, against loops, splits and scanpy."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from cordon_client.qc.single_cell.blocks import CellBlock
from cordon_client.qc.single_cell.measure import measure_block, measure_cells, top_sums

SMALL = arrays(
    np.int64, st.tuples(st.integers(1, 12), st.integers(1, 40)), elements=st.integers(0, 50)
)


@given(SMALL, st.integers(1, 8))
def test_top_sums_equal_a_sort_of_every_row(values, how_many):
    expected = np.sort(values, axis=1)[:, ::-1][:, :how_many].sum(axis=1)
    assert top_sums(sparse.csr_matrix(values), how_many).tolist() == expected.tolist()


def blocks(values, cuts):
    edges = [0, *sorted(cuts), len(values)]
    return [CellBlock(a, sparse.csr_matrix(values[a:b])) for a, b in itertools.pairwise(edges)]


@given(SMALL, st.data())
def test_any_split_into_blocks_measures_the_same(values, data):
    mask = np.arange(values.shape[1]) % 2 == 0
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=4))
    whole, tally = measure_cells(blocks(values, []), mask)
    parts, merged = measure_cells(blocks(values, cuts), mask)
    for name in ("total", "genes", "mitochondrial", "top"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    for name in ("seen_in", "total"):
        np.testing.assert_array_equal(getattr(tally, name), getattr(merged, name))
    assert whole.total.tolist() == values.sum(axis=1).tolist()


@given(SMALL)
def test_gene_tallies_merge_in_any_order(values):
    mask = np.zeros(values.shape[1], dtype=bool)
    first = measure_block(sparse.csr_matrix(values), mask)[1]
    second = measure_block(sparse.csr_matrix(values[::-1] * 2), mask)[1]
    assert (first + second).total.tolist() == (second + first).total.tolist()


def test_decimals_and_negative_values_are_tallied_as_wrong():
    values = sparse.csr_matrix(np.array([[1.5, 0, 2.0], [0, -1.0, 3.0]]))
    assert measure_block(values, np.zeros(3, dtype=bool))[1].wrong == 2


def test_the_measures_equal_those_of_scanpy(make_cells):
    import anndata
    import scanpy

    counts = make_cells(200, 300)
    mask = np.arange(300) >= 295
    data = anndata.AnnData(counts.astype(np.float32))
    data.var["mt"] = mask
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy.pp.calculate_qc_metrics(data, qc_vars=["mt"], percent_top=[20], inplace=True)
    values, tally = measure_cells([CellBlock(0, counts)], mask)
    np.testing.assert_array_equal(values.total, data.obs["total_counts"])
    np.testing.assert_array_equal(values.genes, data.obs["n_genes_by_counts"])
    np.testing.assert_array_equal(values.mitochondrial, data.obs["total_counts_mt"])
    share = 100 * values.top / values.total
    np.testing.assert_allclose(share, data.obs["pct_counts_in_top_20_genes"], atol=1e-10)
    np.testing.assert_array_equal(tally.seen_in, data.var["n_cells_by_counts"])


def test_scanpy_is_never_imported_by_the_program():
    import subprocess
    import sys

    code = "import cordon_client.qc.single_cell.samples, sys; print('scanpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_no_cells_measure_to_nothing():
    values, tally = measure_cells([], np.zeros(4, dtype=bool))
    assert (len(values.total), tally.cells) == (0, 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_with_very_many_large_values_are_exact_too(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, (30, 3000))
    values[4] = rng.integers(50, 99, 3000)
    values[5] = 0
    expected = np.sort(values, axis=1)[:, ::-1][:, :20].sum(axis=1)
    assert top_sums(sparse.csr_matrix(values), 20).tolist() == expected.tolist()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.int64])
def test_sums_beyond_what_single_precision_holds_are_exact(kind):
    values = np.array([[2**24 - 1, 1, 1], [2**23, 2**23, 1], [3, 2**22, 7]])
    found, tally = measure_block(sparse.csr_matrix(values.astype(kind)), np.ones(3, dtype=bool))
    assert found.total.tolist() == values.sum(axis=1).tolist()
    assert found.mitochondrial.tolist() == values.sum(axis=1).tolist()
    assert tally.total.tolist() == values.sum(axis=0).tolist()
