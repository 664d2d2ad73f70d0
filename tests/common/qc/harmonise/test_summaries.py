"""When hospitals' summaries may not be compared, and what noise may not do to the comparison."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from summaries import HEART, draw, narrowed, released

from cordon_common.qc.harmonise.summaries import align
from cordon_common.qc.summary import decode, qc_layout

NUMBERS = ["age", "trestbps", "chol", "thalach", "oldpeak"]
STUDY = HEART.model_copy(update={"qc": HEART.qc.model_copy(update={"harmonise": True})})


@pytest.fixture
def rng():
    return np.random.default_rng(20260601)


def summaries(rng, sizes, positive=(0.5, 0.5, 0.5, 0.5), noise_std=1.0):
    return {
        f"site-{i}": released(
            draw(rng, size, positive=positive[i], study=STUDY),
            rng,
            noise_std=noise_std,
            study=STUDY,
        )
        for i, size in enumerate(sizes)
    }


def test_hospitals_of_like_size_are_compared_feature_by_feature(rng):
    found = align(STUDY, summaries(rng, (300, 250, 200)))
    assert (found.refused, [item.feature for item in found.features]) == ("", NUMBERS)
    for item in found.features:
        assert item.withheld == ""
        assert all(abs(offset.value) < 5 * offset.std for offset in item.sites.values())


def test_nothing_is_compared_where_hospital_and_outcome_are_one(rng):
    found = align(STUDY, summaries(rng, (300, 250), positive=(1.0, 0.0)))
    assert (found.features, found.refused) == ((), "PO140")


def test_nothing_over_all_is_shown_where_one_hospital_brings_most_values(rng):
    found = align(STUDY, summaries(rng, (2000, 100, 100)))
    assert {item.withheld for item in found.features} == {"dominance"}
    assert {item.mean for item in found.features} == {None}
    assert all(set(item.sites.values()) == {None} for item in found.features)


def test_a_hospital_whose_numbers_drown_in_noise_is_left_out(rng):
    small = summaries(rng, (300, 250, 40), noise_std=4.0)
    found = align(STUDY, small)
    assert all(item.sites["site-2"] is None for item in found.features)
    assert all(item.sites["site-0"] is not None for item in found.features)
    alone = align(STUDY, {site: small[site] for site in ("site-0", "site-2")})
    assert {item.withheld for item in alone.features} == {"noise"}


def test_of_a_hospital_below_the_smallest_cell_nothing_is_shown(rng):
    found = align(STUDY, summaries(rng, (300, 250, 8), noise_std=0.1))
    assert all("site-2" not in item.sites for item in found.features)


def test_only_numbers_on_a_linear_scale_are_harmonised():
    log = narrowed("age", "chol", study=STUDY, chol={"scale": "log"})
    assert qc_layout(log).moments.features == ("age",)


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_noise_says_every_number_is_finite_and_possible(data):
    """Releases of pure noise: nothing fails, means stay in `typical`, shares in [0, 1]."""
    layout = qc_layout(STUDY)
    seed, scale = data.draw(st.integers(0, 2**32)), data.draw(st.sampled_from([5, 50, 500]))
    rng = np.random.default_rng(seed)
    noisy = {
        site: decode(
            layout,
            np.rint(rng.normal(20, scale, layout.dimension) * 64).astype(np.int64),
            grid_per_unit=64.0,
            noise_std_grid=64.0,
        )
        for site in ("a", "b", "c")
    }
    found = align(STUDY, noisy)
    typical = {f.name: f.typical for f in STUDY.cohort.measured if f.name in NUMBERS}
    for item in found.features:
        if item.mean is None:
            continue
        low, high = typical[item.feature]
        assert low - 1e-9 <= item.mean <= high + 1e-9
        assert 0 <= item.between <= 1
        assert 0 < item.deviation <= high - low
        known = [offset for offset in item.sites.values() if offset is not None]
        assert all(math.isfinite(offset.value) and offset.std > 0 for offset in known)
