"""Comparisons of samples against a second way of computing them."""

import math

import numpy as np
import pytest
from scipy import stats

from cordon_client.qc.matrix.compare import (
    fit_line,
    principal_components,
    robust_z,
    size_factors,
    spearman,
)

RNG = np.random.default_rng(7)
COUNTS = RNG.negative_binomial(2, 0.02, (300, 8)).astype(float)


def test_size_factors_are_medians_of_ratios_computed_by_loops():
    rows = [row for row in COUNTS.tolist() if all(row)]
    means = [math.prod(row) ** (1 / len(row)) for row in rows]
    expected = [
        np.median([row[j] / m for row, m in zip(rows, means, strict=False)]) for j in range(8)
    ]
    np.testing.assert_allclose(size_factors(COUNTS), expected, rtol=1e-9)


def test_a_sample_sequenced_twice_as_deep_has_twice_the_factor():
    deeper = COUNTS.copy()
    deeper[:, 0] *= 2
    ratio = size_factors(deeper) / size_factors(COUNTS)
    assert ratio[0] / ratio[1] == pytest.approx(2)


def test_without_a_feature_seen_everywhere_there_are_no_size_factors():
    assert size_factors(np.eye(4)) is None


def test_rank_correlations_equal_those_of_scipy():
    expected = stats.spearmanr(COUNTS).statistic
    np.testing.assert_allclose(spearman(COUNTS), expected, atol=1e-12)


def test_components_rebuild_the_distances_between_samples():
    scores, shares = principal_components(COUNTS, 8)
    centred = COUNTS - COUNTS.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(scores @ scores.T, centred.T @ centred, atol=1e-6)
    singular = np.linalg.svd(centred, compute_uv=False) ** 2
    np.testing.assert_allclose(shares, (singular / singular.sum())[: len(shares)], atol=1e-12)


def test_a_value_off_a_constant_crowd_is_infinitely_far():
    assert robust_z(np.array([1.0, 1, 1, 1, 2])).tolist() == [0, 0, 0, 0, math.inf]


def test_a_line_is_found_and_a_flat_one_is_not_judged():
    slope, intercept, r2 = fit_line(np.arange(5.0), 2 * np.arange(5.0) + 1)
    assert (slope, intercept, r2) == pytest.approx((2, 1, 1))
    assert fit_line(np.zeros(5), np.arange(5.0)) is None
