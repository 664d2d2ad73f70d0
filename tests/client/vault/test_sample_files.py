"""A study of checked sample files at a real site: who trains follows from files, and goes stale."""

import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console
from small_site import clock, make_site, write_cohort
from tests.support.sequencing import write_reads
from typer.testing import CliRunner

from cordon_client import sample_qc
from cordon_client.approval import terms_of
from cordon_client.cli.render import terms_view
from cordon_client.cli.site import app
from cordon_client.doctor import examine
from cordon_client.enrol import load_split_key
from cordon_client.qc import sample_record
from cordon_client.qc.identity import patient_hashes
from cordon_client.qc.pool import Where
from cordon_client.sample_qc import check_samples, open_gate
from cordon_client.vault.airlock import Airlock
from cordon_common.errors import CordonError, DataError
from cordon_common.ledger.entries import DataRegistered
from cordon_common.privacy.schedule import release_grid
from cordon_common.qc.fates import PatientFate, RecordFate
from cordon_common.qc.summary import FATE, qc_layout
from cordon_common.qc.summary import decode as read_summary
from cordon_common.wire import decode

PATIENTS = 30
BROKEN = "P00003"
GATE = {"gate": {"min_patients": 20, "min_sites": 2}}
CHECKED = {"qc": GATE | {"samples": ["fastq.v1"]}}


class Silent:
    def reading(self, index, done, total): ...

    def finished(self, index): ...


def silent(_samples):
    return contextlib.nullcontext(Silent())


def cut(file):
    """Cut a file off in the middle of its last read."""
    file.write_bytes(file.read_bytes()[:-100])


def name_sheet(site, sheet, **more):
    config = yaml.safe_load(site.home.config_file.read_text())
    config["dataset"]["samples"] = {"sheet": str(sheet), **more}
    site.home.config_file.write_text(yaml.safe_dump(config))


def check(site, study=None):
    return check_samples(site.home, site.home.config(), study or site.study, Where(), silent)


def gate_of(site, study=None):
    return open_gate(site.home, site.home.config(), study or site.study)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """Thirty FASTQ files, one of them cut off, and the sheet that lists them."""
    folder = tmp_path_factory.mktemp("laboratory")
    lines = ["sample,file,modality,patient"]
    for number in range(PATIENTS):
        patient = f"P{number:05d}"
        write_reads(folder / f"S{number}.fastq", 60, seed=number, duplicates=0.0, frequent=0.0)
        lines.append(f"S{number},S{number}.fastq,fastq,{patient}")
    cut(folder / "S3.fastq")
    (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def site(tmp_path, laboratory):
    """A site whose sheet and files may be changed: the files are copied one by one."""
    folder = tmp_path / "laboratory"
    folder.mkdir()
    for file in laboratory.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    table = write_cohort(tmp_path / "cohort.csv", PATIENTS)
    made = make_site(tmp_path / "north", table, **CHECKED)
    name_sheet(made, folder / "samples.csv")
    return made


@pytest.fixture
def sheet(site):
    return Path(site.home.config().dataset.samples.sheet)


@pytest.fixture
def vault_of():
    opened = []

    def start(site):
        opened.append(site.open_vault())
        return opened[-1]

    yield start
    for state in opened:
        state.ledger.close()


# -- who trains ------------------------------------------------------------------------------------


def test_one_broken_fastq_leaves_out_exactly_its_patient(site, vault_of):
    check(site)
    vault = vault_of(site)
    cohort = vault.cohort(site.study)
    everybody = patient_hashes(load_split_key(site.home), [f"P{i:05d}" for i in range(PATIENTS)])
    assert set(everybody) - set(cohort.qc.clean.patients) == {everybody[3]}
    assert cohort.train.n_patients + cohort.holdout.n_patients == PATIENTS - 1
    assert cohort.qc.patient_fates[PatientFate.SAMPLE_FAILED] == 1
    assert cohort.qc.patient_fates[PatientFate.KEPT] == PATIENTS - 1


def test_the_summary_counts_it_and_the_layout_has_the_cells_for_it(site, vault_of):
    check(site)
    vault = vault_of(site)
    layout = qc_layout(site.study)
    cells = layout.histograms[0].cells
    assert cells[-2:] == ("sample_not_listed", "sample_failed")
    exact = vault.cohort(site.study).qc.summary
    assert exact[cells.index("sample_failed")] == 1
    assert exact[cells.index("kept")] == PATIENTS - 1
    _, arrays = decode(Airlock(vault).answer("qc", site.request("qc")))
    noisy = read_summary(
        layout, arrays["release"], grid_per_unit=release_grid(site.study).qc, noise_std_grid=1.0
    )
    assert noisy.histograms[FATE].spec.cells == cells
    _, arrays = decode(Airlock(vault).answer("train", site.request("train", weights=np.zeros(5))))
    assert arrays["release"].shape == (5,)


def test_the_local_report_says_how_many_and_why(site, vault_of):
    check(site)
    vault_of(site).cohort(site.study)
    folder = site.home.reports / site.study.name
    told = json.loads((folder / "qc-report.json").read_text())
    assert told["samples"] == {
        "samples": PATIENTS,
        "samples_passed": PATIENTS - 1,
        "patients": PATIENTS,
        "patients_without": 1,
        "reasons": {"Files readable": 1},
    }
    page = (folder / "qc-report.html").read_text()
    assert "<b>29</b> of 30 samples passed" in page
    assert "What did not hold: files readable (1)." in page
    assert "a sample whose files did not pass" in page


def test_the_command_says_how_many_are_left_and_why(site, tmp_path):
    study = tmp_path / "study.yaml"
    study.write_bytes(site.signed_study_bytes())
    asked = ["qc", str(site.home.root), "--study", str(study), "-o", str(tmp_path / "report")]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.output.split())
    assert "sample files: 29 of 30 samples passed; 1 of 30 patients have none that did" in words
    assert "not held: files readable (1)" in words
    assert (tmp_path / "report" / "samples" / "qc-report.html").is_file()
    again = CliRunner().invoke(app, [*asked, "--json"])
    assert "unchanged since they were checked" in again.output
    assert json.loads(again.stdout)["samples"]["samples_passed"] == PATIENTS - 1


