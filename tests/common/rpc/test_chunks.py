"""Chunking is a round trip, and a stream can neither exceed its announcement nor the cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.errors import ProtocolError
from cordon_common.rpc.chunks import CHUNK_BYTES, join, split
from cordon_common.rpc.vault_pb2 import Chunk


@given(st.binary(max_size=300))
def test_a_split_message_joins_to_the_same_bytes(data):
    assert join(split(data)) == data


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5_000_000])
def test_no_chunk_is_larger_than_a_mebibyte_and_only_the_first_announces_the_total(size):
    data = bytes(i % 251 for i in range(1000)) * (size // 1000) + b"x" * (size % 1000)
    chunks = list(split(data))
    assert max(len(chunk.data) for chunk in chunks) <= CHUNK_BYTES
    assert [chunk.total_bytes for chunk in chunks] == [size] + [0] * (len(chunks) - 1)
    assert join(chunks) == data


def test_a_message_over_the_cap_is_refused_before_its_body_is_read():
    def stream():
        yield Chunk(data=b"x", total_bytes=11)
        pytest.fail("the body was read")

    with pytest.raises(ProtocolError) as refused:
        join(stream(), cap_bytes=10)
    assert refused.value.code == "PR006"
    assert "11 bytes" in refused.value.why


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [Chunk(data=b"abc", total_bytes=4)],
        [Chunk(data=b"abc", total_bytes=2)],
        [Chunk(data=b"abc", total_bytes=4), Chunk(data=b"de")],
    ],
    ids=["empty", "short", "long", "long-later"],
)
def test_a_stream_that_does_not_match_its_announcement_is_refused(chunks):
    with pytest.raises(ProtocolError) as refused:
        join(chunks)
    assert refused.value.code == "PR005"


def test_a_stream_that_keeps_sending_is_cut_off_at_the_announced_size():
    sent = []

    def stream():
        yield Chunk(data=b"", total_bytes=3)
        for _ in range(100):
            sent.append(1)
            yield Chunk(data=b"ab")

    with pytest.raises(ProtocolError):
        join(stream())
    assert len(sent) == 2


def test_a_stream_of_empty_chunks_is_cut_off_at_the_first():
    def stream():
        yield Chunk(data=b"x", total_bytes=2)
        yield Chunk()
        pytest.fail("the stream was read on")

    with pytest.raises(ProtocolError, match="PR005"):
        join(stream())
