"""The noise is Gaussian, of the declared scale, integer, fresh, and never touches a seed."""

import mpmath
import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy import stats

from cordon_client.training import csprng, noise, noise_loops
from cordon_client.training.csprng import WordStream
from cordon_client.training.noise import (
    NoiseSource,
    encode_grid,
    release,
    release_over,
    rounded_gaussian,
)
from cordon_client.training.strips import strips_for
from cordon_common.errors import SystemFault

# Draws cannot be seeded: thresholds are set so that a right generator fails about once in 10^7 runs.
SURE = 1e-7


def test_words_are_the_counter_mode_key_stream(monkeypatch):
    key = bytes(range(32))
    monkeypatch.setattr(csprng.os, "urandom", lambda size: key[:size])
    reference = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * 40))
    stream = WordStream()
    words = np.concatenate([stream.take(7), stream.take(0), stream.take(33)])
    assert words.astype("<u8").tobytes() == reference


def gaussian(count):
    """Standard Gaussian values, on a grid fine enough to pass for continuous."""
    return rounded_gaussian(count, std=2.0**24) / 2.0**24


def test_every_draw_takes_a_fresh_key():
    assert not np.array_equal(gaussian(1000), gaussian(1000))


def test_values_follow_the_gaussian_distribution():
    assert stats.kstest(gaussian(200_000), "norm").pvalue > SURE


def test_the_variance_is_one():
    values = gaussian(1_000_000)
    square = float(np.square(values).sum())
    p = stats.chi2.cdf(square, df=values.size)
    assert min(p, 1 - p) > SURE


@pytest.mark.parametrize("threshold", [2.0, 3.0, 4.0])
def test_tails_hold_their_mass(threshold):
    values = gaussian(3_000_000)
    expected = 2 * stats.norm.sf(threshold)
    outside = int((np.abs(values) > threshold).sum())
    assert stats.binomtest(outside, values.size, expected).pvalue > SURE


def test_neighbouring_values_are_uncorrelated():
    values = gaussian(400_000)
    for lag in (1, noise._CHUNK):
        correlation = float(np.mean(values[lag:] * values[:-lag]))
        assert abs(correlation) < 5.4 / np.sqrt(values.size)
        squares = np.square(values) - 1
        assert abs(float(np.mean(squares[lag:] * squares[:-lag]))) / 2 < 5.4 / np.sqrt(values.size)


def test_the_lowest_bits_of_a_draw_are_uniform():
    """A place within a strip is as likely as any other; the curve tilts by far less than this sees."""
    counts = np.bincount(rounded_gaussian(400_000, std=2.0**30) & 255, minlength=256)
    assert stats.chisquare(counts).pvalue > SURE


@pytest.mark.parametrize("std", [2.0**57, 2.0**55 * 1.3])
def test_the_largest_noise_takes_its_places_from_further_words(std):
    assert strips_for(std).narrow_bits > noise_loops.PLACE_BITS
    draws = rounded_gaussian(50_000, std=std)
    assert stats.kstest(draws / std, "norm").pvalue > SURE
    assert stats.chisquare(np.bincount(draws & 63, minlength=64)).pvalue > SURE