def test_a_study_that_asks_for_no_files_is_not_touched_by_the_sheet(site, vault_of):
    other, envelope = site.sign(name="plain", qc=GATE)
    site.approve(envelope)
    qc = vault_of(site).cohort(other).qc
    assert qc.patients_kept == PATIENTS
    assert qc.samples is None
    assert len(qc_layout(site.study).histograms[0].cells) == 10
    assert len(qc.layout.histograms[0].cells) == 8
    assert "samples" not in other.as_json()["qc"]


def test_of_several_samples_of_a_patient_those_that_failed_go(tmp_path, laboratory, vault_of):
    """Records of single samples: P00000 has a good and a broken one, P00001 names another's."""
    table = tmp_path / "cohort.csv"
    names = [f"S{i}" for i in range(PATIENTS)]
    write_cohort(table, PATIENTS, sample_id=["S0", "S2", *names[2:]])
    table.write_text(table.read_text() + "P00000,50.5,1.25,f,1,S3\n")
    site = make_site(tmp_path / "north", table, **CHECKED, cohort=two_records())
    sheet = laboratory / "by-sample.csv"
    text = (laboratory / "samples.csv").read_text()
    sheet.write_text(text.replace("S3.fastq,fastq,P00003", "S3.fastq,fastq,P00000"))
    name_sheet(site, sheet, column="sample_id")
    check(site)
    qc = vault_of(site).cohort(site.study).qc
    assert qc.record_fates[RecordFate.SAMPLE_FAILED] == 1
    assert qc.record_fates[RecordFate.SAMPLE_NOT_LISTED] == 2  # P00001's, and P00003's own
    assert qc.patient_fates[PatientFate.KEPT_IN_PART] == 1
    assert qc.patient_fates[PatientFate.SAMPLE_NOT_LISTED] == 2
    assert qc.patients_kept == PATIENTS - 2


def two_records():
    from small_site import study_value

    return study_value([])["cohort"] | {"max_records_per_patient": 2}


def test_outcomes_that_differ_from_the_sheet_are_warned_of(site, sheet, vault_of):
    lines = sheet.read_text().splitlines()
    outcomes = ["label", *("1" for _ in lines[1:])]
    sheet.write_text("\n".join(map(",".join, zip(lines, outcomes, strict=True))) + "\n")
    check(site)
    qc = vault_of(site).cohort(site.study).qc
    (found,) = [r for r in qc.results if r.check == "cohort.sheet-labels"]
    assert found.severity == "warn"
    table = Path(site.home.config().dataset.file).read_text().splitlines()[1:]
    assert found.affected == sum(line.endswith(",0") for line in table)


