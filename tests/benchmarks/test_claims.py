"""Published claims, accounted again: the known numbers are found, by two accountants."""

import math

import pytest
from benchmarks.claims import account, all_claims, claim_lines


@pytest.fixture(scope="module")
def claims():
    return all_claims()


def test_every_claim_is_smaller_than_what_its_recipe_costs(claims):
    assert all(claim.claimed < claim.true.pld <= claim.true.rdp for claim in claims)


def test_the_known_costs_are_found_again(claims):
    found = [round(claim.recomputed, 2) for claim in claims]
    assert found == [1.45, 1.57, 4.10, 2.29, 9.92, 4.67]
    assert [round(claim.claimed, 2) for claim in claims[-2:]] == [3.14, 1.35]
    assert all(line.reached for line in claim_lines(claims))


def test_every_claim_names_its_source_and_what_was_reconstructed(claims):
    assert all(claim.source and claim.reconstructed and claim.why for claim in claims)


def test_a_third_accountant_agrees():
    """Opacus's own Rényi accountant on the executed steps of the Flower example."""
    from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent

    orders = [1 + x / 10 for x in range(1, 100)] + list(range(12, 64))
    rdp = compute_rdp(q=0.08, noise_multiplier=1.0, steps=260, orders=orders)
    epsilon, _ = get_privacy_spent(orders=orders, rdp=rdp, delta=1e-5)
    assert math.isclose(epsilon, account(1.0, 0.08, 260, 1e-5).rdp, rel_tol=0.01)
