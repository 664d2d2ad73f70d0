"""A patient joins or leaves with lines on the sample sheet, files and records: who else changes?

First on the rules alone, over many small cohorts; then with real files on disk, checked anew for
every patient that leaves, in files of their own and in one that all share.
"""

import contextlib
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_site import make_site, write_cohort
from tests.client.qc.test_stability import COHORT, KEY, PATIENT, named, table
from tests.support.sequencing import write_reads

from cordon_client.home import SampleSheet
from cordon_client.qc.fates import RECORD_FATES, decide_fates
from cordon_client.qc.measure import summary_vector
from cordon_client.qc.pool import Where
from cordon_client.qc.sample_gate import SampleGate
from cordon_client.qc.tabular import run_table_qc
from cordon_client.sample_qc import check_samples, open_gate
from cordon_common.protocol.parse import parse_model
from cordon_common.protocol.study import Study
from cordon_common.qc.fates import RecordFate
from cordon_common.qc.rules import exclusion_rules, exclusion_stability
from cordon_common.qc.summary import qc_layout

# -- the rules ------------------------------------------------------------------------------------

SAMPLES = ("own", "other", "third")
LINES = st.dictionaries(st.sampled_from(SAMPLES), st.booleans(), max_size=3)
"""What a patient's lines on the sheet say: sample → whether its files passed."""


@pytest.fixture(scope="module")
def study(make_study, number, category):
    features = [number(), number("z", impossible="missing"), category(unknown="exclude")]
    value = make_study(features, patient_id="id", cap=2).as_json()
    value["qc"]["samples"] = ["fastq.v1"]
    return parse_model(Study, value, code="PR001", what="the test's study is not valid")


def gate(sheet, column):
    """Make a gate of {patient: {sample: passed}}."""
    pairs = {(who, name): ok for who, lines in sheet.items() for name, ok in lines.items()}
    return SampleGate(
        passed=frozenset(pair for pair, ok in pairs.items() if ok),
        failed={pair: ("sample.readable",) for pair, ok in pairs.items() if not ok},
        labels={},
        column=column,
        digest="",
    )


def laid_out(cohort, column):
    """Lay a cohort out; with a column, records name samples in turn, of their own patient or not."""
    data = table(cohort)
    index = np.arange(data.records) % len(SAMPLES)
    place = np.zeros(data.records, dtype=np.int64)
    for owner in set(data.patient.tolist()):
        mine = data.patient == owner
        place[mine] = index[: int(mine.sum())]
    return replace(data, samples=(SAMPLES, place)) if column else data


def outcome(study, cohort, sheet, column):
    """Return per patient how often each content came to each fate, and the exact summary."""
    data = laid_out(cohort, column)
    fates = decide_fates(study, data, KEY, gate(sheet, column).of_records(data))
    content = data.content(study.cohort)
    result = defaultdict(Counter)
    for row, owner in enumerate(fates.patient.tolist()):
        result[data.ids[owner]][content[row].tobytes(), RECORD_FATES[fates.records[row]]] += 1
    return dict(result), summary_vector(study, data, fates)[1]


@pytest.mark.parametrize("column", [None, "sample"])
@given(cohort=COHORT, data=st.data(), patient=PATIENT, lines=LINES, name=st.sampled_from("aq"))
def test_whoever_joins_with_lines_and_files_changes_nobody_elses_fate(
    study, column, cohort, data, patient, lines, name
):
    cohort = named(cohort)
    sheet = {who: data.draw(LINES) for who in cohort}
    before, without = outcome(study, cohort, sheet, column)
    joined = cohort | {name: patient}
    after, with_him = outcome(study, joined, sheet | {name: lines}, column)
    assert {who: after[who] for who in before} == before
    assert np.linalg.norm(with_him - without) <= qc_layout(study).l2_sensitivity(study)
    on_sheet_only, same = outcome(study, cohort, sheet | {name: lines}, column)
    assert on_sheet_only == before  # lines alone, without a record, change nothing at all
    assert same.tolist() == without.tolist()


def test_the_rules_of_files_have_stability_one_and_belong_to_studies_that_ask(study, make_study):
    rules = {spec.id: spec.stability for spec in exclusion_rules(study)}
    assert rules["record.sample-failed"] == rules["record.sample-not-listed"] == 1
    assert exclusion_stability(study) == 1
    plain = make_study([{"name": "x", "type": "number", "unit": "u", "range": [0, 1]}])
    assert not any("sample" in spec.id for spec in exclusion_rules(plain))


