"""Arrays that start at a cache line."""

import numpy as np
import pytest

from cordon_common.memory import LINE, from_a_cache_line


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
@pytest.mark.parametrize("size", [1, 31, 5000])
def test_wherever_the_room_begins_the_rest_starts_at_a_cache_line(dtype, size):
    memory = np.zeros(size + 2 * LINE, dtype=dtype)
    for begin in range(LINE):
        room = memory[begin : begin + size + LINE - 1]
        part = from_a_cache_line(room)
        assert part.shape == (size,)
        assert part.ctypes.data % 64 == 0
        assert np.shares_memory(part, room)
        part[:] = begin + 1
        assert (room == begin + 1).sum() == size  # nothing outside the room was written
