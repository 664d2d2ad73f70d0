"""The table of strips: its slots are whole numbers, and the curve runs within the open ones."""

import mpmath
import numpy as np
import pytest

from cordon_client.training import noise_loops
from cordon_client.training.strips import REACH, SLOT_BITS, strips_for
from cordon_common.privacy.sensitivity import NOISE_REACH

STDS = [0.02, 0.3, 1.0, 7.5, 655.36, 1.7e5, 2.0**27, 3e9, 2.0**57]


def origins(table):
    """The first integer of every slot's strip, int64 [2^16]."""
    return table.start.astype(np.int64) << table.narrow_bits


def by_strip(std):
    """(first integer, m, slots certain, slots open, K·2^m) of every strip, the spare slots apart."""
    table = strips_for(std)
    first, at, open_ = np.unique(
        origins(table)[table.certain :][table.height > 0], return_index=True, return_counts=True
    )
    kept = np.flatnonzero(table.height > 0)[at]
    bits = table.narrow_bits + table.more_bits[kept].astype(np.int64)
    return table, first, bits, table.filled[kept], open_, table.height[kept]


@pytest.mark.parametrize("std", STDS)
def test_strips_lie_side_by_side_and_cover_what_the_account_assumes(std):
    _, first, bits, *_ = by_strip(std)
    assert np.array_equal(first[1:], first[:-1] + (1 << bits[:-1]))
    assert first[0] <= -REACH * std
    assert first[-1] + (1 << int(bits[-1])) - 1 >= REACH * std
    assert REACH > NOISE_REACH


@pytest.mark.parametrize("std", STDS)
def test_the_table_holds_each_strips_slots_and_no_others(std):
    table, first, _, filled, open_, _ = by_strip(std)
    assert table.start.size == 2**SLOT_BITS
    starts, counts = np.unique(origins(table)[: table.certain], return_counts=True)
    certain = dict(zip(starts.tolist(), counts.tolist(), strict=True))
    assert [certain.get(k, 0) for k in first.tolist()] == filled.tolist()
    spare = int((table.height == 0).sum())
    assert table.certain + int(open_.sum()) + spare == 2**SLOT_BITS
    assert np.array_equal(np.unique(table.open[table.height > 0]), np.unique(open_))


@pytest.mark.parametrize("std", STDS)
def test_the_curve_never_leaves_a_strips_open_slots(std):
    """In 60 digits, at the ends of every strip and at 0: the curve has no other extremes."""
    _, first, bits, filled, open_, height = by_strip(std)
    assert len(set(height / 2.0**bits)) == 1  # one scale for all: the accepted law is the Gaussian
    with mpmath.workdps(60):
        for low, m, certain, more, top in zip(first, bits, filled, open_, height, strict=True):
            ends = [mpmath.mpf(int(low)) - 0.5, mpmath.mpf(int(low) + (1 << int(m))) - 0.5]
            points = [*ends, mpmath.mpf(0)] if ends[0] < 0 < ends[1] else ends
            for x in points:
                reached = mpmath.mpf(float(top)) * mpmath.exp(-((x / mpmath.mpf(std)) ** 2) / 2)
                assert certain <= reached <= certain + int(more)


@pytest.mark.parametrize("std", [7.5, 2.0**27, 2.0**57])
def test_the_curve_in_float64_is_within_its_stated_error(std):
    table = strips_for(std)
    rng = np.random.default_rng(0)
    slots = np.flatnonzero(table.height > 0)[rng.integers(0, (table.height > 0).sum(), 400)]
    points = origins(table)[table.certain :][slots] + rng.random(400) * 2.0**table.narrow_bits
    found = [
        noise_loops.reached(table, slot, point) for slot, point in zip(slots, points, strict=True)
    ]
    with mpmath.workdps(60):
        for slot, x, value in zip(slots, points, found, strict=True):
            ratio = mpmath.mpf(float(x)) / mpmath.mpf(std)
            exact = mpmath.mpf(float(table.height[slot])) * mpmath.exp(-(ratio**2) / 2)
            assert abs(mpmath.mpf(float(value)) - exact) <= exact * mpmath.mpf(2) ** -42


@pytest.mark.parametrize("std", STDS)
def test_few_draws_are_not_decided_at_once(std):
    assert strips_for(std).certain > 0.9 * 2**SLOT_BITS or std < 8


def test_the_slow_decision_is_the_curve_in_sixty_digits():
    table = strips_for(1.7e5)
    rng = np.random.default_rng(3)
    for slot in rng.integers(0, table.open.size, 60):
        coin, part = (int.from_bytes(rng.bytes(40), "big") for _ in range(2))
        integer = int(origins(table)[table.certain + slot])
        with mpmath.workdps(80):
            x = mpmath.mpf(integer) - 0.5 + mpmath.mpf(part) / mpmath.mpf(2) ** 320
            height = mpmath.mpf(float(table.height[slot]))
            reached = height * mpmath.exp(-((x / mpmath.mpf(1.7e5)) ** 2) / 2)
            share = mpmath.mpf(coin) / mpmath.mpf(2) ** 320
            expected = float(table.filled[slot]) + share * float(table.open[slot]) < reached
        assert table.exactly_accepted(int(slot), (coin, 320), integer, (part, 320)) == expected
