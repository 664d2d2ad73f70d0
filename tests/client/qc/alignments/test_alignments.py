"""Counts of alignments equal samtools, mosdepth and a loop over positions; faults are found."""

import gzip
import math
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from alignment_files import CONTIGS, write_alignments, write_reference
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon_client.qc.alignments import metrics
from cordon_client.qc.alignments.depth import DEEPEST, DepthCounter, PlaceCounter
from cordon_client.qc.alignments.measure import (
    AlignmentMeasures,
    has_end_marker,
    measure_alignments,
)
from cordon_client.qc.alignments.modality import check_sample
from cordon_client.qc.modality import SampleFiles
from cordon_common.errors import DataError
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PAIRS = 6000


def samtools(*arguments):
    return subprocess.run(
        ["samtools", *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout


def counted(path, reference=None):
    return measure_alignments(path, reference, lambda _: None)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bam")
    write_reference(folder / "ref.fa")
    write_alignments(folder / "a.bam", PAIRS, reference=folder / "ref.fa")
    return folder


@pytest.fixture(scope="module")
def ours(folder):
    return counted(folder / "a.bam", folder / "ref.fa")


def test_samtools_flagstat_counts_the_same(folder, ours):
    rows = {}
    for line in samtools("flagstat", "-O", "tsv", folder / "a.bam").splitlines():
        passed, _, name = line.split("\t")
        rows[name] = passed
    expected = {
        "total": "total (QC-passed reads + QC-failed reads)",
        "primary": "primary",
        "duplicates": "duplicates",
        "primary_duplicates": "primary duplicates",
        "mapped": "mapped",
        "primary_mapped": "primary mapped",
        "paired": "paired in sequencing",
        "proper": "properly paired",
        "singletons": "singletons",
    }
    for name, theirs in expected.items():
        assert ours.flags[name] == int(rows[theirs]), name


def test_samtools_stats_sees_the_same_inserts_and_depth_the_same_positions(folder, ours):
    depths = Counter(
        int(line.split("\t")[2]) for line in samtools("depth", "-aa", folder / "a.bam").splitlines()
    )
    expected = np.zeros(DEEPEST + 1, int)
    for depth, positions in depths.items():
        expected[depth] += positions
    assert ours.depth.tolist() == expected.tolist()
    stats = samtools("stats", "-i", "2000", "-m", "1.0", "-d", folder / "a.bam").splitlines()
    inserts = [line.split("\t")[1:3] for line in stats if line.startswith("IS\t")]
    theirs = {int(size): int(pairs) for size, pairs in inserts if int(pairs)}
    assert {size: int(n) for size, n in enumerate(ours.inserts) if n} == theirs


def test_mosdepth_finds_the_same_mean_and_breadth(folder, ours):
    samtools("index", folder / "a.bam")
    # Debian's mosdepth looks for the library under its development name.
    [library] = Path("/usr/lib").glob("*/libhts.so.3")
    (folder / "lib").mkdir()
    (folder / "lib" / "libhts.so").symlink_to(library)
    subprocess.run(
        ["mosdepth", "-n", folder / "m", folder / "a.bam"],
        check=True,
        env={"LD_LIBRARY_PATH": str(folder / "lib"), "PATH": os.environ["PATH"]},
    )
    rows = [
        line.split("\t")
        for line in (folder / "m.mosdepth.global.dist.txt").read_text().splitlines()
    ]
    breadth = {int(depth): float(share) for name, depth, share in rows if name == "total"}
    # mosdepth leaves out contigs without reads, and counts overlapping mates once (few here).
    whole = sum(length for _, length in CONTIGS)
    read = sum(length for _, length in CONTIGS[:2])
    for least in (1, 10, 20):
        covered = metrics.breadth(ours, least) * whole / read
        assert covered == pytest.approx(breadth.get(least, 0.0), abs=0.02)


def test_cram_counts_as_the_bam_and_without_its_reference_is_refused_offline(folder, tmp_path):
    (tmp_path / "genome").mkdir()
    write_reference(tmp_path / "genome" / "ref.fa")
    write_alignments(tmp_path / "alone.cram", 500, reference=tmp_path / "genome" / "ref.fa")
    write_alignments(tmp_path / "a.bam", 500, reference=folder / "ref.fa")
    a, b = counted(tmp_path / "alone.cram", folder / "ref.fa"), counted(tmp_path / "a.bam")
    assert (a.flags, a.depth.tolist(), a.places.tolist()) == (
        b.flags, b.depth.tolist(), b.places.tolist(),
    )  # fmt: skip
    shutil.rmtree(tmp_path / "genome")
    with pytest.raises(DataError) as caught:
        counted(tmp_path / "alone.cram")
    assert caught.value.code == "DA043"


def test_a_file_cut_anywhere_is_noticed(folder, tmp_path):
    whole = (folder / "a.bam").read_bytes()
    assert has_end_marker(folder / "a.bam")
    cut = tmp_path / "cut.bam"
    cut.write_bytes(whole[:-28])
    assert not has_end_marker(cut)
    qc = check_sample(SampleFiles("s", (cut,)), builtin_profile("alignments.v1"), lambda *_: None)
    [found] = [r for r in qc.results if r.check == "bam.complete"]
    assert found.severity is Severity.FAIL
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError) as caught:
        counted(cut)
    assert caught.value.code == "DA041"


@pytest.mark.parametrize("content", [b"", b"no alignments", gzip.compress(b"BAM\x01")])
def test_what_is_no_alignment_file_is_refused(tmp_path, content):
    path = tmp_path / "x.bam"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        counted(path)
    assert caught.value.code == "DA041"


def test_an_unsorted_file_is_counted_as_far_as_that_makes_sense(folder, tmp_path):
    path = tmp_path / "u.bam"
    write_alignments(path, 300, reference=folder / "ref.fa", ordered=False)
    measures, is_sorted = measure_alignments(path, None, lambda _: None)
    assert not is_sorted
    assert measures.flags["total"] == 600
    assert metrics.mean_depth(measures) is None
    assert metrics.non_redundant(measures) is None


def test_lost_gc_rich_regions_show_as_gc_bias(folder, tmp_path, ours):
    path = tmp_path / "biased.bam"
    write_alignments(path, PAIRS, reference=folder / "ref.fa", gc_loss=0.8)
    assert metrics.gc_bias(counted(path, folder / "ref.fa")) > 0.2 > metrics.gc_bias(ours)


def test_contigs_split_over_files_add_up(folder, ours, tmp_path):
    samtools("index", folder / "a.bam")
    merged = AlignmentMeasures()
    for name, _ in CONTIGS:
        samtools("view", "-b", "-o", tmp_path / f"{name}.bam", folder / "a.bam", name)
        merged = counted(tmp_path / f"{name}.bam") + merged
    whole = sum(length for _, length in CONTIGS)
    assert merged.depth[1:].tolist() == ours.depth[1:].tolist()
    assert merged.depth.sum() == len(CONTIGS) * whole
    assert merged.places.tolist() == ours.places.tolist()
    assert merged.flags["mapped"] == ours.flags["mapped"]


INTERVALS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=30)