def test_a_hospital_approves_by_which_profiles_its_files_are_judged(site):
    terms = terms_of(site.study)
    assert terms.as_json()["samples"] == ["fastq.v1"]
    text = io.StringIO()
    Console(file=text, width=80).print(terms_view(terms, (5.0, 0.0, 3.0)))
    assert "patients with a sample whose files pass here, by fastq.v1" in " ".join(
        text.getvalue().split()
    )


def test_the_doctor_misses_a_sheet(site, sheet):
    sheet.unlink()
    (row,) = (found for found in examine(site.home, clock=clock) if found.check == "data")
    assert (row.status, row.code) == ("fail", "DA080")


# -- what goes stale -------------------------------------------------------------------------------


def refusal_of(action):
    with pytest.raises(CordonError) as caught:
        action()
    return caught.value.code, caught.value.why


def code_of(action):
    return refusal_of(action)[0]


def test_nothing_trains_before_files_were_checked_and_only_the_code_leaves(site, vault_of):
    vault = vault_of(site)
    with pytest.raises(DataError) as caught:
        Airlock(vault).answer("qc", site.request("qc"))
    assert (caught.value.code, caught.value.why) == ("DA081", "")
    assert site.charges() == []
    assert "cordon site qc" in caught.value.fix


def test_a_file_that_changed_since_is_refused_and_checking_again_helps(site, sheet, vault_of):
    check(site)
    (sheet.parent / "S3.fastq").write_bytes((sheet.parent / "S4.fastq").read_bytes())
    with pytest.raises(DataError) as caught:
        Airlock(vault_of(site)).answer("qc", site.request("qc"))
    assert (caught.value.code, caught.value.why) == ("DA082", "")
    assert refusal_of(lambda: gate_of(site))[1] == "changed: 1 of 30 files"
    check(site)
    assert gate_of(site).without == set()