class Replayed(WordStream):
    """A stream that gives the same words again."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def fill(self, words):
        words[:] = self._rng.integers(0, 2**64, size=words.size, dtype=np.uint64)


def test_a_coin_on_the_curve_is_decided_by_further_bits(monkeypatch):
    """The first 64 bits of the coin are what the curve says: only the ones that follow decide."""
    strips, slot = strips_for(2.0**27), 500
    integer = int(strips.start[strips.certain + slot]) << strips.narrow_bits
    with mpmath.workdps(60):
        x = (mpmath.mpf(integer) - 0.5) / mpmath.mpf(2) ** 27
        curve = mpmath.mpf(float(strips.height[slot])) * mpmath.exp(-x * x / 2)
        share = (curve - float(strips.filled[slot])) / float(strips.open[slot])
        coin = int(mpmath.floor(share * mpmath.mpf(2) ** 64))

    class OnTheCurve(WordStream):
        def __init__(self, further):
            word = (strips.certain + slot) << noise_loops.PLACE_BITS
            self._answers = iter([[word], [coin], further])  # all else is zeros

        def fill(self, words):
            answer = np.array(next(self._answers, []), dtype=np.uint64)
            words[:] = 0
            words[: answer.size] = answer

    def decided(further):
        monkeypatch.setattr(noise, "WordStream", lambda: OnTheCurve(further))
        values = np.zeros(1, dtype=np.int64)
        left = NoiseSource(2.0**27).propose(values)
        return values.tolist(), left.tolist()

    assert decided([0] * 4) == ([integer], [])
    assert decided([2**64 - 1] * 4) == ([0], [0])


def test_a_draw_that_asked_for_more_bits_and_those_after_it_are_as_good_as_any(monkeypatch):
    """Every third coin in doubt, of first and of spare proposals: decided in 60 digits instead."""
    doubts = []

    def doubtful(strips, word, place, coin, part, more):
        verdict = judged(strips, word, place, coin, part, more)
        if int(word) >> noise_loops.PLACE_BITS < strips.certain or int(coin) % 3:
            return verdict
        doubts.append(verdict)
        return noise_loops.IN_DOUBT

    judged = noise_loops._judged
    monkeypatch.setattr(noise_loops, "_judged", doubtful)
    monkeypatch.setattr(noise_loops, "settle", noise_loops.settle.py_func)
    std = 2.0**20
    draws = rounded_gaussian(40_000, std=std)
    assert len(doubts) > 100
    assert set(doubts) == {noise_loops.ACCEPTED, noise_loops.REJECTED}
    assert (draws == 0).sum() < 5
    assert stats.kstest(draws / std, "norm").pvalue > SURE
    # open slots hold little of the mass: at such a scale a third of it or more
    draws = np.concatenate([rounded_gaussian(1000, std=2.5) for _ in range(40)])
    expected = stats.norm.sf([0.5, 1.5, 2.5, 3.5], scale=2.5) * draws.size
    found = [(draws > k).sum() for k in range(4)]
    np.testing.assert_allclose(found, expected, atol=5.4 * np.sqrt(draws.size / 4))


@pytest.mark.parametrize("std", [0.3, 1.0, 7.5])
def test_rounded_values_have_the_rounded_gaussians_probabilities(std):
    values = rounded_gaussian(200_000, std=std)
    assert values.dtype == np.int64
    edge = int(np.ceil(3 * std))
    support = np.arange(-edge, edge + 1)
    expected = stats.norm.cdf(support + 0.5, scale=std) - stats.norm.cdf(support - 0.5, scale=std)
    expected = np.append(expected, 1 - expected.sum())
    observed = np.array([(values == k).sum() for k in support])
    observed = np.append(observed, values.size - observed.sum())
    keep = expected * values.size > 5
    statistic = float(
        np.square(observed - expected * values.size)[keep].dot(1 / (expected * values.size)[keep])
    )
    assert stats.chi2.sf(statistic, df=int(keep.sum())) > SURE


def test_a_release_equals_rounding_once_data_and_noise_together(monkeypatch):
    """round(γ s) + round(std g) = round(round(γ s) + std g): post-processing of a Gaussian."""
    values = np.random.default_rng(0).normal(size=5000)
    std = 2.0**22

    class Known(NoiseSource):
        def propose(self, steps):
            steps += np.rint(std * values[: steps.size]).astype(np.int64)
            return np.arange(0)

    monkeypatch.setattr(noise, "NoiseSource", Known)
    vector = np.random.default_rng(1).normal(size=5000)
    released = release(vector, grid_per_unit=2.0**20, noise_std_grid=std)
    together = np.rint(encode_grid(vector, grid_per_unit=2.0**20) + std * values)
    np.testing.assert_array_equal(released, together)


def test_a_release_leaves_the_vector_alone_unless_it_may_take_its_place():
    vector = np.random.default_rng(1).normal(size=300_000)
    kept = vector.copy()
    release(vector, grid_per_unit=2.0**20, noise_std_grid=5.0)
    np.testing.assert_array_equal(vector, kept)
    released = release_over(vector, grid_per_unit=2.0**20, noise_std_grid=5.0)
    assert np.shares_memory(released, vector)
    residual = released - encode_grid(kept, grid_per_unit=2.0**20)
    assert 4.9 < residual.std() < 5.1


def test_rounding_moves_a_coordinate_by_at_most_half_a_step():
    vector = np.random.default_rng(1).normal(size=10_000)
    error = encode_grid(vector, grid_per_unit=1000.0) - 1000.0 * vector
    assert np.abs(error).max() <= 0.5


def test_every_place_of_a_release_gets_its_noise(monkeypatch):
    """Half of all proposals rejected: no place may be left with the bare data."""

    class Hesitant(NoiseSource):
        def propose(self, values):
            again = np.union1d(super().propose(values), np.flatnonzero(values % 2))
            values[again] = 0
            return again

    monkeypatch.setattr(noise, "NoiseSource", Hesitant)
    released = release(np.zeros(300_000), grid_per_unit=1.0, noise_std_grid=2.0**40)
    assert not (released == 0).any()
    assert not (released % 2).any()
    assert stats.kstest(released / 2.0**40, "norm").pvalue > SURE


def test_the_same_words_add_the_same_noise_to_any_data(monkeypatch):
    """What is drawn, rejected and drawn again depends on the words alone."""
    monkeypatch.setattr(noise, "WordStream", lambda: Replayed(3))
    rng = np.random.default_rng(4)
    vectors = [np.zeros(100_000), np.full(100_000, 12345.0), rng.normal(size=100_000) * 1e9]
    drawn = [
        release(vector, grid_per_unit=1.0, noise_std_grid=2.0**40)
        - encode_grid(vector, grid_per_unit=1.0)
        for vector in vectors
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**60])
def test_what_does_not_fit_the_grid_is_refused(value):
    with pytest.raises(SystemFault) as refused:
        release(np.array([0.0, value]), grid_per_unit=16.0, noise_std_grid=1.0)
    assert refused.value.code == "SY041"


@pytest.mark.parametrize("std", [2.0**57 * 1.01, np.inf, np.nan, 0.0, -1.0])
def test_noise_that_does_not_fit_the_grid_is_refused(std):
    with pytest.raises(SystemFault) as refused:
        rounded_gaussian(10, std=std)
    assert refused.value.code == "SY041"


def test_an_empty_vector_is_released_as_an_empty_vector():
    assert release(np.empty(0), grid_per_unit=1.0, noise_std_grid=1.0).shape == (0,)
