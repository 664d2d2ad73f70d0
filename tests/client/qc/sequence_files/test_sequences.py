"""Sequences: real files are read, planted faults named, broken files refused."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.sequence_files.modality import Tally, check_sample, recognises
from cordon_client.qc.sequence_files.read import joined, read_sequences
from cordon_common.errors import DataError
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PROFILE = builtin_profile("sequences.v1")


def quiet(done, total):
    assert 0 <= done <= total


def judged(path):
    assert recognises(path)
    found = check_sample(SampleFiles("x", (path,)), PROFILE, quiet)
    return found.stats, {r.check: r.severity for r in found.results}


def test_promoters_and_splice_sites_are_read(shared_data):
    stats, severities = judged(shared_data / "dna_uci/promoters.data")
    assert (stats["sequences"], stats["length"], stats["labels"]) == (106, 57, 2)
    assert set(severities.values()) == {Severity.PASS}
    stats, severities = judged(shared_data / "dna_uci/splice.csv")
    assert (stats["sequences"], stats["length"], stats["labels"]) == (3190, 60, 3)
    assert stats["ambiguous"] > 0
    assert severities["seq.duplicates"] is Severity.WARN


def test_overlapping_k_mers_are_joined_to_the_sequence_they_were_cut_from(shared_data):
    folder = shared_data / "dna_dnabert_prom"
    plain = list(read_sequences(folder / "promoter_labelled_1000.csv"))
    assert list(read_sequences(folder / "dev.tsv")) == plain
    assert len(plain) == 1000


@given(st.text("ACGT", min_size=8, max_size=60), st.integers(3, 7))
def test_cutting_into_k_mers_and_joining_is_the_identity(text, k):
    assert joined(" ".join(text[i : i + k] for i in range(len(text) - k + 1))) == text


@given(st.lists(st.text("ACGT", min_size=1, max_size=12), min_size=1, max_size=30))
def test_either_strand_counts_as_the_same_sequence(sequences):
    pairs = str.maketrans("ACGT", "TGCA")
    tally = Tally()
    for sequence in sequences:
        tally.add(sequence, None)
    distinct = {min(s, s[::-1].translate(pairs)) for s in sequences}
    assert tally.copies == len(sequences) - len(distinct)


def windows(n=60):
    draw = np.random.default_rng(1)
    return ["".join(row) for row in draw.choice(list("ACGT"), (n, 50))]


def write(path, sequences, labels=None):
    labels = labels or ["0", "1"] * (len(sequences) // 2)
    rows = [f"{s},{y}\n" for s, y in zip(sequences, labels, strict=True)]
    path.write_text("sequence,label\n" + "".join(rows))
    return path


FAULTS = {
    "seq.alphabet": lambda s: ["ACG7T" * 10, *s[1:]],
    "seq.ambiguous": lambda s: ["N" * 50, *s[1:]],
    "seq.length": lambda s: [s[0][:20], *s[1:]],
    "seq.duplicates": lambda s: [s[2], s[3], *s[2:]],
    "seq.conflicting-labels": lambda s: [s[1], *s[1:]],
}


@pytest.mark.parametrize("check", FAULTS)
def test_a_planted_fault_is_named(tmp_path, check):
    _, severities = judged(write(tmp_path / "x.csv", FAULTS[check](windows())))
    assert severities[check] in {Severity.WARN, Severity.FAIL}
    _, clean = judged(write(tmp_path / "clean.csv", windows()))
    assert set(clean.values()) == {Severity.PASS}


def test_one_label_nearly_everywhere_is_named(tmp_path):
    _, severities = judged(write(tmp_path / "x.csv", windows(), ["0"] * 59 + ["1"]))
    assert severities["seq.balance"] is Severity.WARN


def test_fasta_of_proteins_and_nucleotides_is_read_also_zipped(tmp_path):
    text = ">a\nMKVL\nWAEQ\n>b\nMKTTXI\n"
    (tmp_path / "p.fasta.gz").write_bytes(gzip.compress(text.encode()))
    stats, severities = judged(tmp_path / "p.fasta.gz")
    assert (stats["sequences"], stats["gc"]) == (2, None)
    assert severities["seq.alphabet"] is Severity.PASS


BROKEN = {
    "empty.fasta": b"",
    "before.fasta": b"ACGT\n>a\nACGT\n",
    "cut.fasta.gz": gzip.compress(b">a\n" + b"ACGT" * 5000)[:40],
    "fields.csv": b"sequence,label\nACGT\n",
    "latin.fasta": b">a\nAC\xffGT\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with pytest.raises(DataError) as caught:
        list(read_sequences(path))
    assert caught.value.code == "DA069"
