"""AUC and calibration from noised histograms: right on average, honest about what they cannot tell."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from cordon_common.evaluation import (
    ScoreHistogram,
    bin_of,
    calibration_table,
    estimate_auc,
    from_release,
)


def score_shares(auc, spread, bins):
    """Bin shares of logit-normal scores of both classes with the given AUC: (negative, positive)."""
    z = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    half = stats.norm.ppf(auc) / np.sqrt(2)
    shares = []
    for shift in (-half, half):
        scores = 1 / (1 + np.exp(-spread * (z + shift)))
        shares.append(np.bincount(bin_of(scores, bins), minlength=bins) / z.size)
    return shares


def exact_auc(positive, negative):
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / (positive.sum() * negative.sum()))


def test_bins_close_at_one():
    np.testing.assert_array_equal(
        bin_of(np.array([0.0, 0.0999, 0.1, 0.95, 1.0]), 10), [0, 0, 1, 9, 9]
    )


@pytest.mark.parametrize("bins", [2, 7, 50])
def test_without_noise_the_auc_is_that_of_the_binned_scores(bins):
    rng = np.random.default_rng(bins)
    labels = rng.integers(0, 2, 300)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    cells = bin_of(scores, bins)
    histogram = ScoreHistogram(
        np.bincount(cells[labels == 0], minlength=bins).astype(float),
        np.bincount(cells[labels == 1], minlength=bins).astype(float),
        0.0,
    )
    estimate = estimate_auc(histogram)
    assert estimate.auc == pytest.approx(roc_auc_score(labels, cells))
    assert estimate.low < estimate.auc < estimate.high


def test_a_release_is_read_back_in_patients():
    histogram = from_release(
        np.array([8, 16, -4, 40], dtype=np.int64), grid_per_unit=8.0, noise_std_grid=12.0
    )
    np.testing.assert_array_equal(histogram.negatives, [1.0, 2.0])
    np.testing.assert_array_equal(histogram.positives, [-0.5, 5.0])
    assert histogram.noise_std == 1.5


def test_sites_add_up_with_their_noise():
    one = ScoreHistogram(np.array([1.0, 2.0]), np.array([3.0, 4.0]), 3.0)
    both = one + ScoreHistogram(np.array([10.0, 0.0]), np.array([0.0, 1.0]), 4.0)
    np.testing.assert_array_equal(both.negatives, [11.0, 2.0])
    np.testing.assert_array_equal(both.positives, [3.0, 5.0])
    assert both.noise_std == pytest.approx(5.0)


@pytest.mark.parametrize("auc", [0.55, 0.8, 0.95, 0.99])
@pytest.mark.parametrize(("negatives", "positives"), [(45, 30), (200, 40), (900, 700)])
@pytest.mark.parametrize("noise_std", [0.0, 1.5, 4.0])
def test_the_interval_holds_the_true_auc_as_often_as_it_says(auc, negatives, positives, noise_std):
    """Coverage over 600 simulated sites; 1.6 % is twice its own standard error."""
    rng = np.random.default_rng(int(auc * 100) + negatives)
    negative_shares, positive_shares = score_shares(auc, 1.5, 10)
    truth = exact_auc(positive_shares, negative_shares)
    held = tried = 0
    for _ in range(600):
        histogram = ScoreHistogram(
            rng.multinomial(negatives, negative_shares) + noise_std * rng.normal(size=10),
            rng.multinomial(positives, positive_shares) + noise_std * rng.normal(size=10),
            noise_std,
        )
        estimate = estimate_auc(histogram)
        if estimate.estimable:
            tried += 1
            held += estimate.low <= truth <= estimate.high
    assert tried > 200
    assert held / tried >= 0.93 - 0.016


def test_the_estimate_is_unbiased_where_noise_is_moderate():
    rng = np.random.default_rng(4)
    negative_shares, positive_shares = score_shares(0.85, 1.5, 10)
    truth = exact_auc(positive_shares, negative_shares)
    estimates = [
        estimate_auc(
            ScoreHistogram(
                200 * negative_shares + 2 * rng.normal(size=10),
                150 * positive_shares + 2 * rng.normal(size=10),
                2.0,
            )
        ).auc
        for _ in range(800)
    ]
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * np.std(estimates) / np.sqrt(800))


def test_noise_widens_the_interval():
    negative, positive = (100 * shares for shares in score_shares(0.8, 1.5, 10))
    estimates = [estimate_auc(ScoreHistogram(negative, positive, s)) for s in (0.0, 1.0, 3.0)]
    widths = [estimate.high - estimate.low for estimate in estimates]
    assert widths[0] < widths[1] < widths[2]


def test_too_few_positives_are_not_estimable():
    negative = 100 * score_shares(0.8, 1.5, 10)[0]
    few = np.zeros(10)
    few[8] = 12.0
    for positive, noise in ((few, 2.0), (np.zeros(10), 0.0), (-few, 1.0)):
        estimate = estimate_auc(ScoreHistogram(negative, positive, noise))
        assert not estimate.estimable
        assert estimate.auc is estimate.low is estimate.high is None
    assert estimate_auc(ScoreHistogram(negative, few, 1.0)).estimable


def test_a_model_that_ranks_backwards_is_reported_as_such():
    negative, positive = (200 * shares for shares in score_shares(0.9, 1.5, 10))
    estimate = estimate_auc(ScoreHistogram(positive, negative, 1.0))
    assert estimate.high < 0.2


def test_calibration_rows_hold_the_observed_share():
    negative, positive = np.array([90.0, 50.0, 2.0]), np.array([10.0, 50.0, 0.5])
    rows = calibration_table(ScoreHistogram(negative, positive, 2.0))
    assert [row.low for row in rows] == pytest.approx([0.0, 1 / 3, 2 / 3])
    assert rows[0].positive_share == pytest.approx(0.1)
    assert rows[0].share_low < 0.1 < rows[0].share_high
    assert rows[1].share_low < 0.5 < rows[1].share_high
    assert rows[2].positive_share is None


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_calibration_intervals_hold_the_true_share_as_often_as_they_say(share):
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(800):
        positive = float(rng.binomial(60, share))
        cell = ScoreHistogram(
            np.array([60 - positive]) + 2 * rng.normal(size=1),
            np.array([positive]) + 2 * rng.normal(size=1),
            2.0,
        )
        row = calibration_table(cell)[0]
        held += row.share_low - 1e-3 <= share <= row.share_high + 1e-3
    assert held / 800 >= 0.93
