"""Swapped samples are found and named, kin and strangers told apart, sexes compared."""

import csv

import numpy as np
import pytest

from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.multiomics.expression import sexes_by_expression
from cordon_client.qc.multiomics.genotypes import compare
from cordon_client.qc.multiomics.modality import check_cohort, check_file, samples
from cordon_client.qc.multiomics.sheet import COLUMNS
from cordon_common.errors import DataError
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PEOPLE, SITES = 8, 400
HEADER = (
    "##fileformat=VCFv4.2\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
)


def write_vcf(path, names, table, depth, prefix="chr"):
    lines = [HEADER + "\t".join(names)]
    for site, (row, reads) in enumerate(zip(table, depth, strict=True)):
        cells = "\t".join(
            f"{('0/0', '0/1', '1/1')[copies]}:{n}" for copies, n in zip(row, reads, strict=True)
        )
        lines.append(f"{prefix}1\t{1000 + site}\t.\tA\tG\t50\tPASS\t.\tGT:DP\t{cells}")
    path.write_text("\n".join(lines) + "\n")


def write_cohort(folder, order, *, error=0.03, depth=40):
    """DNA of PEOPLE, and RNA whose columns belong to the people named by `order`."""
    rng = np.random.default_rng(4)
    frequency = rng.uniform(0.2, 0.8, SITES)[:, None]
    dna = rng.binomial(2, frequency, (SITES, PEOPLE))
    rna = dna[:, order].copy()
    wrong = rng.random(rna.shape) < error
    rna[wrong] = rng.integers(0, 3, int(wrong.sum()))
    names = [f"P{i}" for i in range(PEOPLE)]
    write_vcf(folder / "dna.vcf", names, dna, np.full(dna.shape, 40))
    write_vcf(folder / "rna.vcf", names, rna, np.full(rna.shape, depth), prefix="")
    rows = [
        {"patient": n, "sex": "", "dna_file": "dna.vcf", "dna_sample": n, "rna_file": "rna.vcf",
         "rna_sample": n, "expression_file": "", "expression_sample": ""} for n in names
    ]  # fmt: skip
    return write_sheet(folder, rows)


def write_sheet(folder, rows):
    path = folder / "cohort.identity.tsv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return path


def checked(path):
    wanted = [SampleFiles(name, (path,), inside=name) for name in samples(path)]
    profile = builtin_profile("identity.v1")
    found = check_file(wanted, profile, lambda *_: None)
    return found, check_cohort(wanted, found, profile)


def result(qc, check):
    return next(r for r in qc.results if r.check == check)


def test_a_sheet_as_it_should_be_matches_everybody(tmp_path):
    found, cohort = checked(write_cohort(tmp_path, list(range(PEOPLE))))
    assert {qc.measures["identity"].state for qc in found} == {"matched"}
    assert cohort.results[0].severity is Severity.PASS
    assert all(qc.stats["best"] < 75 < 90 < qc.stats["own"] for qc in found)


def test_two_swapped_tubes_are_found_and_fit_each_other(tmp_path):
    found, cohort = checked(write_cohort(tmp_path, [0, 1, 5, 3, 4, 2, 6, 7]))
    wrong = {qc.sample: qc.measures["identity"].other for qc in found if qc.stats["own"] < 80}
    assert wrong == {"P2": "P5", "P5": "P2"}
    assert result(found[2], "identity.genotype").severity is Severity.WARN
    assert cohort.results[0].affected == 2
    assert cohort.plots[0].series[0].y == (6, 2, 0)


def test_too_few_reads_or_sites_are_untestable_and_not_a_match(tmp_path):
    found, cohort = checked(write_cohort(tmp_path, list(range(PEOPLE)), depth=9))
    assert {qc.measures["identity"].state for qc in found} == {"untestable"}
    assert result(found[0], "identity.genotype").severity is Severity.NOT_APPLICABLE
    assert cohort.results[0].severity is Severity.NOT_APPLICABLE


def test_concordance_equals_a_loop_over_sites():
    rng = np.random.default_rng(8)
    people = [
        {(b"1", str(s).encode(), b"A", b"G"): int(rng.integers(-1, 3)) for s in range(40)}
        for _ in range(5)
    ]
    found = compare(people[:3], people[3:])
    for i, a in enumerate(people[:3]):
        for j, b in enumerate(people[3:]):
            carried = [s for s in a if any(p[s] > 0 for p in people)]
            both = [s for s in carried if a[s] >= 0 and b[s] >= 0]
            assert found.shared[i, j] == len(both)
            assert found.same[i, j] == sum(a[s] == b[s] for s in both)


def test_the_quartet_family_has_one_man_in_every_laboratory(shared_data):
    folder = shared_data / "quartet_multiomics" / "Transcriptomics"
    for table in sorted(folder.glob("*/intensities_log_UNION.tsv")):
        for name, sex in sexes_by_expression(table).items():
            assert sex == ("male" if "_F7_" in name else "female"), (table.parent.name, name)


def test_a_record_that_contradicts_expression_fails(shared_data, tmp_path):
    table = (
        shared_data / "quartet_multiomics" / "Transcriptomics" / "client_01_L01"
        / "intensities_log_UNION.tsv"
    )  # fmt: skip
    (tmp_path / "rna.tsv").write_bytes(table.read_bytes())
    rows = [
        dict.fromkeys(COLUMNS, "")
        | {
            "patient": patient,
            "sex": sex,
            "expression_file": "rna.tsv",
            "expression_sample": column,
        }
        for patient, sex, column in (
            ("daughter", "F", "P_ILM_L1_B1_D5_1"),
            ("father", "M", "P_ILM_L1_B1_F7_1"),
            ("swapped", "F", "P_ILM_L1_B1_F7_2"),
        )
    ]
    found, _ = checked(write_sheet(tmp_path, rows))
    severities = [result(qc, "identity.sex").severity for qc in found]
    assert severities == [Severity.PASS, Severity.PASS, Severity.FAIL]


@pytest.mark.parametrize("content", ["", "patient\tsex\nP\tM\n"])
def test_a_sheet_without_its_columns_is_refused(tmp_path, content):
    path = tmp_path / "x.identity.tsv"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        samples(path)
    assert caught.value.code == "DA044"


def test_a_sheet_that_names_a_missing_file_or_sample_is_refused(tmp_path):
    path = write_cohort(tmp_path, list(range(PEOPLE)))
    text = path.read_text()
    path.write_text(text.replace("dna.vcf\tP0", "none.vcf\tP0"))
    with pytest.raises(DataError, match="DA044"):
        samples(path)
    path.write_text(text.replace("dna.vcf\tP0", "dna.vcf\tnobody"))
    with pytest.raises(DataError, match="DA044"):
        checked(path)
