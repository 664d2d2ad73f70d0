"""A cohort of any modality: found, checked sample by sample, judged together."""

import pytest

from cordon_client.qc import discover as discovery
from cordon_client.qc.cohort_value import cohort_value
from cordon_client.qc.discover import discover
from cordon_client.qc.modality import CohortQc, Modality, SampleQc, StatColumn
from cordon_client.qc.pool import Where
from cordon_client.qc.run_cohort import check_cohort
from cordon_common.errors import CheckFailed, DataError, UsageError
from cordon_common.qc.profile import Profile
from cordon_common.qc.verdict import Severity


class Silent:
    def __init__(self):
        self.finished_pieces = []

    def reading(self, index, done, total):
        pass

    def finished(self, index):
        self.finished_pieces.append(index)


def check_letters(sample, profile, progress):
    text = sample.files[0].read_text()
    if not text.isalpha():
        raise DataError("DA014", why="it holds something else than letters")
    if text == "crash":
        raise KeyError("the text of this error could hold data")
    progress(len(text), len(text))
    return SampleQc(sample.sample, {"letters": len(text)}, ())


def check_lines(samples, profile, progress):
    lines = dict(line.split(":") for line in samples[0].files[0].read_text().split())
    return tuple(SampleQc(s.sample, {"letters": len(lines[s.inside])}, ()) for s in samples)


def count_samples(samples, found, profile):
    if any(sample.sample.startswith("jinx") for sample in samples):
        raise ZeroDivisionError
    return CohortQc()


COLUMN = StatColumn("letters", "Letters", "letters", "How many letters the file has.", 0)
LETTERS = Modality(
    "clinical-table",
    "Letters",
    (COLUMN,),
    lambda path: path.suffix == ".letters",
    check_letters,
    count_samples,
)
MANY = Modality(
    "many",
    "Many",
    (COLUMN,),
    lambda path: path.suffix == ".many",
    check_letters,
    count_samples,
    samples=lambda path: tuple(line.split(":")[0] for line in path.read_text().split()),
    check_file=check_lines,
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    table = {"clinical-table": LETTERS, "many": MANY}
    monkeypatch.setattr(discovery, "modality_named", table.__getitem__)
    monkeypatch.setattr(
        discovery,
        "modality_of",
        lambda path: next((m for m in table.values() if m.recognises(path)), None),
    )

    def check(files, path="."):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        profile = Profile(cordon=1, name="own.v1", modality="clinical-table")
        profiles = {"many": profile}
        return check_cohort(discover(tmp_path / path), profiles, Where(), Silent())

    return check


def test_every_recognised_file_of_a_folder_is_a_sample_and_the_others_are_counted(run):
    result = run({"a.letters": "abc", "sub/b.letters": "ab", "notes.txt": "x", ".hidden": "x"})
    value = cohort_value(result)
    assert [s["sample"] for s in value["parts"][0]["samples"]] == ["a.letters", "b.letters"]
    assert [s["stats"] for s in value["parts"][0]["samples"]] == [{"letters": 3}, {"letters": 2}]
    assert (value["samples"], value["kept"], value["unread_files"]) == (2, 2, 1)
    assert value["severity"] == "pass"
    result.require_hard()


def test_a_file_that_cannot_be_read_excludes_its_sample_and_no_other(run):
    result = run({"a.letters": "abc", "b.letters": "1"})
    bad = result.parts[0].found[1].results[0]
    assert (bad.check, bad.severity) == ("sample.readable", Severity.FAIL)
    assert bad.detail == (
        "DA014, the data file is neither CSV nor Parquet: it holds something else than letters"
    )
    assert [sample.sample for sample in result.parts[0].kept] == ["a.letters"]
    with pytest.raises(CheckFailed) as failed:
        result.require_hard()
    assert failed.value.code == "CK110"
    assert failed.value.why == "1 of 2 samples is left out; not held: Files readable"


def test_an_unforeseen_error_is_an_error_and_never_tells_what_it_says(run):
    result = run({"a.letters": "crash"})
    crashed = result.parts[0].found[0].results[0]
    assert (crashed.check, crashed.severity) == ("sample.completed", Severity.ERROR)
    assert crashed.detail == "KeyError."
    assert result.parts[0].kept == ()


def test_an_error_in_looking_at_all_samples_loses_nothing_and_is_no_pass(run):
    result = run({"jinx.letters": "abc"})
    assert result.severity is Severity.ERROR
    assert result.parts[0].found[0].stats == {"letters": 3}
    with pytest.raises(CheckFailed):
        result.require_hard()


def test_samples_that_share_a_file_are_checked_in_one_pass_under_their_names(run):
    result = run({"x.many": "p:aaa q:a", "y.many": "p:aa r:aaaa"})
    part = result.parts[0]
    names = ["x.many/p", "x.many/q", "y.many/p", "y.many/r"]
    assert [sample.sample for sample in part.samples] == names
    assert [qc.stats["letters"] for qc in part.found] == [3, 1, 2, 4]


def test_a_path_that_is_not_there_and_a_folder_of_unknown_files_are_refused_by_code(run, tmp_path):
    with pytest.raises(UsageError) as caught:
        run({}, "nowhere")
    assert caught.value.code == "US002"
    with pytest.raises(DataError) as caught:
        run({"notes.txt": "x"})
    assert caught.value.code == "DA030"
    assert "none of the 1 files" in caught.value.why
