"""The integer grid: the bound holds for hostile vectors, and sums fit the ring."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.privacy import sensitivity as grid


def test_the_bound_of_a_patient_is_a_power_of_two_grid_steps():
    for bound in (0.1, 1.0, 3.7, math.sqrt(13)):
        assert grid.grid_per_unit(bound, 32) * bound == pytest.approx(2**32, rel=1e-15)


@given(
    clip=st.floats(0.01, 100),
    bits=st.integers(16, 24),
    dimension=st.integers(1, 50),
    stability=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_change_of_the_allowed_patients_moves_the_rounded_sum_further(
    clip, bits, dimension, stability, seed
):
    rng = np.random.default_rng(seed)
    gamma = grid.grid_per_unit(clip, bits)
    base = rng.normal(0, 10 * clip, dimension)
    patients = rng.normal(size=(stability, dimension))
    patients *= clip / np.linalg.norm(patients, axis=1, keepdims=True)
    # Worst case: all changed patients point the same way.
    patients[:] = patients[0]
    moved = np.rint(gamma * (base + patients.sum(axis=0))) - np.rint(gamma * base)
    bound = grid.grid_sensitivity(grid_bits=bits, dimension=dimension, stability=stability)
    assert np.linalg.norm(moved) <= bound


def test_the_float_slack_covers_the_proved_summation_error_at_the_largest_cohort():
    unit_roundoff = 2.0**-53
    summation = 2 * grid.MAX_PATIENTS**2 * unit_roundoff
    assert summation <= grid.FLOAT_SLACK / 2


def test_reordering_a_float64_sum_stays_far_inside_the_slack():
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(20_000, 30))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows += 0.3  # a common direction, so that the sum grows with n
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    forward = np.ones(20_000) @ rows
    shuffled = np.ones(20_001) @ rng.permutation(np.vstack([rows, rows[:1]]))
    assert np.linalg.norm(shuffled - forward) <= 1 + grid.FLOAT_SLACK / 100


@given(
    bits=st.integers(16, 40),
    noise=st.floats(1, 1e17),
    sites=st.integers(1, 200),
)
def test_a_cohort_within_the_cap_fits_the_ring(bits, noise, sites):
    cap = grid.patients_cap(grid_bits=bits, noise_std_grid=noise, sites=sites)
    assert 0 <= cap <= grid.MAX_PATIENTS
    if cap:
        assert sites * (cap * 2**bits + math.ceil(grid.NOISE_SPAN * noise)) < 2**63


def test_noise_that_fills_the_ring_leaves_room_for_nobody():
    assert grid.patients_cap(grid_bits=32, noise_std_grid=1e18, sites=1) == 0


def test_the_missing_tails_are_negligible_for_usual_noise_and_not_for_tiny_noise():
    assert grid.tail_delta(noise_multiplier=10, integers=10**6) < 1e-12
    assert grid.tail_delta(noise_multiplier=0.05, integers=1) > 0.5


@given(integers=st.integers(1, 10**9))
def test_the_allowed_defect_of_the_generator_costs_almost_nothing(integers):
    cost = grid.defect_epsilon(integers)
    assert cost >= 2 * integers * grid.NOISE_DEFECT
    assert cost <= 2e-15 * integers
