"""Taxonomic profiles: real reports and tables, planted faults, and scikit-bio as the second way."""

import csv
import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_client.qc.metagenomics.cohort import check_cohort, contaminants, is_control
from cordon_client.qc.metagenomics.modality import group, recognises
from cordon_client.qc.metagenomics.profile import bray_curtis, genus_of, shannon
from cordon_client.qc.metagenomics.reports import read_report
from cordon_client.qc.metagenomics.samples import check_file, check_sample
from cordon_client.qc.metagenomics.tables import read_table
from cordon_client.qc.modality import SampleFiles
from cordon_common.errors import DataError
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PROFILE = builtin_profile("metagenomics.v1")
BAD = {Severity.WARN, Severity.FAIL}


def quiet(done, total):
    assert 0 <= done <= total


def severities(results):
    return {r.check: r.severity for r in results}


COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=60).filter(any)


@given(COUNTS)
def test_shannon_equals_scikit_bio(counts):
    from skbio.diversity import alpha_diversity

    values = np.array(counts)
    expected = alpha_diversity("shannon", values[None, :], base=np.e).iloc[0]
    assert shannon(values / values.sum()) == pytest.approx(expected, abs=1e-9)


@given(st.data(), st.integers(2, 40))
def test_bray_curtis_equals_scikit_bio(data, n):
    from skbio.diversity import beta_diversity

    row = st.lists(st.integers(0, 500), min_size=n, max_size=n).filter(any)
    both = np.array([data.draw(row), data.draw(row)])
    expected = beta_diversity("braycurtis", both)[0, 1]
    assert bray_curtis(both[0], both[1]) == pytest.approx(expected, abs=1e-12)


# -- reports ---------------------------------------------------------------------------------------

REPORTS = {
    "sample_01.report.txt": (120098 + 639475, 120098 / 759573, None),
    "v2.0.8_beta/sample1.kraken2.report.txt": (1360552, 1356396 / 1360552, 4156 / 1360552),
    "v2.0.8_beta/sample2.kraken2.report.txt": (1360552, 3628 / 1360552, None),
    "v2.1.1/metagenome-with-minimizers.kreport.txt": (100, 0.54, None),
    "bracken/v2.6.0/bracken_report.txt": (1188381, None, 50 / 1188381),
    "bracken/v2.6.0/bracken_species_abundances.tsv": (None, None, None),
    "metaphlan/lil_bub_pe_SRR22078166_metaphlan3-db.metaphlan_profile.txt": (28195253, None, None),
}


@pytest.mark.parametrize("name", REPORTS)
def test_real_reports_give_reads_unknown_and_human_shares(shared_data, name):
    path = shared_data / "taxonomy_reports_shared" / name
    reads, unknown, human = REPORTS[name]
    assert recognises(path)
    found = read_report(path)
    if reads is not None:
        assert found.reads == reads
    assert found.unclassified == (None if unknown is None else pytest.approx(unknown))
    if human is not None:
        assert found.host == pytest.approx(human)
    assert len(found.taxa) > 0
    assert found.unaccounted is None or found.unaccounted <= 0.02


def test_a_report_that_lost_lines_fails(shared_data, tmp_path):
    lines = (shared_data / "taxonomy_reports_shared/sample_01.report.txt").read_text().splitlines()
    kept = [line for index, line in enumerate(lines) if index < 6 or index % 2]
    path = tmp_path / "x.report.txt"
    path.write_text("\n".join(kept) + "\n")
    found = check_sample(SampleFiles("x", (path,)), PROFILE, quiet)
    assert severities(found.results)["taxa.consistent"] is Severity.FAIL


def test_human_reads_are_named(shared_data, tmp_path):
    text = (shared_data / "taxonomy_reports_shared/sample_01.report.txt").read_text()
    text += " 2.00\t15191\t15191\tS\t9606\tHomo sapiens\n"
    path = tmp_path / "x.report.txt"
    path.write_text(text)
    found = check_sample(SampleFiles("x", (path,)), PROFILE, quiet)
    assert severities(found.results)["taxa.host"] is Severity.WARN
    assert found.stats["host"] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    "text", ["12.0\t5\t5\tS\t1\n", "read1\tC\t9606\n", "1.0\tx\t5\tS\t1\tname\n"]
)
def test_what_is_no_report_is_refused(tmp_path, text):
    path = tmp_path / "x.report.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_report(path)
    assert caught.value.code == "DA067"


@pytest.mark.parametrize(
    ("name", "genus"),
    [
        ("s__Ralstonia_insidiosa", "Ralstonia"),
        ("k__Bacteria|p__Firmicutes|g__Blautia|s__Blautia_obeum", "Blautia"),
        ("Ralstonia pickettii", "Ralstonia"),
        ("k__Bacteria;p__Proteobacteria", None),
        ("g__[Ruminococcus];s__", "Ruminococcus"),
        ("OTU12", None),
    ],
)
def test_the_genus_is_read_from_any_way_to_write_a_taxon(name, genus):
    assert genus_of(name) == genus


# -- BIOM ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "biom/tests/test_data/test.json",
        "biom/tests/test_data/test.json.gz",
        "biom/tests/test_data/test.biom",
        "biom/tests/test_data/test_grp_metadata.biom",
        "examples/min_sparse_otu_table.biom",
        "examples/min_sparse_otu_table_hdf5.biom",
        "examples/rich_sparse_otu_table.biom",
        "examples/rich_sparse_otu_table_hdf5.biom",
    ],
)
def test_biom_of_both_versions_holds_the_same_table(shared_data, name):
    path = shared_data / "biom_tables" / name
    assert recognises(path)
    found = read_table(path)
    assert found.values.shape == (5, 6)
    assert found.values.sum() == 27


