"""The counts equal a loop over the reads, and merge like numbers, however the reads are split."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon_client.qc.fastq import sketches
from cordon_client.qc.fastq.blocks import block_of
from cordon_client.qc.fastq.measure import GC_UNIT, FastqCounter, FastqMeasures, cell_of
from cordon_client.qc.fastq.metrics import along_the_read, gc_deviation, share_at_least


def read_text():
    bases = st.text("ACGTNacgtn", min_size=0, max_size=90)
    return bases.flatmap(
        lambda s: st.tuples(
            st.text("abcXYZ019:", min_size=1, max_size=9),
            st.just(s),
            st.text("!+@I~#5", min_size=len(s), max_size=len(s)),
        )
    )


def text_of(reads):
    return b"".join(f"@{t}\n{s}\n+\n{q}\n".encode() for t, s, q in reads)


def counted(reads):
    counter = FastqCounter()
    if reads:
        counter.add(block_of(text_of(reads)))
    return counter.measures()


def same(a, b):
    for each in fields(FastqMeasures):
        x, y = getattr(a, each.name), getattr(b, each.name)
        if each.name == "distinct":
            assert (x.level, x.hashes.tolist(), x.counts.tolist()) == (
                y.level,
                y.hashes.tolist(),
                y.counts.tolist(),
            )
        elif each.name == "sample":
            assert x.level == y.level
            assert sorted(zip(x.hashes.tolist(), map(bytes, x.windows), strict=True)) == sorted(
                zip(y.hashes.tolist(), map(bytes, y.windows), strict=True)
            )
        else:
            assert np.array_equal(x, y), each.name


@settings(max_examples=40, deadline=None)
@given(st.lists(read_text(), max_size=12), st.data())
def test_merging_is_associative_commutative_and_blind_to_the_split(reads, data):
    cut = sorted(data.draw(st.lists(st.integers(0, len(reads)), min_size=2, max_size=2)))
    a, b, c = (counted(r) for r in (reads[: cut[0]], reads[cut[0] : cut[1]], reads[cut[1] :]))
    whole = counted(reads)
    same((a + b) + c, whole)
    same(a + (b + c), whole)
    same(c + b + a, whole)


@settings(max_examples=40, deadline=None)
@given(st.lists(read_text(), min_size=1, max_size=12))
def test_counts_equal_a_loop_over_reads(reads):
    got = counted(reads)
    quality = np.zeros_like(got.quality)
    letters = np.zeros_like(got.composition)
    for _, sequence, qualities in reads:
        for position, (base, character) in enumerate(zip(sequence, qualities, strict=True)):
            quality[position, ord(character)] += 1
            letters[position, "ACGT".find(base.upper()) % 5] += 1
    assert np.array_equal(got.quality, quality)
    assert np.array_equal(got.composition, letters)
    means = [sum(map(ord, q)) // len(q) for _, _, q in reads if q]
    assert got.read_quality.tolist() == np.bincount(means, minlength=128).tolist()
    assert (
        got.lengths.tolist()
        == np.bincount([len(s) for _, s, _ in reads], minlength=len(got.lengths)).tolist()
    )
    assert got.gc.sum() == GC_UNIT * sum(1 for _, s, _ in reads if s)
    assert got.distinct.distinct == len({s[:50] if len(s) > 75 else s for _, s, _ in reads})


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=600), st.data())
def test_a_full_sample_is_the_same_in_any_order_and_split(keys, data):
    """With room for 16 entries the level has to rise, and must not depend on when."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketches, "CAPACITY", 16)
        hashes = sketches._mixed(np.array(keys, np.uint64))
        whole = sketches.DistinctSample.of(hashes)
        cut = data.draw(st.integers(0, len(keys)))
        parts = sketches.DistinctSample.of(hashes[cut:]) + sketches.DistinctSample.of(hashes[:cut])
    assert whole.level == parts.level
    assert whole.hashes.tolist() == parts.hashes.tolist()
    assert whole.counts.tolist() == parts.counts.tolist()
    assert len(whole.hashes) <= 16


def test_the_number_of_distinct_sequences_is_estimated_within_two_percent():
    hashes = sketches._mixed(np.arange(1_000_000, dtype=np.uint64))
    sample = sketches.DistinctSample()
    for part in np.array_split(hashes, 7):
        sample += sketches.DistinctSample.of(part, sample.level)
    assert sample.level > 0
    assert sample.distinct == pytest.approx(1_000_000, rel=0.02)


def test_positions_behind_the_exact_ones_fall_into_doubling_groups():
    assert cell_of(np.array([0, 299, 300, 599, 600, 1_199, 1_200])).tolist() == [
        0, 299, 300, 300, 301, 301, 302,
    ]  # fmt: skip


def test_quality_quantiles_and_shares_equal_numpy():
    rng = np.random.default_rng(5)
    phred = rng.integers(0, 42, (101, 30))
    reads = [("r", "A" * 30, "".join(chr(33 + q) for q in row)) for row in phred]
    got = counted(reads)
    along = along_the_read(got)
    assert along.median.tolist() == np.median(phred, axis=0).astype(int).tolist()
    assert along.mean == pytest.approx(phred.mean(axis=0))
    assert share_at_least(got, 30) == pytest.approx((phred >= 30).mean())


def test_gc_of_one_genome_lies_on_the_bell_and_of_two_does_not():
    rng = np.random.default_rng(3)

    def reads(gc, count):
        weak, strong = (1 - gc) / 2, gc / 2
        rows = rng.choice(list("ACGT"), (count, 150), p=[weak, strong, strong, weak])
        return [(str(i), "".join(row), "I" * 150) for i, row in enumerate(rows)]

    one, two = reads(0.42, 3000), reads(0.42, 1500) + reads(0.66, 1500)
    assert gc_deviation(counted(one)) < 0.1
    assert gc_deviation(counted(two)) > 0.3
