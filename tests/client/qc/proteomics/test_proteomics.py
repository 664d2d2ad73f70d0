"""Protein tables: real search engines' outputs, five laboratories, planted faults."""

import csv
import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats

from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.proteomics.cohort import check_cohort, missing_by_label, missing_slope
from cordon_client.qc.proteomics.modality import recognises
from cordon_client.qc.proteomics.read import protein_runs, read_proteins
from cordon_client.qc.proteomics.samples import check_file
from cordon_common.errors import DataError
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PROFILE = builtin_profile("proteomics.v1")
BAD = {Severity.WARN, Severity.FAIL}


def quiet(done, total):
    assert 0 <= done <= total


def engines(shared_data):
    return shared_data / "proteomics_search_engine_outputs"


OUTPUTS = {
    "maxquant_go/proteinGroups.txt": ("MaxQuant", 882, 10),
    "diann/report_final.pg_matrix.tsv": ("DIA-NN", 10, 20),
    "fragpipe/combined_proteins.tsv": ("FragPipe", 10, 20),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_search_engine_tables_are_recognised_and_read(shared_data, name):
    path = engines(shared_data) / name
    assert recognises(path)
    found = read_proteins(path)
    assert (found.engine, len(found.matrix.features), len(found.matrix.samples)) == OUTPUTS[name]
    assert not sum(found.wrong)


def test_rows_to_leave_out_are_counted_as_maxquant_marks_them(shared_data):
    path = engines(shared_data) / "maxquant_go/proteinGroups.txt"
    found = read_proteins(path)
    counts = (found.decoy.sum(), found.contaminant.sum(), found.by_site.sum())
    assert counts == (12, 31, 72)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    marks = ("Reverse", "Potential contaminant", "Only identified by site")
    assert found.usable.tolist() == [not any(row[m] == "+" for m in marks) for row in rows]
    intensity = float(rows[0]["LFQ intensity AC381"])
    assert 2 ** np.nan_to_num(found.matrix.values[0, 0], nan=-np.inf) == pytest.approx(intensity)
    samples = [SampleFiles(run, (path,), inside=run) for run in found.matrix.samples]
    cohort = check_cohort(samples, check_file(samples, PROFILE, quiet), PROFILE)
    results = {r.check: r for r in cohort.results if r.subject == path.name}
    assert results["prot.rows"].value == (~found.usable).sum()
    assert results["prot.error-rate"].severity is Severity.WARN


MZTAB = """MTD\tmzTab-version\t1.0.0
MTD\tassay[1]\trun one
MTD\tassay[2]\trun two
PRH\taccession\tprotein_abundance_assay[1]\tprotein_abundance_assay[2]\topt_global_cv_MS:1002217_decoy_peptide
PRT\tP12345\t1024\tnull\t0
PRT\tQ99999\t2048\t4096\t1
"""


def test_mztab_is_read_with_its_assays_and_decoys(tmp_path):
    path = tmp_path / "x.mztab"
    path.write_text(MZTAB)
    assert recognises(path)
    found = read_proteins(path)
    assert found.matrix.samples == ("run one", "run two")
    np.testing.assert_array_equal(found.matrix.values, [[10, np.nan], [11, 12]])
    assert found.usable.tolist() == [True, False]


BROKEN = {
    "DA068": "Protein IDs\tMajority protein IDs\tScore\nP1\tP1\t3\n",
    "DA060": "Protein.Group\tProtein.Ids\tS1\nP1\tP1\t3\t4\t5\n",
    "DA061": "Protein.Group\tProtein.Ids\tS1\nP1\tP1\tthree\n",
    "DA063": "Protein.Group\tProtein.Ids\tS1\n",
}


@pytest.mark.parametrize("code", BROKEN)
def test_what_is_no_protein_table_is_refused_with_its_code(tmp_path, code):
    path = tmp_path / "x.tsv"
    path.write_text(BROKEN[code])
    with pytest.raises(DataError) as caught:
        read_proteins(path)
    assert caught.value.code == code


# -- five laboratories -----------------------------------------------------------------------------


def lab(shared_data, letter):
    folder = shared_data / f"proteomics_ecoli_5labs/lab_{letter}"
    path = folder / "intensities_log_UNION.tsv"
    with (folder / "design.tsv").open(newline="") as file:
        label = {row["file"]: int(row["Pyr"]) for row in csv.DictReader(file, delimiter="\t")}
    assert recognises(path)
    return tuple(
        SampleFiles(
            f"{letter}/{run}", (path,), label=label[run], batches={"lab": letter}, inside=run
        )
        for run in protein_runs(path)
    )


def judged(samples):
    checked = check_file(samples, PROFILE, quiet)
    return checked, check_cohort(samples, checked, PROFILE)


@pytest.mark.parametrize("letter", "ABCDE")
def test_every_laboratory_alone_has_no_fault_of_missing_values(shared_data, letter):
    _, cohort = judged(lab(shared_data, letter))
    missing = {r.check: r.severity for r in cohort.results if r.check.startswith("prot.missing")}
    assert set(missing) == {"prot.missing-by-label", "prot.missing-not-at-random"}
    assert not BAD & set(missing.values())


def test_the_laboratory_is_found_to_be_a_batch(shared_data):
    both = [lab(shared_data, letter) for letter in "AC"]
    checked = [qc for samples in both for qc in check_file(samples, PROFILE, quiet)]
    cohort = check_cohort([*itertools.chain(*both)], checked, PROFILE)
    found = {r.check: r.severity for r in cohort.results if r.subject == "lab"}
    assert found["batch.variance"] is Severity.WARN
    assert found["batch.classifier"] is Severity.WARN
    assert found["batch.confounded"] is not Severity.WARN


def planted(shared_data, tmp_path, change):
    samples = lab(shared_data, "A")
    table = read_proteins(samples[0].files[0]).matrix
    labels = np.array([s.label for s in samples])
    values = change(table.values.copy(), labels, np.random.default_rng(1))
    path = tmp_path / "protein.tsv"
    lines = ["\t".join(["protein", *table.samples])]
    for name, row in zip(table.features, values.tolist(), strict=True):
        lines.append("\t".join([name, *("" if np.isnan(v) else f"{v:.6f}" for v in row)]))
    path.write_text("\n".join(lines) + "\n")
    return judged([dataclasses.replace(s, files=(path,)) for s in samples])


def ghost(values, labels, rng):
    values[np.ix_(rng.choice(len(values), 150, replace=False), labels == 1)] = np.nan
    return values


def censored(values, labels, rng):
    values[values + rng.normal(0, 0.4, values.shape) < np.nanquantile(values, 0.25)] = np.nan
    return values


def failed(values, labels, rng):
    values[rng.random(len(values)) < 0.7, 3] = np.nan
    return values


def shifted(values, labels, rng):
    values[:, 3] += 3
    return values


def swapped(values, labels, rng):
    values[:, 3] = rng.permutation(values[:, 3])
    return values


def copied(values, labels, rng):
    values[:, 3] = values[:, 4]
    return values


def unsteady(values, labels, rng):
    values[:, :4] += rng.normal(0, 0.8, (len(values), 4))
    return values


FAULTS = {
    "prot.missing-by-label": ghost,
    "prot.missing-not-at-random": censored,
    "prot.missing": failed,
    "prot.shift": shifted,
    "prot.outlier": swapped,
    "prot.same-sample": copied,
    "prot.pools": unsteady,
}


@pytest.mark.parametrize("check", FAULTS)
def test_a_planted_fault_is_named(shared_data, tmp_path, check):
    checked, cohort = planted(shared_data, tmp_path, FAULTS[check])
    results = [*cohort.results, *(r for qc in checked for r in qc.results)]
    assert any(r.check == check and r.severity in BAD for r in results)


def test_pools_of_a_steady_instrument_pass(shared_data):
    _, cohort = judged(lab(shared_data, "A"))
    pools = next(r for r in cohort.results if r.check == "prot.pools")
    assert pools.severity is Severity.PASS
    assert pools.affected == 4


def test_missingness_statistics_equal_those_of_scipy():
    rng = np.random.default_rng(0)
    values = rng.normal(20, 3, (200, 24))
    values[rng.random(values.shape) < 1 / (1 + np.exp(values - 17))] = np.nan
    rate = np.isnan(values).mean(axis=1)
    expected = stats.spearmanr(rate, np.nanmean(values, axis=1)).statistic
    assert missing_slope(values) == pytest.approx(expected)
    labels = np.arange(24) % 2
    values[:20, labels == 1] = np.nan
    flagged = missing_by_label(values, labels)
    rows = np.isnan(values)
    a, b = rows[:, labels == 0].sum(axis=1), rows[:, labels == 1].sum(axis=1)
    p = [stats.fisher_exact([[x, 12 - x], [y, 12 - y]]).pvalue for x, y in zip(a, b, strict=True)]
    expected = (np.abs(a - b) / 12 > 0.5) & (stats.false_discovery_control(p) <= 0.01)
    assert flagged.tolist() == expected.tolist()
    assert flagged[:20].any()
