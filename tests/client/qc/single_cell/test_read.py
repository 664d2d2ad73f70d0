"""Every layout of single-cell files gives the same cells; a broken one gives one clear code."""

import gzip

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cordon_client.qc.single_cell import blocks as blocks_module
from cordon_client.qc.single_cell.read import open_cells
from cordon_common.errors import DataError


def cells_of(path):
    opened = open_cells(path)
    parts = list(opened.blocks())
    places = np.cumsum([0] + [p.matrix.shape[0] for p in parts])[:-1]
    assert [p.first for p in parts] == places.tolist()
    whole = sparse.vstack([p.matrix for p in parts]).toarray()
    assert whole.shape == (opened.cells, len(opened.genes))
    return whole, opened


@pytest.fixture
def counts(make_cells, monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_VALUES", 3000)
    monkeypatch.setattr("cordon_client.qc.single_cell.market.BLOCK_VALUES", 3000)
    return make_cells(80, 60)


def adata(counts):
    obs = pd.DataFrame(
        {"sample": pd.Categorical(["a", "b"] * 40)}, index=[f"c{i}" for i in range(80)]
    )
    var = pd.DataFrame(
        {"gene_symbols": [f"S{i}" for i in range(60)]}, index=[f"E{i}" for i in range(60)]
    )
    return anndata.AnnData(counts.astype(np.float32), obs=obs, var=var)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_10x_folder_is_read_in_blocks(tmp_path, counts, put_10x, ending):
    path = put_10x(tmp_path / "s", counts, ending=ending)
    whole, opened = cells_of(path)
    np.testing.assert_array_equal(whole, counts.toarray())
    assert opened.symbols[-1] == "MT-4"


def test_a_10x_matrix_in_any_order_of_cells_is_read(tmp_path, counts, put_10x):
    path = put_10x(tmp_path / "s", counts, ending="")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + sorted(lines[3:])))
    np.testing.assert_array_equal(cells_of(path)[0], counts.toarray())


def put_h5(path, counts, group, names):
    by_gene = counts.tocsr()
    with h5py.File(path, "w") as file:
        node = file.create_group(group)
        node["data"], node["indices"], node["indptr"] = (
            by_gene.data,
            by_gene.indices,
            by_gene.indptr,
        )
        node["shape"] = np.array(counts.shape[::-1])
        node["barcodes"] = np.array([f"c{i}".encode() for i in range(counts.shape[0])])
        for key in names:
            node[key] = np.array([f"g{i}".encode() for i in range(counts.shape[1])])


@pytest.mark.parametrize(
    ("group", "names"),
    [("matrix", ("features/id", "features/name")), ("GRCh38", ("genes", "gene_names"))],
    ids=["version 3", "version 2"],
)
def test_both_versions_of_10x_hdf5_are_read(tmp_path, counts, group, names):
    path = tmp_path / "m.h5"
    put_h5(path, counts, group, names)
    np.testing.assert_array_equal(cells_of(path)[0], counts.toarray())


@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_h5ad_is_read_in_every_layout(tmp_path, counts, layout):
    data = adata(counts)
    data.X = {"csr": data.X, "csc": data.X.tocsc(), "dense": data.X.toarray()}[layout]
    data.write_h5ad(tmp_path / "x.h5ad")
    whole, opened = cells_of(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(whole, counts.toarray())
    assert opened.symbols[:2] == ("S0", "S1")
    assert opened.groups[:3] == ("a", "b", "a")


@pytest.mark.parametrize("place", ["raw/X", "layers/counts"])
def test_raw_counts_are_found_where_x_is_normalised(tmp_path, counts, place):
    data = adata(counts)
    if place == "raw/X":
        data.raw = data.copy()
    else:
        data.layers["counts"] = data.X.copy()
    data.X = data.X.log1p()
    data.write_h5ad(tmp_path / "x.h5ad")
    whole, opened = cells_of(tmp_path / "x.h5ad")
    assert opened.where == place
    np.testing.assert_array_equal(whole, counts.toarray())


def test_h5ad_from_before_version_0_7_is_read(tmp_path, counts):
    obs = np.array(
        [(f"c{i}".encode(), i % 2) for i in range(80)], dtype=[("index", "S8"), ("n", "i4")]
    )
    var = np.array([(f"g{i}".encode(),) for i in range(60)], dtype=[("index", "S8")])
    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        file["obs"], file["var"] = obs, var
        node = file.create_group("X")
        node.attrs["h5sparse_format"] = "csr"
        node.attrs["h5sparse_shape"] = counts.shape
        node["data"], node["indices"], node["indptr"] = counts.data, counts.indices, counts.indptr
    whole, opened = cells_of(tmp_path / "old.h5ad")
    np.testing.assert_array_equal(whole, counts.toarray())
    assert opened.genes[0] == "g0"


def test_explicit_zeros_are_no_detected_genes(tmp_path, counts):
    data = adata(counts)
    data.X.data[:5] = 0
    data.write_h5ad(tmp_path / "x.h5ad")
    block = next(iter(open_cells(tmp_path / "x.h5ad").blocks()))
    assert (block.matrix.data != 0).all()


def code_of(path):
    with pytest.raises(DataError) as caught:
        cells_of(path)
    assert str(path.parent) not in f"{caught.value} {caught.value.why}"
    return caught.value.code


def test_broken_10x_folders_are_refused_by_name(tmp_path, counts, put_10x):
    path = put_10x(tmp_path / "a", counts)
    (tmp_path / "a/barcodes.tsv.gz").unlink()
    assert code_of(path) == "DA064"
    path = put_10x(tmp_path / "b", counts)
    (tmp_path / "b/barcodes.tsv.gz").write_bytes(gzip.compress(b"one\n"))
    assert code_of(path) == "DA064"
    path = put_10x(tmp_path / "c", counts)
    path.write_bytes(path.read_bytes()[:-200])
    assert code_of(path) == "DA060"
    path = put_10x(tmp_path / "d", counts, ending="")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-40]))
    assert code_of(path) == "DA060"
    path = put_10x(tmp_path / "e", counts, ending="")
    path.write_text("genes and cells\n")
    assert code_of(path) == "DA060"


def test_broken_hdf5_files_are_refused_by_name(tmp_path, counts):
    path = tmp_path / "cut.h5ad"
    adata(counts).write_h5ad(path)
    path.write_bytes(path.read_bytes()[:2000])
    assert code_of(path) == "DA065"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    assert code_of(tmp_path / "other.h5") == "DA065"
    short = tmp_path / "short.h5"
    put_h5(short, counts, "matrix", ("features/id", "features/name"))
    with h5py.File(short, "a") as file:
        indices = file["matrix/indices"][:]
        indices[3] = 10_000
        file["matrix/indices"][:] = indices
    assert code_of(short) == "DA065"
