"""Every rule of the format is named where it is broken; what is valid is read."""

import gzip

import pytest

from cordon_client.qc.fastq.measure import measure_file
from cordon_client.qc.fastq.modality import check_sample
from cordon_client.qc.fastq.syntax import FastqFault, FastqRule
from cordon_client.qc.modality import SampleFiles
from cordon_common.qc.profile import builtin_profile

GOOD = b"@r1\nACGT\n+\nIIII\n@r2\nACGA\n+r2\n!~II\n"

BROKEN = {
    b"": (FastqRule.EMPTY, None),
    b"r1\nACGT\n+\nIIII\n": (FastqRule.TITLE, 1),
    GOOD + b"@r3\nAC T\n+\nIIII\n": (FastqRule.SEQUENCE, 10),
    GOOD + b"@r3\nAC\tT\n+\nIIII\n": (FastqRule.SEQUENCE, 10),
    GOOD + b"@r3\nACGT\n+r4\nIIII\n": (FastqRule.SEPARATOR, 11),
    GOOD + b"@r3\nACGT\n+\nII I\n": (FastqRule.QUALITY, 12),
    GOOD + b"@r3\nACGT\n+\nIII\x7f\n": (FastqRule.QUALITY, 12),
    GOOD + b"@r3\nACGT\n+\nIIIII\n": (FastqRule.LONG, 12),
    GOOD + b"@r3\nACGT\n+\nIII\n\n": (FastqRule.SHORT, 13),
    GOOD + b"@r3\nACGT\n+\nIII": (FastqRule.TRUNCATED, 12),
    GOOD + b"@r3\nACGT\n": (FastqRule.TRUNCATED, 10),
    GOOD + b"@r3\n": (FastqRule.TRUNCATED, 9),
}


def measured(tmp_path, text, name="x.fastq"):
    path = tmp_path / name
    path.write_bytes(text)
    return measure_file(path, "R1", lambda _: None)


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: repr(text[-24:]))
def test_a_broken_file_is_refused_with_its_rule_and_line(tmp_path, text):
    rule, line = BROKEN[text]
    with pytest.raises(FastqFault) as caught:
        measured(tmp_path, text)
    assert (caught.value.rule, caught.value.line, caught.value.code) == (rule, line, "DA040")
    assert "x.fastq" not in caught.value.what + caught.value.why


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.rstrip(b"\n"),
        GOOD + b"\n\n",
        b"@r1\nAC\nGT\n+\nII\nII\n@r2\nACGA\n+\n@+II\n",
        b"@r1\nACGT\n+\nIIII\n@r2\nACG\nA\n+r2\n!~I\nI\n",
        b"@r0\n\n+\n\n" + GOOD,
    ],
    ids=["plain", "crlf", "no last newline", "blank end", "wrapped", "wrapped later", "empty read"],
)
def test_valid_files_are_read_whatever_their_lines(tmp_path, text):
    assert measured(tmp_path, text).bases == 8


def test_a_cut_gzip_stream_is_named_as_such(tmp_path):
    packed = gzip.compress(GOOD * 5000)
    with pytest.raises(FastqFault) as caught:
        measured(tmp_path, packed[: len(packed) // 2], "x.fastq.gz")
    assert caught.value.rule is FastqRule.COMPRESSION


def test_all_broken_files_of_the_collection_are_refused_and_all_valid_ones_read(shared_data):
    folder = shared_data / "fastq_shared"
    broken = sorted((folder / "bad").iterdir())
    assert len(broken) == 23
    for path in broken:
        with pytest.raises(FastqFault):
            measure_file(path, "R1", lambda _: None)
    for path in sorted((folder / "good").iterdir()):
        assert measure_file(path, "R1", lambda _: None).reads


def _pair(tmp_path, first, second):
    (tmp_path / "s_R1.fastq").write_bytes(first)
    (tmp_path / "s_R2.fastq").write_bytes(second)
    files = (tmp_path / "s_R1.fastq", tmp_path / "s_R2.fastq")
    return check_sample(SampleFiles("s", files), builtin_profile("fastq.v1"), lambda *_: None)


def test_mates_named_in_either_style_are_accepted(tmp_path):
    first = b"@r1/1 x\nACGT\n+\nIIII\n@r2 1:N:0\nACGT\n+\nIIII\n"
    second = b"@r1/2 y\nAAAA\n+\nIIII\n@r2 2:N:0\nACGT\n+\nIIII\n"
    assert _pair(tmp_path, first, second).stats["reads"] == 4


@pytest.mark.parametrize("swap", [False, True])
def test_a_missing_mate_is_found_whichever_file_is_longer(tmp_path, swap):
    files = [GOOD * 4000, GOOD * 4000 + GOOD[:16]]
    with pytest.raises(FastqFault) as caught:
        _pair(tmp_path, *(reversed(files) if swap else files))
    assert caught.value.rule is FastqRule.MATE_COUNT


def test_the_first_pair_with_different_names_is_numbered(tmp_path):
    with pytest.raises(FastqFault) as caught:
        _pair(tmp_path, GOOD, GOOD.replace(b"@r2", b"@r9").replace(b"+r2", b"+"))
    assert caught.value.rule is FastqRule.MATE_NAME
    assert "read 2" in caught.value.what
