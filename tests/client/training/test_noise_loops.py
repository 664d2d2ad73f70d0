"""The compiled noise_loops do what the same lines do as plain Python, and what they say."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_client.training import noise_loops
from cordon_client.training.strips import strips_for

STDS = [0.4, 7.5, 2.0**27, 2.0**57]


def words(count, seed):
    return np.random.default_rng(seed).integers(0, 2**64, size=count, dtype=np.uint64)


def proposals(std, count, seed, propose=noise_loops.propose):
    """Values with certain draws added, the places of open slots, and the words behind both."""
    strips, word = strips_for(std), words(count, seed)
    place = words(count, seed + 1) if strips.narrow_bits > noise_loops.PLACE_BITS else word
    values, still_open = np.zeros(count, dtype=np.int64), np.empty(count + 1, dtype=np.int64)
    found = propose(values, word, place, strips, still_open)
    return values, still_open[:found], (word, place, strips)


def fresh(count, one_word, seed, spare=0):
    """Rows of coin, point, further place, and of a spare proposal's word and place."""
    rows = words(5 * (count + spare), seed + 2).reshape(-1, 5)
    if one_word:
        rows[:, 4] = rows[:, 3]
    return rows


def open_slots_only(std, count, seed):
    """Proposals at places that all name an open slot, one in sixteen of them a spare one."""
    strips = strips_for(std)
    rng = np.random.default_rng(seed)
    slots = strips.certain + rng.integers(0, strips.open.size, count)
    word = (slots.astype(np.uint64) << np.uint64(noise_loops.PLACE_BITS)) | (
        words(count, seed) >> np.uint64(16)
    )
    place = words(count, seed + 1) if strips.narrow_bits > noise_loops.PLACE_BITS else word
    return word, place, strips, np.arange(count), fresh(count, place is word, seed)


@pytest.mark.parametrize("std", STDS)
def test_compiled_proposals_are_those_of_plain_python(std):
    compiled = proposals(std, 3000, 1)
    plain = proposals(std, 3000, 1, propose=noise_loops.propose.py_func)
    np.testing.assert_array_equal(compiled[0], plain[0])
    np.testing.assert_array_equal(compiled[1], plain[1])
    assert compiled[1].size
    assert not compiled[0][compiled[1]].any()


@pytest.mark.parametrize("std", STDS)
def test_a_certain_slot_adds_its_strips_integer_to_what_was_there(std):
    values, still_open, (word, place, strips) = proposals(std, 3000, 2)
    certain = np.setdiff1d(np.arange(3000), still_open)
    for i in certain[:500].tolist():
        slot, width = int(word[i]) >> noise_loops.PLACE_BITS, 1 << strips.narrow_bits
        assert values[i] == int(strips.start[slot]) * width + int(place[i]) % width
        assert slot < strips.certain


@pytest.mark.parametrize("std", STDS)
def test_compiled_verdicts_are_those_of_plain_python(std):
    found = []
    for settle in (noise_loops.settle, noise_loops.settle.py_func):
        values = np.zeros(600, dtype=np.int64)
        word, place, strips, still_open, rows = open_slots_only(std, 600, 5)
        decided, rejected = settle(values, word, place, strips, still_open, rows)
        assert decided == 600
        found.append((values, still_open[:rejected]))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("std", STDS)
def test_floating_point_decides_as_sixty_digits_do(std):
    values = np.zeros(400, dtype=np.int64)
    word, place, strips, still_open, rows = open_slots_only(std, 400, 7)
    decided, rejected = noise_loops.settle(values, word, place, strips, still_open, rows)
    assert decided == 400
    left = set(still_open[:rejected].tolist())
    accepted = 0
    for i in range(400):
        slot = int(word[i]) >> noise_loops.PLACE_BITS
        integer = int(noise_loops.proposed(strips, slot, place[i], rows[i, 2]))
        coin, part = ((int(bits), 64) for bits in rows[i, :2])
        yes = strips.exactly_accepted(slot - strips.certain, coin, integer, part)
        assert values[i] == (integer if yes else 0)
        assert (i in left) == (not yes)
        accepted += yes
    assert 0 < accepted < 400


