"""The noise is Gaussian, of the declared scale, integer, fresh, and never touches a seed."""

import mpmath
import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy import stats

from cordon_client.training import csprng, noise
from cordon_client.training.csprng import WordStream
from cordon_client.training.exact_gaussian import rounded_draw
from cordon_client.training.noise import encode_grid, release, rounded_gaussian
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
    half = noise._CHUNK // 2
    for lag in (1, half):  # half a chunk apart: the two values of one Box-Muller pair
        correlation = float(np.mean(values[lag:] * values[:-lag]))
        assert abs(correlation) < 5.4 / np.sqrt(values.size)
        squares = np.square(values) - 1
        assert abs(float(np.mean(squares[lag:] * squares[:-lag]))) / 2 < 5.4 / np.sqrt(values.size)


class CountingWords(WordStream):
    """A stream that counts the words taken beyond the first draw."""

    taken = 0

    def take(self, count):
        self.taken += count
        return super().take(count)


def exact_value(radius, angle, bits=64):
    """sqrt(-2 ln u) · (cos, sin)(2πv) in 60 digits; radius and angle may be fractions of a cell."""
    with mpmath.workdps(60):
        u, v = (mpmath.mpf(x) / mpmath.mpf(2) ** bits for x in (radius, angle))
        length = mpmath.sqrt(-2 * mpmath.log(u))
        return length * mpmath.cos(2 * mpmath.pi * v), length * mpmath.sin(2 * mpmath.pi * v)


EDGE_WORDS = [2**20, 2**21 + 1, 2**32, 2**40, 2**53 + 1, 2**60, 2**63, 2**64 - 2**21]


