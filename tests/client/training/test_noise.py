"""The noise is Gaussian, of the declared scale, integer, fresh, and never touches a seed."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy import stats

from cordon_client.training import csprng, noise
from cordon_client.training.csprng import WordStream
from cordon_client.training.noise import encode_grid, gaussian, release, rounded_gaussian
from cordon_common.errors import SystemFault
from cordon_common.privacy.sensitivity import NOISE_REACH

# Draws cannot be seeded: thresholds are set so that a right generator fails about once in 10^7 runs.
SURE = 1e-7


def test_words_are_the_counter_mode_key_stream(monkeypatch):
    key = bytes(range(32))
    monkeypatch.setattr(csprng.os, "urandom", lambda size: key[:size])
    reference = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(8 * 40))
    stream = WordStream()
    words = np.concatenate([stream.take(7), stream.take(0), stream.take(33)])
    assert words.astype("<u8").tobytes() == reference


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
    half = noise._CHUNK // 2
    for lag in (1, half):  # half a chunk apart: the two values of one Box-Muller pair
        correlation = float(np.mean(values[lag:] * values[:-lag]))
        assert abs(correlation) < 5.4 / np.sqrt(values.size)
        squares = np.square(values) - 1
        assert abs(float(np.mean(squares[lag:] * squares[:-lag]))) / 2 < 5.4 / np.sqrt(values.size)


class FixedWords(WordStream):
    """A stream whose every word is the same; to drive the generator to its edges."""

    def __init__(self, word):
        self._word = np.uint64(word)

    def take(self, count):
        return np.full(count, self._word)

    def fill(self, words):
        words.fill(self._word)


def test_the_generator_reaches_further_than_the_account_assumes():
    smallest = noise._radii(np.zeros(1, dtype=np.uint64), FixedWords(0))
    assert float(smallest) > 13 > NOISE_REACH


def test_the_largest_word_gives_a_radius_of_zero_not_nan():
    assert float(noise._radii(np.full(1, 2**64 - 1, dtype=np.uint64), FixedWords(0))) == 0.0


def test_rare_words_are_refined_without_a_gap():
    """At the switch to 128-bit uniforms the radius keeps falling with u."""
    words = np.array([2**32 - 1, 2**32, 2**32 + 1], dtype=np.uint64)
    low = noise._radii(words, FixedWords(0)).numpy()
    high = noise._radii(words, FixedWords(2**64 - 1)).numpy()
    assert low[0] > high[0] > low[1] > low[2]


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
    values = gaussian(5000)
    monkeypatch.setattr(noise, "gaussian", lambda count: values[:count].copy())
    vector = np.random.default_rng(0).normal(size=5000)
    gamma, std = 2.0**20, 2.0**22
    released = release(vector, grid_per_unit=gamma, noise_std_grid=std)
    together = np.rint(encode_grid(vector, grid_per_unit=gamma) + std * values)
    np.testing.assert_array_equal(released, together)


def test_rounding_moves_a_coordinate_by_at_most_half_a_step():
    vector = np.random.default_rng(1).normal(size=10_000)
    error = encode_grid(vector, grid_per_unit=1000.0) - 1000.0 * vector
    assert np.abs(error).max() <= 0.5


def test_noise_is_drawn_before_it_meets_the_data(monkeypatch):
    order = []
    real_noise, real_grid = noise.rounded_gaussian, noise.encode_grid
    monkeypatch.setattr(
        noise, "rounded_gaussian", lambda *a, **k: order.append("noise") or real_noise(*a, **k)
    )
    monkeypatch.setattr(
        noise, "encode_grid", lambda *a, **k: order.append("data") or real_grid(*a, **k)
    )
    release(np.ones(3), grid_per_unit=10.0, noise_std_grid=5.0)
    assert order == ["noise", "data"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**60])
def test_what_does_not_fit_the_grid_is_refused(value):
    with pytest.raises(SystemFault) as refused:
        release(np.array([0.0, value]), grid_per_unit=16.0, noise_std_grid=1.0)
    assert refused.value.code == "SY041"


def test_noise_that_does_not_fit_the_grid_is_refused():
    with pytest.raises(SystemFault) as refused:
        rounded_gaussian(1000, std=2.0**62)
    assert refused.value.code == "SY041"


def test_an_empty_vector_is_released_as_an_empty_vector():
    assert release(np.empty(0), grid_per_unit=1.0, noise_std_grid=1.0).shape == (0,)
