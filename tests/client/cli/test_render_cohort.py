"""What `cordon site qc` prints of a cohort: each finding once, whoever shares it, the worst first."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from cordon_client.cli.render_cohort import cohort_view
from cordon_client.qc.cohort_value import cohort_value
from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import CohortQc, Modality, SampleFiles, SampleQc, StatColumn
from cordon_client.qc.run_cohort import CohortCheck, PartQc
from cordon_common.qc.profile import builtin_profile

PROFILE = builtin_profile("fastq.v1")
FASTQ = Modality("fastq", "Reads", (StatColumn("reads", "Reads", "", "Reads."),), bool, None, None)


def printed(findings, together=(), *, width=80, unread=0, folder=""):
    """Print a cohort of one list of findings per sample."""
    names = [f"{folder}S{place:02d}" for place in range(1, len(findings) + 1)]
    samples = tuple(SampleFiles(name, (Path("x"),)) for name in names)
    judged = tuple(
        SampleQc(name, {"reads": 1}, tuple(result_of(each, PROFILE) for each in own))
        for name, own in zip(names, findings, strict=True)
    )
    cohort = CohortQc(tuple(result_of(each, PROFILE) for each in together))
    check = CohortCheck((PartQc(FASTQ, PROFILE, samples, judged, cohort),), unread)
    out = Console(file=io.StringIO(), width=width, color_system=None)
    out.print(cohort_view(cohort_value(check)))
    return " ".join(out.file.getvalue().split())


def readable(detail, value=1.0):
    return Finding("sample.readable", value, 1, detail)


@pytest.mark.parametrize("width", [80, 120])
def test_what_forty_samples_share_is_said_once_with_the_first_names(width):
    told = printed([[readable("The file ends early.")]] * 40, width=width)
    assert told.count("The file ends early.") == 1
    assert "Files readable: 40 of 40 samples: S01, S02, S03 and 37 more" in told


def test_the_worst_comes_first_and_what_hits_more_samples_before_what_hits_fewer():
    many, few = Finding("fastq.reads", 5.0), Finding("fastq.q30", 0.1)
    told = printed([[many, few], [many], [many, readable("Cut off.")]])
    order = [told.index(word) for word in ("Files readable", "Enough reads", "Bases at Q30")]
    assert order == sorted(order)


def test_where_samples_differ_the_worst_is_the_example_and_numbers_stand_in_for_missing_words():
    told = printed([[Finding("fastq.q30", 0.6)], [Finding("fastq.q30", 0.2)]])
    assert "2 of 2 samples: S01, S02" in told
    assert "such as S02: 0.2 " in told


def test_one_sample_and_one_file_are_said_in_the_singular():
    told = printed([[readable("Cut off.")], []], unread=1)
    assert "Files readable: S01 Cut off." in told
    assert "1 file in no known format was not read" in told


def test_of_a_long_name_the_last_pieces_stand_in_the_table_and_a_finding_has_the_whole():
    folder = "laboratory_A/intensities_log_UNION.tsv/Ref8537_"
    told = printed([[readable("Cut off.")], []], folder=folder, width=120)
    assert "…UNION.tsv/Ref8537_S02 " in told
    assert f"Files readable: {folder}S01 Cut off." in told