def edgy_words(count, seed):
    """Random words, with both halves starting at the hardest ones."""
    words = np.random.default_rng(seed).integers(0, 2**64, size=count, dtype=np.uint64)
    words[: len(EDGE_WORDS)] = EDGE_WORDS
    words[count // 2 : count // 2 + len(EDGE_WORDS)] = EDGE_WORDS
    return words


def corners(words, pair):
    """Exact values at the corners of a pair's cell: four of the cosine, four of the sine."""
    half = words.size // 2
    values = [
        exact_value(int(words[pair]) + i or mpmath.mpf("1e-9"), int(words[half + pair]) + j)
        for i in (0, 1)
        for j in (0, 1)
    ]
    return zip(*values, strict=True)


@pytest.mark.parametrize("std", [1.0, 1e5])
def test_the_fast_values_are_within_their_proved_error_of_the_whole_cell(std):
    words = edgy_words(2000, seed=0)
    values = noise._box_muller(words, std)
    bound = [std * noise.error_bound(int(word)) for word in words[:1000]]
    for pair in range(1000):
        for place, exact in zip((pair, 1000 + pair), corners(words, pair), strict=True):
            with mpmath.workdps(60):
                far = max(abs(mpmath.mpf(float(values[place])) - std * end) for end in exact)
                assert far <= bound[pair]


def test_the_error_between_two_words_is_at_most_the_sum_at_the_two():
    rng = np.random.default_rng(1)
    for _ in range(300):
        low, high = np.sort(rng.integers(2**20, 2**64 - 2**20, size=2, dtype=np.uint64))
        between = rng.integers(low, high, size=100, dtype=np.uint64, endpoint=True)
        ends = noise.error_bound(int(low)) + noise.error_bound(int(high))
        assert max(noise.error_bound(int(word)) for word in between) <= ends


def test_the_proved_error_is_small_in_the_middle_and_infinite_at_the_ends():
    middle = (2**55, 2**63, 2**64 - 2**57)
    assert max(noise.error_bound(word) for word in middle) < 2.0**-45
    ends = (0, 2**20 - 1, 2**64 - 2**20, 2**64 - 1)
    assert {noise.error_bound(word) for word in ends} == {np.inf}


@pytest.mark.parametrize("std", [0.7, 2.0**24, 2.0**36, 2.0**44, 2.0**57])
@pytest.mark.parametrize("ends", [[], [0, 2**64 - 1]])
def test_every_integer_is_the_exactly_rounded_value(std, ends):
    """At 2^44 the fast value is hardly ever good enough, at 2^57 never."""
    words = edgy_words(200, seed=2)
    words[50 : 50 + len(ends)] = ends
    draws = np.empty(200, dtype=np.int64)
    noise._rounded_pairs(words, std, WordStream(), draws)
    for pair in range(100):
        for place, values in zip((pair, 100 + pair), corners(words, pair), strict=True):
            with mpmath.workdps(60):
                low, high = min(values) * std, max(values) * std
                assert low - 0.5001 <= int(draws[place]) <= high + 0.5001


def test_the_slow_path_rounds_its_bits_exactly():
    rng = np.random.default_rng(3)
    for _ in range(50):
        first, second = (int.from_bytes(rng.bytes(32), "big") for _ in range(2))
        std = float(2.0 ** rng.uniform(-1, 57))
        with mpmath.workdps(70):
            cosine, _ = exact_value(mpmath.mpf(first) + 0.5, mpmath.mpf(second) + 0.5, bits=256)
            expected = int(mpmath.nint(cosine * std))
        assert rounded_draw((first, 256), (second, 256), std=std) == expected


def test_a_pair_keeps_its_bits_when_it_is_decided_slowly():
    """Sine and cosine of one pair come from one point: their squares add up to the radius."""
    std = 2.0**50
    for first, second in ((2**63, 2**61), (5, 2**64 - 3), (2**64 - 1, 12345)):
        cosine, sine = noise._decided(first, second, std, WordStream())
        length = np.hypot(cosine / std, sine / std)
        with mpmath.workdps(60):
            ends = (mpmath.mpf(first) + 1, mpmath.mpf(first) + mpmath.mpf("1e-9"))
            low, high = (float(exact_value(end, 0)[0]) for end in ends)
        assert low * (1 - 1e-12) <= length <= high * (1 + 1e-12)


def test_the_generator_reaches_further_than_the_account_assumes():
    """The smallest word: only fresh bits say how far out it lies, never less than 9.4."""
    for _ in range(20):
        cosine, sine = noise._decided(0, 0, 2.0**30, WordStream())
        assert cosine / 2.0**30 > 9.4
        assert abs(sine) < 2.0**30


def test_there_is_no_gap_up_to_the_reach_that_the_account_assumes():
    """Radii at the reach are decided by 384 bits: neighbouring cells lie far below one grid step."""
    std = 2.0**57
    cell = int(mpmath.mpf(2) ** 384 * mpmath.exp(-(mpmath.mpf(NOISE_REACH) ** 2) / 2))
    here, next_one = (rounded_draw((n, 384), (0, 384), std=std) for n in (cell, cell + 1))
    assert here / std == pytest.approx(NOISE_REACH, rel=1e-9)
    assert abs(here - next_one) <= 1


def test_most_draws_need_no_further_bits():
    stream = CountingWords()
    words = np.random.default_rng(4).integers(0, 2**64, size=20_000, dtype=np.uint64)
    noise._rounded_pairs(words, 2.0**24, stream, np.empty(20_000, dtype=np.int64))
    assert stream.taken <= 6 * 20


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
    monkeypatch.setattr(
        noise, "rounded_gaussian", lambda count, std: np.rint(std * values[:count]).astype(np.int64)
    )
    vector = np.random.default_rng(1).normal(size=5000)
    released = release(vector, grid_per_unit=2.0**20, noise_std_grid=std)
    together = np.rint(encode_grid(vector, grid_per_unit=2.0**20) + std * values)
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


@pytest.mark.parametrize("std", [2.0**57 * 1.01, np.inf, np.nan, 0.0, -1.0])
def test_noise_that_does_not_fit_the_grid_is_refused(std):
    with pytest.raises(SystemFault) as refused:
        rounded_gaussian(10, std=std)
    assert refused.value.code == "SY041"


def test_an_empty_vector_is_released_as_an_empty_vector():
    assert release(np.empty(0), grid_per_unit=1.0, noise_std_grid=1.0).shape == (0,)