@pytest.mark.parametrize("std", STDS)
def test_a_rejected_place_takes_spare_proposals_in_turn_until_one_is_accepted(std):
    """Against the same said with lists and 60 digits; who finds no spare one is left over."""
    word, place, strips, still_open, _ = open_slots_only(std, 200, 11)
    rows = fresh(200, place is word, 11, spare=90)
    proposals = list(zip(word.tolist(), place.tolist(), rows[:200, :3].tolist(), strict=True))
    spares = [(row[3], row[4], row[:3]) for row in rows[200:].tolist()]
    expected, left = np.zeros(200, dtype=np.int64), []
    for i, proposal in enumerate(proposals):
        drawn = accepted(strips, *proposal)
        while drawn is None and spares:
            drawn = accepted(strips, *spares.pop(0))
        if drawn is None:
            left.append(i)
        else:
            expected[i] = drawn
    values = np.zeros(200, dtype=np.int64)
    decided, rejected = noise_loops.settle(values, word, place, strips, still_open, rows)
    assert decided == 200
    np.testing.assert_array_equal(values, expected)
    assert still_open[:rejected].tolist() == left
    assert (len(left) > 0) == (len(spares) == 0)


def accepted(strips, word, place, row):
    """The integer of a proposal that is accepted, or None."""
    slot, (coin, part, more) = word >> noise_loops.PLACE_BITS, row
    integer = int(noise_loops.proposed(strips, slot, np.uint64(place), np.uint64(more)))
    if slot < strips.certain:
        return integer
    yes = strips.exactly_accepted(slot - strips.certain, (coin, 64), integer, (part, 64))
    return integer if yes else None


@pytest.mark.parametrize("std", STDS)
def test_an_open_slot_proposes_every_integer_of_its_strip(std):
    """The places of a wide strip come from both words: none is out of reach, none outside."""
    strips = strips_for(std)
    for slot in np.random.default_rng(1).integers(0, strips.open.size, 50).tolist():
        first = int(strips.start[strips.certain + slot]) << strips.narrow_bits
        width = 1 << (strips.narrow_bits + int(strips.more_bits[slot]))
        at = (strips, strips.certain + slot)
        zero, ones = np.uint64(0), np.uint64(2**64 - 1)
        assert noise_loops.proposed(*at, zero, zero) == first
        assert noise_loops.proposed(*at, ones, ones) == first + width - 1
        step = noise_loops.proposed(*at, zero, np.uint64(2**63)) - first
        assert step == (width // 2 if strips.more_bits[slot] else 0)


@given(
    st.lists(st.floats(width=64, min_value=-1e6, max_value=1e6), max_size=20),
    st.sampled_from([1.0, 3.0, 2.0**20, 2.0**-7]),
)
def test_encoding_rounds_to_nearest_ties_to_even(values, grid_per_unit):
    steps = np.empty(len(values), dtype=np.int64)
    assert noise_loops.encode(np.array(values, dtype=np.float64), grid_per_unit, steps)
    # Python rounds a fraction exactly, and ties to even
    assert steps.tolist() == [round(Fraction(value * grid_per_unit)) for value in values]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**62, -(2.0**62), 1e300])
def test_encoding_says_when_a_value_does_not_fit_and_leaves_no_junk(bad):
    vector = np.array([2.5, bad, np.nextafter(2.0**62, 0), 3.5])
    steps = np.full(4, 77, dtype=np.int64)
    assert not noise_loops.encode(vector, 1.0, steps)
    assert steps.tolist() == [2, 0, int(np.nextafter(2.0**62, 0)), 4]
    assert noise_loops.encode(np.delete(vector, 1), 1.0, steps[:3])
