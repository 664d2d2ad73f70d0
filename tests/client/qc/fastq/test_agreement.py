"""The same file through FastQC and fastp: shared metrics agree."""

import json
import subprocess
import zipfile

import numpy as np
import pytest
from sequencing import FREQUENT, write_reads

from cordon_client.qc.fastq import metrics
from cordon_client.qc.fastq.measure import GC_UNIT, measure_file

READS = 20_000


@pytest.fixture(scope="module")
def reads_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("reads") / "sim.fastq"
    # 100 bases: FastQC takes GC from the first whole hundred of a read only.
    write_reads(path, READS, length=100)
    return path


@pytest.fixture(scope="module")
def ours(reads_file):
    return measure_file(reads_file, "R1", lambda _: None)


@pytest.fixture(scope="module")
def fastqc(reads_file):
    subprocess.run(
        ["fastqc", "-q", "-t", "1", "--nogroup", "-o", reads_file.parent, reads_file], check=True
    )
    with zipfile.ZipFile(reads_file.parent / "sim_fastqc.zip") as archive:
        text = archive.read("sim_fastqc/fastqc_data.txt").decode()
    modules = {}
    for part in text.split(">>END_MODULE"):
        lines = part.strip().splitlines()
        start = next((i for i, line in enumerate(lines) if line.startswith(">>")), None)
        if start is not None:
            name, verdict = lines[start][2:].split("\t")
            rows = [line.split("\t") for line in lines[start + 1 :]]
            modules[name] = verdict, rows
    return modules


def rows(module):
    return [row for row in module[1] if not row[0].startswith("#")]


def test_fastp_counts_the_same_reads_bases_and_q20_q30(reads_file, ours):
    report = reads_file.parent / "fastp.json"
    subprocess.run(
        ["fastp", "-w", "1", "-i", reads_file, "-j", report, "-h", "/dev/null"],
        check=True,
        capture_output=True,
    )
    before = json.loads(report.read_text())["summary"]["before_filtering"]
    assert ours.reads == before["total_reads"]
    assert ours.bases == before["total_bases"]
    assert ours.quality[:, 33 + 20 :].sum() == before["q20_bases"]
    assert ours.quality[:, 33 + 30 :].sum() == before["q30_bases"]
    strong = int(ours.composition[:, 1:3].sum())
    assert strong / ours.bases == pytest.approx(before["gc_content"], abs=1e-6)


def test_fastqc_finds_the_same_quality_at_every_position(ours, fastqc):
    theirs = rows(fastqc["Per base sequence quality"])
    along = metrics.along_the_read(ours)
    assert along.mean == pytest.approx([float(row[1]) for row in theirs], abs=1e-9)
    # FastQC interpolates nothing and counts the median's own read differently: one step at most.
    assert along.median == pytest.approx([float(row[2]) for row in theirs], abs=1)
    assert along.lower_quartile == pytest.approx([float(row[3]) for row in theirs], abs=1)


def test_fastqc_finds_the_same_read_qualities_composition_and_unknown_bases(ours, fastqc):
    theirs = {int(row[0]): float(row[1]) for row in rows(fastqc["Per sequence quality scores"])}
    assert {q - 33: n for q, n in enumerate(ours.read_quality.tolist()) if n} == theirs
    percent = metrics.composition_shares(ours) * 100
    for row, (_, g, a, t, c) in zip(
        percent, rows(fastqc["Per base sequence content"]), strict=True
    ):
        assert row.tolist() == pytest.approx([float(a), float(c), float(g), float(t)], abs=1e-6)
    unknown = [float(row[1]) for row in rows(fastqc["Per base N content"])]
    assert 100 * metrics.unknown_share(ours) == pytest.approx(max(unknown), abs=1e-6)


def test_fastqc_finds_the_same_gc_distribution_adapters_and_frequent_sequence(ours, fastqc):
    theirs = [float(row[1]) for row in rows(fastqc["Per sequence GC content"])]
    # FastQC lets a read of 100 bases count half for its percent and half for the next one.
    gc = np.convolve(ours.gc / GC_UNIT, [0.5, 0.5])[:101]
    assert sum(abs(a - b) for a, b in zip(gc, theirs, strict=True)) / READS < 0.001
    adapters = rows(fastqc["Adapter Content"])
    assert 100 * metrics.adapter_share(ours) == pytest.approx(float(adapters[-1][1]), abs=0.1)
    [(sequence, _, percent, _)] = rows(fastqc["Overrepresented sequences"])
    [(ours_sequence, share)] = ours.sample.frequent(0.001)
    assert ours_sequence == sequence.encode() == FREQUENT[:50]
    assert 100 * share == pytest.approx(float(percent), abs=0.01)


def test_fastqc_finds_the_same_duplication(ours, fastqc):
    # Every distinct sequence fits into both samples here, so both are exact.
    [total] = [row for row in fastqc["Sequence Duplication Levels"][1] if "Total" in row[0]]
    assert 100 * (1 - metrics.duplicate_share(ours)) == pytest.approx(float(total[1]), abs=0.1)
