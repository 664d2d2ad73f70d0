"""Masked sums over real processes: a hospital is killed in the middle of a round, and comes back."""

import tempfile
from pathlib import Path

import pytest
from benchmarks.consortium import Consortium, Shape, wait_until
from benchmarks.reckoning import charges_of

from cordon_common.audit.verify import verify_bundles
from cordon_server.journal import Journal

pytestmark = [pytest.mark.federation, pytest.mark.slow]

MASKED = Shape(min_sites=2, rounds=6, round_timeout_s=25.0, trust_model="secure-sum")


@pytest.fixture(scope="module")
def consortium():
    with (
        tempfile.TemporaryDirectory(prefix="sums-") as folder,
        Consortium(Path(folder), MASKED) as consortium,
    ):
        yield consortium


def rounds(consortium, campaign):
    """The completed rounds of a campaign: their sites."""
    return [record.sites for record in Journal(consortium.store, campaign, lambda: None).rounds()]


def void(consortium, campaign):
    return [e for e in consortium.events(campaign) if e.event == "attempt.void"]


def sums(consortium):
    """The audit over all bundles: its verdict, and the row about sums."""
    consortium.federation.export()
    result = verify_bundles(list(consortium.federation.bundles.values()))
    (row,) = [row for part in result.parts for row in part.rows if row.check == "sums"]
    return result.verdict, row.evidence


def test_a_vault_that_is_killed_and_comes_back_in_time_costs_nothing(consortium):
    campaign = consortium.launch()
    consortium.wait_for(campaign, phase="train", number=2)
    consortium.kill("elm-vault")
    consortium.wait_for_status(campaign, "finished")
    assert rounds(consortium, campaign) == [("ash", "elm", "oak")] * 6
    assert void(consortium, campaign) == []
    for charges in charges_of(consortium.federation, campaign):
        assert (charges.total, charges.doubled, charges.unsettled) == (8, 0, 0)


def test_a_hospital_that_dies_in_a_round_voids_the_attempt_and_the_others_go_on(consortium):
    campaign = consortium.launch()
    consortium.wait_for(campaign, phase="train", number=2)
    consortium.take_down("oak")
    try:
        consortium.wait_for_status(campaign, "finished")
    finally:
        consortium.bring_back("oak")
    done = rounds(consortium, campaign)
    lost = len(void(consortium, campaign))
    assert lost >= 1
    assert len(done) + lost == 6
    assert done[-1] == ("ash", "elm")
    found = {c.site: c for c in charges_of(consortium.federation, campaign)}
    assert (
        found["ash"].total == found["elm"].total == 8
    )  # void attempts are charged, no more than planned
    assert found["oak"].total < 8
    wait_until(lambda: "oak" in consortium.online(), 60.0, "oak is back")


def test_after_all_that_the_bundles_prove_what_was_summed(consortium):
    verdict, evidence = sums(consortium)
    assert verdict == "PASS"
    assert "sums" in evidence
    assert "masked for ever" in evidence