def test_broken_biom_files_are_refused_with_codes(shared_data, tmp_path):
    folder = shared_data / "biom_tables/biom/tests/test_data"
    whole = json.loads((folder / "test.json").read_text())
    broken = {
        "empty.biom": (folder / "no-contents.biom").read_bytes(),
        "cut.biom": (folder / "test.biom").read_bytes()[:9000],
        "text.biom": b"no json at all",
        "lacks.biom": json.dumps({k: v for k, v in whole.items() if k != "rows"}).encode(),
        "shape.biom": json.dumps(whole | {"data": [[99, 99, 1]]}).encode(),
        "zip.biom": gzip.compress((folder / "test.json").read_bytes())[:80],
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError) as caught:
            read_table(tmp_path / name)
        assert caught.value.code == "DA066", name
    with pytest.raises(DataError) as caught:
        read_table(folder / "empty.biom")
    assert caught.value.code == "DA063"
    (sample,) = group([folder / "no-contents.biom"])
    with pytest.raises(DataError):
        check_sample(sample, PROFILE, quiet)


# -- the colorectal cohorts ------------------------------------------------------------------------


def site(shared_data, name):
    folder = shared_data / "crc_metagenome/sites" / name
    path = folder / "species_abundance.csv"
    with (folder / "metadata.csv").open(newline="") as file:
        facts = {row["sample_id"]: row for row in csv.DictReader(file)}
    samples = tuple(
        SampleFiles(
            s.sample,
            s.files,
            label=int(facts[s.inside]["study_condition"] == "CRC"),
            batches={"country": facts[s.inside]["country"]},
            inside=s.inside,
        )
        for s in group([path])
    )
    checked = check_file(samples, PROFILE, quiet)
    return samples, checked, check_cohort(samples, checked, PROFILE)


def test_the_shallow_site_is_told_from_a_deep_one(shared_data):
    shallow, deep = (
        site(shared_data, n)[2] for n in ("usa_canada_hannigan2017", "austria_feng2015")
    )
    assert severities(shallow.results)["taxa.shallow-samples"] is Severity.WARN
    assert severities(deep.results)["taxa.shallow-samples"] is Severity.PASS


def test_exactly_the_unclosed_rows_are_found(shared_data):
    samples, checked, _ = site(shared_data, "china_yu2015")
    with samples[0].files[0].open() as file:
        rows = {r[0]: sum(map(float, r[1:])) for r in csv.reader(file) if r[0] != "sample_id"}
    flagged = {
        s.inside
        for s, qc in zip(samples, checked, strict=True)
        if severities(qc.results)["taxa.closure"] in BAD
    }
    assert flagged == {name for name, total in rows.items() if abs(total - 1) > 0.05}
    assert len(flagged) == 3


def test_country_that_goes_with_the_outcome_is_found(shared_data):
    _, _, entangled = site(shared_data, "france_germany_zeller2014")
    _, _, balanced = site(shared_data, "usa_canada_hannigan2017")
    assert severities(entangled.results)["batch.confounded"] is Severity.WARN
    assert severities(balanced.results)["batch.confounded"] is not Severity.WARN


# -- negative controls -----------------------------------------------------------------------------


def blanks_and_patients(tmp_path, spoil=False):
    rng = np.random.default_rng(0)
    taxa = [f"g__Gut{chr(97 + i)}" for i in range(20)] + ["g__Ralstonia", "g__Delftia"]
    patients = np.hstack(
        [rng.multinomial(2_000_000, rng.dirichlet(np.ones(20)), 20), np.zeros((20, 2))]
    )
    blanks = np.hstack([np.zeros((4, 20)), rng.multinomial(2_000_000, [0.7, 0.3], 4)])
    if spoil:
        patients[0] = 0.2 * patients[0] + 0.8 * blanks[0]
        patients = np.floor(patients)
    names = [f"p{i}" for i in range(20)] + [f"blank_{i}" for i in range(4)]
    path = tmp_path / "t.tsv"
    lines = ["\t".join(["taxon", *names])]
    lines += [
        "\t".join([t, *(f"{v:.0f}" for v in column)])
        for t, column in zip(taxa, np.vstack([patients, blanks]).T, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    samples = group([path])
    checked = check_file(samples, PROFILE, quiet)
    return checked, check_cohort(samples, checked, PROFILE)


def test_contaminants_of_the_negative_controls_are_found_in_a_patient(tmp_path):
    checked, cohort = blanks_and_patients(tmp_path, spoil=True)
    found = {(r.check, r.subject): r.severity for r in cohort.results}
    assert found["taxa.contaminants", None] is Severity.WARN
    assert found["taxa.like-control", "p0"] is Severity.WARN
    assert found["taxa.like-control", "p1"] is Severity.PASS
    assert severities(checked[0].results)["taxa.reagents"] is Severity.WARN


def test_clean_patients_beside_blanks_have_no_finding(tmp_path):
    checked, cohort = blanks_and_patients(tmp_path)
    assert not BAD & {r.severity for r in cohort.results}
    assert not BAD & {r.severity for qc in checked[:20] for r in qc.results}


def test_contaminants_are_more_prevalent_in_blanks_than_chance_allows():
    control = np.arange(40) < 6
    present = np.random.default_rng(1).random((40, 200)) < 0.5
    present[:, 0] = control
    flagged = contaminants(present, control)
    assert flagged[0]
    assert flagged[1:].mean() < 0.03


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NTC_1", True),
        ("blank-3", True),
        ("neg.ctrl2", True),
        ("Sample7", False),
        ("Negev_4", False),
    ],
)
def test_negative_controls_are_told_by_name(name, expected):
    assert is_control(SampleFiles(name, ())) is expected
    assert is_control(SampleFiles("x", (), batches={"sample_type": "negative control"}))