@given(order=st.permutations(range(3)))
def test_of_equal_records_the_one_whose_files_passed_stays(study, order):
    same = [(10.0, 5.0, 0, 1)] * 3
    data = table({"a": same})
    codes = np.array([RECORD_FATES.index(fate) for fate in FILES], dtype=np.int8)[list(order)]
    fates = decide_fates(study, data, KEY, codes)
    kept = [RECORD_FATES[code] for code in fates.records.tolist()].index(RecordFate.KEPT)
    assert codes[kept] == RECORD_FATES.index(RecordFate.KEPT)


FILES = (RecordFate.SAMPLE_FAILED, RecordFate.KEPT, RecordFate.SAMPLE_NOT_LISTED)


# -- real files ------------------------------------------------------------------------------------

KINDS = {"A": "good", "B": "cut", "C": "good", "D": "gone", "E": "weak", "F": "unlisted"}
JOINT = {"A": "good", "B": "failed", "C": "titv"}


class Silent:
    def reading(self, index, done, total): ...

    def finished(self, index): ...


def write_own(folder, patients):
    lines = ["sample,file,modality,patient"]
    for who in patients:
        kind, file = KINDS[who], folder / f"{who}.fastq"
        if kind == "unlisted":
            continue
        lines.append(f"s{who},{file.name},fastq,{who}")
        if kind != "gone":
            drop = 36.0 if kind == "weak" else 8.0
            write_reads(file, 80, seed=ord(who), duplicates=0.0, frequent=0.0, drop=drop)
        if kind == "cut":
            file.write_bytes(file.read_bytes()[:-100])
    return lines


def write_shared(folder, patients):
    """One VCF of all: who fails brings records at which the others have nothing, and missing calls."""
    head = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=1>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(patients),
    ]
    body = []
    for owner in patients:
        for i in range(900):
            change = "GC"[i % 2 if JOINT[owner] != "titv" else 1]
            calls = ["./." if JOINT[who] == "failed" and i % 9 else "0/0" for who in patients]
            calls[patients.index(owner)] = "0/1"
            place = f"1\t{ord(owner) * 1000 + i}\t.\tA\t{change}\t50\tPASS\t.\tGT"
            body.append("\t".join([place, *calls]))
    (folder / "joint.vcf").write_text("\n".join(head + body) + "\n")
    lines = [f"s{who},joint.vcf,variants,{who},{who}" for who in patients]
    return ["sample,file,modality,patient,inside", *lines]


def fates_on_disk(folder, patients, write, profile):
    """Write sheet, files and table of some patients, check everything anew, and look them up."""
    folder.mkdir()
    (folder / "sheet.csv").write_text("\n".join(write(folder, patients)) + "\n")
    table = write_cohort(folder / "cohort.csv", len(patients))
    text = table.read_text()
    for number, who in enumerate(patients):
        text = text.replace(f"P{number:05d}", who)
    table.write_text(text)
    qc = {"gate": {"min_patients": 10, "min_sites": 2}, "samples": [profile]}
    site = make_site(folder / "site", table, approve=False, qc=qc)
    config = site.home.config()
    samples = SampleSheet(sheet=str(folder / "sheet.csv"))
    config = config.model_copy(
        update={"dataset": config.dataset.model_copy(update={"samples": samples})}
    )
    check_samples(
        site.home, config, site.study, Where(), lambda _: contextlib.nullcontext(Silent())
    )
    found = open_gate(site.home, config, site.study)
    result = run_table_qc(site.study, table, KEY, samples=found)
    fates = [RECORD_FATES[code] for code in result.row_fates.tolist()]
    return dict(zip(patients, fates, strict=True))


@pytest.mark.parametrize(
    ("kinds", "write", "profile", "expected"),
    [
        (
            KINDS,
            write_own,
            "fastq.v1",
            {
                "A": RecordFate.KEPT,
                "B": RecordFate.SAMPLE_FAILED,
                "C": RecordFate.KEPT,
                "D": RecordFate.SAMPLE_FAILED,
                "E": RecordFate.SAMPLE_FAILED,
                "F": RecordFate.SAMPLE_NOT_LISTED,
            },
        ),
        (JOINT, write_shared, "variants.v1", dict.fromkeys(JOINT, RecordFate.KEPT)),
    ],
    ids=["own files", "one file"],
)
def test_whoever_leaves_with_files_changes_nobody_elses_fate(
    tmp_path, kinds, write, profile, expected
):
    whole = fates_on_disk(tmp_path / "all", list(kinds), write, profile)
    assert whole == expected
    for who in kinds:
        rest = [other for other in kinds if other != who]
        left = fates_on_disk(tmp_path / f"without-{who}", rest, write, profile)
        assert left == {other: whole[other] for other in rest}
    for who in kinds:  # alone in a file that may be shared, too: nobody's company decides
        if kinds[who] == "unlisted":
            continue  # a sheet without a line is no sheet
        assert fates_on_disk(tmp_path / f"only-{who}", [who], write, profile) == {who: whole[who]}
