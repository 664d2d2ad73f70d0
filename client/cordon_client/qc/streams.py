"""Reading compressed files once, from front to end, while telling how far one is."""

from __future__ import annotations

import io
import lzma
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from xopen import xopen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""What the decompressors raise for a stream that is cut off or damaged."""


class CountingReader(io.RawIOBase):
    """A file that tells how many (compressed) bytes it has handed out so far."""

    def __init__(self, raw: io.RawIOBase, told: Callable[[int], None]) -> None:
        super().__init__()
        self._raw, self._told, self._done = raw, told, 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the buffer protocol has no type
        """Read into the buffer and tell how far the file is read."""
        count = self._raw.readinto(buffer) or 0
        self._done += count
        self._told(self._done)
        return count


@contextmanager
def opened(path: Path, told: Callable[[int], None]) -> Iterator[BinaryIO]:
    """Open a plain, gzip, bgzip, bzip2 or xz file by its content; `told` gets the bytes read so far.

    The decompressors raise one of `DAMAGED` when the stream is incomplete.
    """
    with path.open("rb", buffering=0) as raw:
        counted = io.BufferedReader(CountingReader(raw, told), 2**18)
        with xopen(counted, "rb", threads=0) as stream:
            yield stream
