"""Bulk RNA: planted faults are named, real tables are read, what cannot be told is not told."""

import numpy as np
import pytest

from cordon_client.qc.bulk_rna.cohort import check_cohort
from cordon_client.qc.bulk_rna.modality import recognises
from cordon_client.qc.bulk_rna.samples import check_file
from cordon_client.qc.bulk_rna.spikes import concentrations, dose_response
from cordon_client.qc.matrix.load import matrix_samples
from cordon_client.qc.modality import SampleFiles
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PROFILE = builtin_profile("bulk-rna.v1")
GENES = [f"ENSG{n:011d}" for n in range(16_000)] + [f"MT-G{n}" for n in range(10)]


def quiet(done, total):
    assert 0 <= done <= total


@pytest.fixture(scope="module")
def clean():
    """Eight libraries of one tissue, float64 [genes, samples]."""
    rng = np.random.default_rng(3)
    level = rng.lognormal(3.5, 2.0, len(GENES))
    size = np.linspace(0.7, 1.4, 8)
    mean = level[:, None] * size[None, :] * 15e6 / level.sum()
    return rng.negative_binomial(20, 20 / (20 + mean)).astype(float)


def judged(tmp_path, values, patients=None, facts=None):
    path = tmp_path / "counts.tsv"
    names = [f"s{n}" for n in range(values.shape[1])]
    rows = ("\t".join([gene, *(f"{v:g}" if v < 1e5 else f"{v:.0f}" for v in row)])
            for gene, row in zip(GENES, values.tolist(), strict=True))  # fmt: skip
    path.write_text("\n".join(["gene_id\t" + "\t".join(names), *rows]) + "\n")
    assert recognises(path)
    assert matrix_samples(path) == tuple(names)
    known = facts or [(None, {})] * len(names)
    people = patients or [None] * len(names)
    samples = [
        SampleFiles(n, (path,), patient=who, label=label, batches=batches, inside=n)
        for n, who, (label, batches) in zip(names, people, known, strict=True)
    ]
    checked = check_file(samples, PROFILE, quiet)
    return checked, check_cohort(samples, checked, PROFILE)


def severity(results, check, subject=None):
    return next(r.severity for r in results if r.check == check and r.subject == subject)


def test_a_clean_cohort_has_no_finding(tmp_path, clean):
    checked, cohort = judged(tmp_path, clean, patients=["p", "p", *"qrstuv"])
    results = [*cohort.results, *(r for qc in checked for r in qc.results)]
    assert {r.severity for r in results} <= {Severity.PASS, Severity.NOT_APPLICABLE}
    assert checked[0].stats["reads"] == pytest.approx(clean[:, 0].sum() / 1e6)
    assert checked[0].stats["slope"] is None


FAULTS = {
    "logarithms": ("bulk.counts", lambda v: np.log2(v + 1)),
    "TPM": ("bulk.counts", lambda v: v / v.sum(axis=0) * 1e6),
    "empty cells": ("bulk.missing", lambda v: np.where(v == v[5], np.nan, v)),
    "a shallow library": ("bulk.library-size", lambda v: np.floor(v / 100)),
    "few genes": (
        "bulk.detected-genes",
        lambda v: np.where(np.arange(len(v))[:, None] % 4, 0, 8 * v),
    ),
    "one gene takes over": ("bulk.top-gene", lambda v: np.vstack([v[:1] + 2e7, v[1:]])),
    "dead tissue": ("bulk.mitochondrial", lambda v: np.vstack([v[:-10], v[-10:] + 2e6])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_of_a_sample_is_named_and_spares_the_others(tmp_path, clean, fault):
    check, spoil = FAULTS[fault]
    values = clean.copy()
    values[:, 0] = spoil(clean)[:, 0]
    checked, _ = judged(tmp_path, values)
    assert severity(checked[0].results, check) in {Severity.WARN, Severity.FAIL}
    assert severity(checked[1].results, check) in {Severity.PASS, Severity.NOT_APPLICABLE}


def test_an_odd_tissue_a_swap_a_copy_and_a_shallow_sample_are_found_together(tmp_path, clean):
    rng = np.random.default_rng(5)
    values = clean.copy()
    values[:, 7] = rng.permutation(values[:, 7])
    values[:, 6] = np.floor(values[:, 6] / 8)
    values[:, 5] = values[:, 4]
    _, cohort = judged(tmp_path, values, patients=["p", *"abcdef", "p"])
    assert severity(cohort.results, "bulk.outlier", "s7") is Severity.WARN
    assert severity(cohort.results, "bulk.outlier", "s0") is Severity.PASS
    assert severity(cohort.results, "bulk.replicates") is Severity.WARN
    assert severity(cohort.results, "bulk.same-sample") is Severity.WARN
    assert severity(cohort.results, "bulk.size-factors") is Severity.WARN


def test_a_lane_that_goes_with_the_outcome_is_found(tmp_path, clean):
    lanes = [(i % 2, {"lane": f"L{i % 2}"}) for i in range(8)]
    _, cohort = judged(tmp_path, clean, facts=lanes)
    assert severity(cohort.results, "batch.confounded", "lane") is Severity.WARN


def test_the_mixes_hold_92_spikes_from_30000_down_in_halvings():
    first, second = concentrations(1), concentrations(2)
    assert len(first) == 92
    assert first["ERCC-00130"] == 30_000
    assert (second["ERCC-00130"], second["ERCC-00002"]) == (7_500, 30_000)
    assert min(first.values()) == pytest.approx(0.01430512, rel=1e-6)


@pytest.mark.parametrize("slope", [1.0, 0.6])
@pytest.mark.parametrize("mix", [1, 2])
def test_the_dose_response_finds_mix_and_slope(mix, slope):
    known = concentrations(mix)
    reads = np.array([10 * amount**slope for amount in known.values()])
    found = dose_response(list(known), reads)
    assert found.mix == mix
    assert found.slope == pytest.approx(slope)
    assert found.r_squared == pytest.approx(1)


def test_the_quartet_tables_are_found_to_be_logarithms(shared_data):
    path = (
        shared_data / "quartet_multiomics/Transcriptomics/client_01_L01/intensities_log_UNION.tsv"
    )
    assert recognises(path)
    sample = SampleFiles("s", (path,), inside=matrix_samples(path)[0])
    result = next(
        r for r in check_file([sample], PROFILE, quiet)[0].results if r.check == "bulk.counts"
    )
    assert result.severity is Severity.FAIL
    assert result.detail == "They look like logarithms."