@settings(max_examples=100)
@given(INTERVALS, st.integers(1, 7))
def test_depth_in_batches_equals_a_loop_over_positions(intervals, size):
    ordered = sorted(intervals)
    expected = np.zeros(60, int)
    for start, length in ordered:
        expected[start : start + length] += 1
    counter = DepthCounter()
    for at in range(0, len(ordered), size):
        starts = np.array([s for s, _ in ordered[at : at + size]], np.int64)
        lengths = np.array([n for _, n in ordered[at : at + size]], np.int64)
        counter.add(starts, starts + lengths, int(starts[-1]))
    counter.end(60)
    assert counter.positions.tolist() == np.bincount(expected, minlength=DEEPEST + 1).tolist()


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=40), st.integers(1, 9))
def test_places_in_batches_equal_a_counter(fragments, size):
    ordered = sorted(fragments)
    counter = PlaceCounter()
    for at in range(0, len(ordered), size):
        part = np.array(ordered[at : at + size], np.int64)
        counter.add(part[:, 0], part[:, 1])
    counter.end()
    times = Counter(ordered).values()
    assert counter.total == len(ordered)
    assert counter.distinct == len(times)
    assert counter.once == sum(n == 1 for n in times)
    assert counter.twice == sum(n == 2 for n in times)


@given(st.integers(100, 10**6), st.floats(0.05, 3))
def test_the_library_size_solves_its_equation(size, fraction):
    total = int(size * fraction) + 1
    distinct = int(size * (1 - math.exp(-total / size)))
    measures = AlignmentMeasures()
    measures.places[:2] = total, distinct
    estimate = metrics.library_size(measures)
    if estimate is not None:
        assert estimate * -math.expm1(-total / estimate) == pytest.approx(distinct, rel=1e-6)
