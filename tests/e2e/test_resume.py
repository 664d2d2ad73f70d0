"""Whoever dies in the middle of a campaign, it ends as an undisturbed one, or says why it stops."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.chaos import expected_slots
from benchmarks.consortium import STUDY, Consortium, Shape, wait_until
from benchmarks.reckoning import Witness, broken_links, charges_of, missing_receipts

from cordon_common.errors import CheckFailed
from cordon_common.ledger.entries import SITE_KINDS, SiteOpened, parse_entry
from cordon_server.runs import run_has_ended

pytestmark = [pytest.mark.federation, pytest.mark.slow]

ALL_NEEDED = Shape()
TWO_ARE_ENOUGH = replace(ALL_NEEDED, min_sites=2, round_timeout_s=20.0)
IMPATIENT = replace(ALL_NEEDED, round_timeout_s=6.0, max_attempts=2)
SCHEDULE = expected_slots(ALL_NEEDED.rounds)


@pytest.fixture(scope="module")
def consortium():
    with (
        tempfile.TemporaryDirectory(prefix="resume-") as folder,
        Consortium(Path(folder)) as consortium,
    ):
        consortium.witness = Witness.of(consortium.federation)
        yield consortium


@pytest.fixture(scope="module")
def undisturbed(consortium):
    campaign = consortium.launch()
    consortium.wait_for_status(campaign, "finished")
    return totals(consortium, campaign)


@pytest.fixture(autouse=True)
def nothing_is_lost(consortium):
    """Around every test: all that the ledgers held before is there afterwards."""
    consortium.witness.look()
    yield
    consortium.witness.look()
    assert consortium.witness.lost == 0


def totals(consortium, campaign):
    """Per site: the slots that were charged, and the epsilon that they add up to."""
    version = int(campaign.rsplit("-v", 1)[1].split("-")[0])
    spent = {}
    for charges in charges_of(consortium.federation, campaign):
        folder = str(consortium.federation.site(charges.site))
        budget = consortium.federation.read_json("site", "budget", folder, "--json")
        epsilon = budget["studies"][version - 1]["spent_epsilon"]
        spent[charges.site] = (charges.slots, charges.doubled, charges.unsettled, epsilon)
    return spent


def started_training(consortium, shape=None, rounds=2):
    campaign = consortium.launch(shape)
    consortium.wait_for(campaign, phase="train", number=rounds)
    return campaign


def carry_to_its_end(consortium, campaign):
    """Resume a campaign whenever nobody carries it; tell how often that was needed."""
    resumed = 0

    def over():
        nonlocal resumed
        state = consortium.state(campaign)
        if state.status == "finished":
            return True
        if not consortium.coordinator_answers():
            return False
        if state.status == "stopped" or run_has_ended(consortium.home, state.flower_run):
            resumed += consortium.resume()
        return False

    wait_until(over, 180.0, "the campaign's end")
    return resumed


def failures(consortium, campaign):
    return {
        (event.site, event.code)
        for event in consortium.events(campaign)
        if event.event == "site.failed"
    }


def test_an_undisturbed_campaign_is_charged_what_its_study_says(undisturbed):
    assert {site: slots for site, (slots, *_) in undisturbed.items()} == dict.fromkeys(
        ALL_NEEDED.sites, SCHEDULE
    )
    assert all(epsilon > 0 for *_, epsilon in undisturbed.values())


def test_a_campaign_goes_on_after_the_superlink_was_killed(consortium, undisturbed):
    campaign = started_training(consortium)
    consortium.kill("superlink")
    assert carry_to_its_end(consortium, campaign) == 0  # restarted on its database, by itself
    assert totals(consortium, campaign) == undisturbed


def test_a_killed_serverapps_campaign_is_resumed_where_it_stood(consortium, undisturbed):
    campaign = started_training(consortium)
    rounds = consortium.state(campaign).round
    consortium.kill("serverapp")
    wait_until(consortium.resume, 30.0, "cordon study resume")
    carry_to_its_end(consortium, campaign)
    (resumed,) = (e for e in consortium.events(campaign) if e.event == "campaign.resumed")
    assert resumed.phase == "train"
    assert resumed.round >= rounds
    assert totals(consortium, campaign) == undisturbed


def test_a_killed_coordinators_campaign_is_resumed_when_it_is_back(consortium, undisturbed):
    campaign = started_training(consortium)
    consortium.kill("coordinator")
    wait_until(consortium.resume, 60.0, "cordon study resume")
    carry_to_its_end(consortium, campaign)
    assert totals(consortium, campaign) == undisturbed


def test_a_vault_killed_in_a_round_comes_back_and_charges_nothing_twice(consortium, undisturbed):
    starts = vault_starts(consortium, "elm")
    campaign = started_training(consortium)
    consortium.kill("elm-vault")
    assert carry_to_its_end(consortium, campaign) == 0
    assert vault_starts(consortium, "elm") == starts + 1
    assert totals(consortium, campaign) == undisturbed


def vault_starts(consortium, site):
    consortium.witness.look()
    entries = consortium.witness.seen[site]
    return sum(isinstance(parse_entry(data, SITE_KINDS).body, SiteOpened) for data in entries)


def test_a_site_that_dies_for_good_is_named_and_the_others_finish(consortium, undisturbed):
    campaign = started_training(consortium, TWO_ARE_ENOUGH)
    consortium.take_down("oak")
    try:
        carry_to_its_end(consortium, campaign)
    finally:
        consortium.bring_back("oak")
    assert {site for site, _ in failures(consortium, campaign)} == {"oak"}
    found = totals(consortium, campaign)
    assert {site: found[site] for site in ("ash", "elm")} == {
        site: undisturbed[site] for site in ("ash", "elm")
    }
    slots, doubled, _, epsilon = found["oak"]
    assert slots < SCHEDULE
    assert doubled == 0
    assert 0 < epsilon < undisturbed["oak"][-1]
    wait_until(lambda: "oak" in consortium.online(), 60.0, "oak is back")


def test_below_the_minimum_it_stops_with_a_code_and_is_resumed_when_the_site_is_back(
    consortium, undisturbed
):
    campaign = started_training(consortium, IMPATIENT)
    consortium.take_down("elm")
    try:
        consortium.wait_for_status(campaign, "stopped", 90.0)
        with pytest.raises(CheckFailed) as told:
            consortium.federation.run(
                "study", "watch", STUDY, "--home", str(consortium.federation.coordinator)
            )
    finally:
        consortium.bring_back("elm")
    assert consortium.state(campaign).code == "CK020"
    assert "error CK020" in told.value.why
    assert "elm (TR" in told.value.why
    assert f"next: cordon study resume {STUDY}" in told.value.why
    wait_until(lambda: "elm" in consortium.online(), 60.0, "elm is back")
    time.sleep(0.5)
    assert carry_to_its_end(consortium, campaign) >= 1
    assert totals(consortium, campaign) == undisturbed


def test_after_all_that_every_bundle_verifies_and_every_receipt_is_kept(consortium, undisturbed):
    federation = consortium.federation
    campaigns = [state.campaign for state in consortium.store.campaigns()]
    assert {state.status for state in consortium.store.campaigns()} == {"finished"}
    assert missing_receipts(federation)[0] == 0
    assert broken_links(federation, campaigns)[0] == 0
    federation.export()
    audit = federation.verify()
    assert audit["verdict"] == "PASS", [
        row for part in audit["parts"] for row in part["rows"] if row["status"] != "PASS"
    ]
