"""Messages as gRPC streams: pieces of at most 1 MiB, the total announced first and enforced."""

from collections.abc import Iterable, Iterator

from cordon_common.errors import ProtocolError
from cordon_common.rpc.vault_pb2 import Chunk

CHUNK_BYTES = 1 << 20
DEFAULT_CAP_BYTES = 256 << 20


def split(data: bytes) -> Iterator[Chunk]:
    """Cut a message into chunks of at most `CHUNK_BYTES`; an empty message is one empty chunk."""
    yield Chunk(data=data[:CHUNK_BYTES], total_bytes=len(data))
    for start in range(CHUNK_BYTES, len(data), CHUNK_BYTES):
        yield Chunk(data=data[start : start + CHUNK_BYTES])


def join(chunks: Iterable[Chunk], *, cap_bytes: int = DEFAULT_CAP_BYTES) -> bytes:
    """Put a message together; never holds more than the announced size, itself at most the cap.

    Raises:
        ProtocolError: PR006 when the message is larger than the cap, PR005 when the pieces do not
            add up to the announced size.
    """
    stream = iter(chunks)
    first = next(stream, None)
    if first is None:
        raise ProtocolError("PR005", why="the stream is empty")
    total_bytes = first.total_bytes
    if total_bytes > cap_bytes:
        raise ProtocolError("PR006", why=f"{total_bytes} bytes; the cap is {cap_bytes}")
    parts = [first.data]
    received_bytes = len(first.data)
    for chunk in stream:
        received_bytes += len(chunk.data)
        if received_bytes > total_bytes or not chunk.data:  # empty ones could go on for ever
            raise ProtocolError("PR005", why="a chunk is empty, or more than was announced")
        parts.append(chunk.data)
    if received_bytes != total_bytes:
        raise ProtocolError("PR005", why="the chunks do not add up to the announced size")
    return b"".join(parts)
