"""Single cells: planted faults are named; what the files cannot tell is not told."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.single_cell.doublets import find_doublets
from cordon_client.qc.single_cell.modality import check_cohort, group, recognises
from cordon_client.qc.single_cell.noise import contamination, dropout
from cordon_client.qc.single_cell.samples import check_sample
from cordon_common.errors import DataError
from cordon_common.qc.verdict import Severity


def quiet(done, total):
    assert 0 <= done <= total


def severities(found):
    return {r.check: r.severity for r in found.results}


@pytest.fixture
def judge(tmp_path, put_10x, profile):
    def run(counts, symbols=None):
        path = put_10x(tmp_path / "s", counts, symbols)
        return check_sample(SampleFiles("s", (path,)), profile, quiet)

    return run


def planted(counts, fault, rng):
    dense = counts.toarray()
    if fault == "cells.depth":
        return sparse.csr_matrix(rng.binomial(dense, 0.1))
    if fault == "cells.number":
        return counts[:40]
    if fault == "cells.mitochondrial":
        dense[:100, -5:] += 200
    if fault == "cells.outliers":
        dense[:40, :20] += 3000
    if fault == "cells.dropout":
        lost = rng.random(dense.shape) < 0.5
        lost[:, ::2] = False
        dense[lost] = 0
        dense[:, 1::2] *= 2
    return sparse.csr_matrix(dense)


def test_a_clean_sample_has_no_finding(judge, make_cells):
    found = judge(make_cells(300, 400))
    assert set(severities(found).values()) <= {Severity.PASS, Severity.NOT_APPLICABLE}
    assert severities(found)["cells.ambient"] is Severity.NOT_APPLICABLE
    assert found.stats["mt"] is not None


@pytest.mark.parametrize(
    "fault",
    ["cells.depth", "cells.number", "cells.mitochondrial", "cells.outliers", "cells.dropout"],
)
def test_a_planted_fault_is_named(judge, make_cells, fault):
    found = judge(planted(make_cells(300, 400), fault, np.random.default_rng(2)))
    assert severities(found)[fault] in {Severity.WARN, Severity.FAIL}


def test_normalised_values_fail_and_everything_else_is_not_assessable(
    tmp_path, profile, make_cells
):
    data = anndata.AnnData(make_cells(120, 100).astype(np.float32).log1p())
    data.write_h5ad(tmp_path / "x.h5ad")
    found = check_sample(SampleFiles("x", (tmp_path / "x.h5ad",)), profile, quiet)
    assert severities(found)["cells.counts"] is Severity.FAIL
    assert found.stats["depth"] is None
    assert found.stats["doublets"] is None


def test_without_mitochondrial_genes_their_share_is_not_assessable(judge, make_cells):
    found = judge(make_cells(150, 100), symbols=[f"G{i}" for i in range(100)])
    assert severities(found)["cells.mitochondrial"] is Severity.NOT_APPLICABLE
    assert found.stats["mt"] is None


def with_doublets(counts, share, seed=4):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, counts.shape[0], (int(counts.shape[0] * share), 2))
    return sparse.vstack([counts, counts[pairs[:, 0]] + counts[pairs[:, 1]]]).tocsr()


def test_planted_doublets_score_above_single_cells(make_cells):
    counts = make_cells(600, 500, groups=6)
    mixed = with_doublets(counts, 0.15)
    found = find_doublets(mixed)
    single, double = found.scores[:600], found.scores[600:]
    order = (double[:, None] > single[None, :]).mean() + 0.5 * (double[:, None] == single).mean()
    assert order > 0.9
    assert found.rate == pytest.approx(0.13, abs=0.06)
    assert find_doublets(counts).rate < 0.06


def test_too_few_cells_have_no_doublet_estimate(make_cells):
    assert find_doublets(make_cells(60, 100)) is None


def test_counts_without_extra_zeros_follow_the_model(make_cells):
    counts = make_cells(800, 300, groups=1)
    assert dropout(counts).share < 0.02


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_a_known_share_of_free_rna_is_recovered(share):
    rng = np.random.default_rng(1)
    own = np.zeros((4, 200))
    for i in range(4):
        own[i, i * 50 : (i + 1) * 50] = rng.random(50) + 0.1
    own /= own.sum(axis=1, keepdims=True)
    ambient = own.mean(axis=0)
    counts = rng.poisson(2_000_000 * ((1 - share) * own + share * ambient)).astype(float)
    assert contamination(counts, ambient) == pytest.approx(share, rel=0.2)


def test_an_unfiltered_matrix_beside_the_cells_gives_the_free_rna(
    tmp_path, put_10x, profile, make_cells
):
    counts = make_cells(200, 200)
    profile_of_all = np.asarray(counts.sum(axis=0)).ravel() / counts.sum()
    free = np.random.default_rng(0).poisson(40 * profile_of_all, (800, 200))
    cells = put_10x(tmp_path / "run/filtered_feature_bc_matrix", counts)
    raw = put_10x(
        tmp_path / "run/raw_feature_bc_matrix",
        sparse.vstack([counts, sparse.csr_matrix(free)]).tocsr(),
    )
    (sample,) = group([cells, raw])
    assert (sample.sample, sample.files) == ("run", (cells, raw))
    found = check_sample(sample, profile, quiet)
    assert found.stats["ambient"] is not None


def test_an_h5ad_of_two_samples_is_checked_as_two(tmp_path, profile, make_cells):
    counts = make_cells(300, 150).astype(np.float32)
    shallow = counts.copy()
    shallow[150:] = counts[150:].multiply(0.1).floor()
    obs = pd.DataFrame({"sample": ["a"] * 150 + ["b"] * 150}, index=[f"c{i}" for i in range(300)])
    path = tmp_path / "x.h5ad"
    anndata.AnnData(sparse.csr_matrix(shallow), obs=obs).write_h5ad(path)
    samples = group([path])
    assert [s.inside for s in samples] == ["a", "b"]
    checked = [check_sample(s, profile, quiet) for s in samples]
    assert [c.stats["cells"] for c in checked] == [150, 150]
    assert check_cohort(samples, checked, profile).results[0].severity is Severity.WARN
    with pytest.raises(DataError, match="DA073"):
        check_sample(SampleFiles("c", (path,), inside="c"), profile, quiet)


def test_the_lupus_samples_are_found_and_checked(shared_data, profile):
    files = [f for f in sorted((shared_data / "scrna_kang_lupus").rglob("*")) if recognises(f)]
    samples = group(files)
    assert [s.sample for s in samples] == ["ctrl101", "ctrl107", "stim101", "stim107"]
    found = check_sample(samples[0], profile, quiet)
    assert found.stats["cells"] == 454
    assert found.stats["depth"] == 1024
    assert found.stats["mt"] is None


@pytest.mark.slow
def test_planted_doublets_are_told_apart_at_least_as_well_as_by_scrublet(shared_data):
    """scanpy's scrublet on the same real cells with planted doublets; its own score, no threshold."""
    import warnings

    import scanpy
    from sklearn.metrics import roc_auc_score

    from cordon_client.qc.single_cell.read import open_cells

    parts = [
        sparse.vstack(
            [
                b.matrix
                for b in open_cells(shared_data / "scrna_kang_lupus" / s / "matrix.mtx.gz").blocks()
            ]
        )
        for s in ("ctrl101", "stim101")
    ]
    counts = sparse.vstack(parts).tocsr()
    mixed = with_doublets(counts, 0.1)
    truth = np.arange(mixed.shape[0]) >= counts.shape[0]
    data = anndata.AnnData(mixed.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy.pp.scrublet(data, threshold=0.25, random_state=0)
    theirs = roc_auc_score(truth, data.obs["doublet_score"])
    ours = roc_auc_score(truth, find_doublets(mixed).scores)
    assert ours > theirs - 0.05
    assert ours > 0.8
