"""Limits by simulation, held against the normal limit where that one is right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon_common.qc.summary import LABEL, LABEL_CELLS, HistogramSpec
from cordon_server.crosssite.chance import (
    DRAWS,
    Law,
    Null,
    deviation_limit,
    draws,
    largest_deviations,
    normal_limit,
)
from cordon_server.crosssite.shares import middle_of_others

SPEC = HistogramSpec("yes", "label", LABEL_CELLS, 1.0)


def law_at(spec, patients, chances, std):
    sites = len(patients)
    return Law(spec, tuple(range(sites)), (tuple(chances),) * sites, (std,) * sites)


def null(*patients, chance=0.5, std=1.0):
    law = law_at(SPEC, patients, (chance, 1 - chance, 0.0), std)
    return Null(patients, law, (law,), 1)


def category(chances, patients, std):
    """One feature of two categories at equal sites; no cell is rare."""
    cells = ("a", "b", "unknown", "missing, positive", "missing, negative")
    label = law_at(SPEC, patients, (0.5, 0.5, 0.0), std)
    law = law_at(HistogramSpec("f", "category", cells, 1.0), patients, chances, std)
    return Null(patients, label, (law,), 1)


@pytest.mark.parametrize(("alpha", "quantile"), [(0.1, 1.645), (0.01, 2.576)])
def test_two_large_sites_and_one_question_give_the_normal_quantile(alpha, quantile):
    """Both sites see the same difference, so there is one comparison, and it is normal."""
    assert deviation_limit(null(4000, 3000), alpha) == pytest.approx(quantile, rel=0.06)


@settings(max_examples=12, deadline=None)
@given(
    patients=st.lists(st.integers(400, 5000), min_size=2, max_size=5).map(tuple),
    chance=st.floats(0.3, 0.7),
    std=st.floats(0.1, 10),
)
def test_where_no_cell_is_rare_the_limit_stays_below_the_normal_one(patients, chance, std):
    """Bonferroni does not know that the contrasts overlap, nor that the median is less unsure."""
    made = null(*patients, chance=round(chance, 6), std=std)
    assert deviation_limit(made) <= normal_limit(made.comparisons) * 1.08
    assert deviation_limit(made) > 1.6


def test_draws_have_the_size_the_chances_and_the_noise_of_the_sites():
    made = category((0.2, 0.7, 0.0, 0.05, 0.05), (200, 1000), 5.0)
    (found,) = draws(made)
    assert found.panel.counts.shape == (DRAWS, 2, 5)
    mean = found.panel.counts.mean(axis=0)
    assert mean[1] == pytest.approx([200, 700, 0, 50, 50], abs=2.5)
    assert found.panel.counts[:, 1, 2].std() == pytest.approx(5.0, rel=0.06)
    assert found.patients.mean(axis=0) == pytest.approx([200, 1000], abs=1.0)
    assert found.patients.std(axis=0) == pytest.approx([5 * 2**0.5] * 2, rel=0.06)


def test_a_lower_level_gives_a_higher_limit():
    made = null(300, 200, 100)
    limits = [deviation_limit(made, alpha) for alpha in (0.2, 0.05, 0.01)]
    assert limits == sorted(limits)
    assert np.mean(largest_deviations(made).max(axis=0) > limits[1]) == pytest.approx(
        0.05, abs=1e-3
    )


def test_the_middle_of_the_others_counts_each_once_and_not_oneself():
    values = np.array([[0.1], [0.2], [0.9], [0.3]])
    middle, variance = middle_of_others(values, np.full((4, 1), 0.04))
    assert middle[:, 0] == pytest.approx([0.3, 0.3, 0.2, 0.2])
    assert variance[:, 0] == pytest.approx(np.pi / 2 * 0.04 / 3)
    pair, of_one = middle_of_others(values[:2], np.full((2, 1), 0.04))
    assert pair[:, 0] == pytest.approx([0.2, 0.1])
    assert of_one[:, 0] == pytest.approx(0.04)


def test_the_outcome_is_drawn_once_and_shared():
    made = null(500, 400)
    (found,) = draws(made)
    assert found.law.spec.name == "yes" != LABEL
    assert np.array_equal(found.panel.counts[..., :2].sum(axis=-1), found.patients)