@pytest.mark.parametrize("change", ["grow", "same size and time", "gone"])
def test_every_way_in_which_a_file_changes_is_seen(site, sheet, change):
    check(site)
    file = sheet.parent / "S5.fastq"
    before = file.stat()
    if change == "gone":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[30] = ord("A") if data[30] != ord("A") else ord("C")
        file.write_bytes(bytes(data) + (b"" if change != "grow" else b"\n"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert code_of(lambda: gate_of(site)) == "DA082"


def test_a_copy_with_other_times_is_the_same_file(site, sheet):
    check(site)
    before = gate_of(site)
    for file in sheet.parent.glob("*.fastq"):
        os.utime(file, (1, 1))
    assert gate_of(site) == before


def test_checking_again_hashes_only_what_was_touched(site, sheet, monkeypatch):
    check(site)
    real, hashed = sample_record._sha256, []
    monkeypatch.setattr(
        sample_record, "_sha256", lambda path: hashed.append(path.name) or real(path)
    )
    os.utime(sheet.parent / "S6.fastq", (1, 1))
    check(site)
    assert hashed == ["S6.fastq"]
    (record,) = site.home.checked_samples.iterdir()
    record.write_text("{}")
    assert code_of(lambda: gate_of(site)) == "DA081"


def test_another_sheet_profile_or_program_makes_outcomes_stale(site, sheet, tmp_path, monkeypatch):
    check(site)
    with monkeypatch.context() as patch:
        patch.setattr(sample_record, "version", lambda _: "9.9.9")
        assert refusal_of(lambda: gate_of(site))[1] == "changed: a program"
    own = tmp_path / "fastq.yaml"
    own.write_text("cordon: 1\nname: fastq.v1\nmodality: fastq\nchecks: {}\ndescription: ours\n")
    name_sheet(site, sheet, profiles=[str(own)])
    assert refusal_of(lambda: gate_of(site))[1] == "changed: a profile"
    name_sheet(site, sheet)
    sheet.write_text(sheet.read_text().replace("S7.fastq,fastq,P00007", "S7.fastq,fastq,P00008"))
    assert refusal_of(lambda: gate_of(site))[1] == "changed: the sample sheet"


def test_a_file_that_changes_while_it_is_checked_is_refused(site, sheet, monkeypatch):
    real = sample_qc.check_cohort

    def slow(*arguments):
        with (sheet.parent / "S9.fastq").open("ab") as file:
            file.write(b"\n")
        return real(*arguments)

    monkeypatch.setattr(sample_qc, "check_cohort", slow)
    assert code_of(lambda: check(site)) == "DA084"
    assert code_of(lambda: gate_of(site)) == "DA081"


def test_a_sheet_must_be_there_and_say_whose_every_sample_and_file_is(site, sheet):
    text = sheet.read_text()
    nobodys = text.replace("S7.fastq,fastq,P00007", "S7.fastq,fastq,")
    twice = text.replace("S7,S7.fastq", "S7,S8.fastq")
    for wrong, said in (  # by number: names of samples and files may be those of patients
        (nobodys, "entry 8 of the sheet has no patient"),
        (twice, "a file of entry 9 was named before, for another patient or way"),
    ):
        sheet.write_text(wrong)
        assert refusal_of(lambda: check(site)) == ("DA083", said)
    sheet.unlink()
    assert code_of(lambda: check(site)) == "DA080"
    config = yaml.safe_load(site.home.config_file.read_text())
    del config["dataset"]["samples"]
    site.home.config_file.write_text(yaml.safe_dump(config))
    assert code_of(lambda: gate_of(site)) == "DA080"


@pytest.mark.parametrize("name", ["fastq-rna-seq.v1", "clinical-table.v1"])
def test_a_profile_that_is_not_here_or_not_of_files_is_refused(site, name):
    study, _ = site.sign(qc=GATE | {"samples": [name]})
    assert code_of(lambda: gate_of(site, study)) == "PR020"


def test_a_study_of_sample_files_names_patients(site):
    value = site.study.cohort.model_dump(mode="json") | {"patient_id": None}
    assert "needs cohort.patient_id" in refusal_of(lambda: site.sign(cohort=value))[1]
    twice = GATE | {"samples": ["fastq.v1", "fastq.v1"]}
    assert "listed twice" in refusal_of(lambda: site.sign(qc=twice))[1]


# -- a file that several samples share -------------------------------------------------------------


def joint_vcf(path, names):
    head = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=1>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(names),
    ]
    rng = np.random.default_rng(1)
    body = [
        f"1\t{100 + i}\t.\tA\tG\t50\tPASS\t.\tGT\t"
        + "\t".join(rng.choice(["0/0", "0/1", "1/1"], len(names)))
        for i in range(200)
    ]
    path.write_text("\n".join(head + body) + "\n")


def test_a_shared_file_that_breaks_keeps_the_whole_site_out(site, sheet):
    names = [f"S{i}" for i in range(PATIENTS)]
    file = sheet.parent / "joint.vcf"
    joint_vcf(file, names)
    lines = ["sample,file,modality,patient,inside"]
    lines += [f"S{i},joint.vcf,variants,P{i:05d},S{i}" for i in range(PATIENTS)]
    sheet.write_text("\n".join(lines) + "\n")
    study, _ = site.sign(qc=GATE | {"samples": ["variants.v1"]})
    check(site, study)
    assert len(gate_of(site, study).passed) == PATIENTS
    file.write_text(file.read_text().replace("#CHROM", "CHROM"))
    check(site, study)
    assert code_of(lambda: gate_of(site, study)) == "CK111"


def test_a_file_of_several_samples_is_not_taken_for_one_samples_own(site, sheet):
    joint_vcf(sheet.parent / "two.vcf", ["a", "b"])
    sheet.write_text("sample,file,modality,patient\nS0,two.vcf,variants,P00000\n")
    study, _ = site.sign(qc=GATE | {"samples": ["variants.v1"]})
    said = "the file of entry 1 of the sheet holds several samples"
    assert refusal_of(lambda: check(site, study)) == ("DA083", said)


# -- the ledger ------------------------------------------------------------------------------------


def test_the_ledger_registers_table_and_outcomes_as_one_version_of_the_data(site, vault_of):
    check(site)
    vault = vault_of(site)
    vault.cohort(site.study)
    entries = [json.loads(entry) for entry in vault.ledger.log.entries()]
    found = [e["body"]["fingerprint"] for e in entries if e["kind"] == DataRegistered.KIND]
    assert len(set(found)) == len(found) == 2  # at start the table alone
    digest = gate_of(site).digest
    check(site)
    assert gate_of(site).digest == digest  # the same files, so the same version
