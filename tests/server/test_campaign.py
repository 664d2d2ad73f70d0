"""A campaign from its first message to its last, and every way in which a site can spoil it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from cordon_common.errors import CheckFailed
from cordon_common.ledger.receipt import RECEIPT_TYPE
from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.schedule import planned_events
from cordon_common.qc.verdict import CohortVerdict, ReasonCode, Severity
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import DescribeReply, Refusal, arrays_digest, decode, encode
from cordon_server.spending import epsilon_after, epsilon_spent


def weights_of(running):
    return load_file(running.results / "model.safetensors")


def test_an_undisturbed_campaign_ends_with_a_model_and_its_card(federation):
    running = federation.run()
    state = running.journal.state
    assert (state.phase, state.status, state.round) == ("done", "finished", 4)
    parameters = weights_of(running)
    assert {name: array.shape for name, array in parameters.items()} == {
        "layers.0.weight": (1, 4),
        "layers.0.bias": (1,),
    }
    card = json.loads((running.results / "model-card.json").read_text())
    assert card["training"] == {"rounds": 4, "sites": ["east", "north", "south", "west"]}
    assert card["evaluation"]["together"]["auc"] > 0.7
    assert parameters["layers.0.weight"][0, 0] > 0.1


def test_one_message_per_round_and_site_is_enough(federation):
    federation.run()
    rpcs = [rpc for rpc, _ in federation.network.asked]
    assert rpcs == ["describe", "qc", *["train"] * 4, "evaluate", "receipts"]


def test_the_weights_are_those_of_a_loop_over_plain_sums(federation):
    """The same training by hand: exact integer sums, momentum, mean of the last two iterates."""
    running = federation.run()
    study = federation.study
    plan = planned_events(study)
    weights = np.linspace(-0.1, 0.1, 5)
    velocity = np.zeros(5)
    iterates = []
    for number in range(4):
        total = np.zeros(5, dtype=np.int64)
        for hospital in federation.hospitals.values():
            slot = type("Slot", (), {"phase": "train", "round": number, "attempt": 0})()
            exact = hospital.exact(study, slot, {"weights": weights})
            total += hospital.noised(study, slot, plan.training, exact)
        gradient = total / 2.0**study.training.grid_bits / study.training.divisor
        velocity = 0.5 * velocity + gradient
        weights = weights - velocity
        iterates.append(weights)
    kept = weights_of(running)
    flat = np.concatenate([kept["layers.0.weight"].ravel(), kept["layers.0.bias"]])
    np.testing.assert_allclose(flat, np.mean(iterates[2:], axis=0), rtol=1e-12)


def test_the_epsilon_shown_is_that_of_the_hospitals_own_ledgers(federation):
    running = federation.run()
    spent = epsilon_spent(federation.study, running.journal.replies())
    after = epsilon_after(federation.study, 4, evaluated=True)
    assert set(spent) == set(federation.hospitals)
    for site, hospital in federation.hospitals.items():
        events = [charge.event for charge in hospital.ledger.charges(federation.study.digest)]
        assert spent[site] == study_epsilon(events, federation.study.privacy.delta) == after
        assert spent[site].pld <= federation.study.privacy.epsilon <= spent[site].rdp * 1.001


def test_the_coordinators_log_names_every_release_that_was_used(federation):
    federation.run()
    kinds = [body.KIND for body in federation.log.bodies_from(1)]
    assert kinds[0] == "campaign.started.v1"
    assert kinds[-1] == "campaign.closed.v1"
    assert kinds.count("release.received.v1") == 4 * (1 + 4 + 1)
    received = {body.release for body in federation.log_bodies("release.received.v1")}
    for body in federation.log_bodies("round.aggregated.v1"):
        assert {used.site for used in body.used} == set(federation.hospitals)
        assert {used.release for used in body.used} <= received
    chain = federation.log_bodies("round.aggregated.v1")
    assert [a.weights_out for a in chain[:-1]] == [b.weights_in for b in chain[1:]]


# -- sites that are gone, refuse or lie --------------------------------------------------------------


def lying_weights(rpc, request, reply):
    """An enrolment answer that is well-formed, about other weights."""
    if rpc != "describe":
        return reply
    message, arrays = decode(reply)
    other = {"weights": arrays["weights"] + 1}
    value = message.model_dump() | {"weights_digest": arrays_digest(other)}
    return encode(DescribeReply.model_validate(value), other)


def only_when_training(change):
    def fault(rpc, request, reply):
        if rpc != "train":
            return reply
        message, arrays = decode(reply)
        return change(message, arrays)

    return fault


def resealed(message, key, **changes):
    """The reply with a changed receipt, well signed by the given key."""
    receipt = seal(key, RECEIPT_TYPE, message.receipt.payload | changes)
    return message.model_copy(update={"receipt": receipt})


@only_when_training
def wrong_digest(message, arrays):
    return encode(message, {"release": arrays["release"] + 1})


@only_when_training
def bad_signature(message, arrays):
    return encode(resealed(message, SigningKey.generate()), arrays)


@only_when_training
def wrong_shape(message, arrays):
    return encode(message, {"release": arrays["release"][:-1]})


@only_when_training
def floats_for_integers(message, arrays):
    return encode(message, {"release": arrays["release"].astype(float)})


@only_when_training
def not_a_number(message, arrays):
    values = arrays["release"].astype(float)
    values[0] = np.nan
    return encode(message, {"release": values})


@only_when_training
def another_name(message, arrays):
    return encode(message.model_copy(update={"site": "north"}), arrays)


@only_when_training
def noise(message, arrays):
    return b"\x00\x00\x00\x05hello"


@only_when_training
def refusal(message, arrays):
    return encode(Refusal(site="south", code="PO101"))


class StaleSlot:
    """Answers every training request with the first round's answer."""

    def __init__(self):
        self.first = None

    def __call__(self, rpc, request, reply):
        if rpc == "train":
            self.first = self.first or reply
            return self.first
        return reply


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (wrong_digest, "IN021"),
        (bad_signature, "IN001"),
        (wrong_shape, "PR008"),
        (floats_for_integers, "PR008"),
        (not_a_number, "PR008"),
        (another_name, "IN020"),
        (noise, "PR011"),
        (refusal, "PO101"),
    ],
)
def test_a_release_that_does_not_check_is_never_used_and_its_site_is_named(federation, fault, code):
    federation.network.faults["south"] = fault
    running = federation.run()
    assert {(e.site, e.code) for e in federation.events("site.failed")} == {("south", code)}
    assert all(r.sites == ("east", "north", "west") for r in running.journal.rounds())
    failed = {(b.site, b.code, b.phase) for b in federation.log_bodies("site.failed.v1")}
    assert failed == {("south", code, "train")}
    assert (
        "south"
        not in json.loads((running.results / "model-card.json").read_text())["training"]["sites"]
    )


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**62])
def test_integers_that_would_overflow_the_sum_cost_only_their_own_site(federation, value):
    key = federation.hospitals["south"].key

    @only_when_training
    def outsized(message, arrays):
        values = {"release": arrays["release"].copy()}
        values["release"][0] = value
        changed = arrays_digest(values)
        signed = resealed(message, key, release_digest=changed)
        return encode(signed.model_copy(update={"release_digest": changed}), values)

    federation.network.faults["south"] = outsized
    running = federation.run()
    assert {(e.site, e.code) for e in federation.events("site.failed")} == {("south", "PR008")}
    assert all(r.sites == ("east", "north", "west") for r in running.journal.rounds())


def test_an_answer_to_an_earlier_request_is_not_taken_for_a_new_one(federation):
    federation.network.faults["south"] = StaleSlot()
    running = federation.run()
    taking_part = ["south" in record.sites for record in running.journal.rounds()]
    assert taking_part == [True, False, False, False]
    assert {e.code for e in federation.events("site.failed")} == {"IN022"}


@pytest.mark.parametrize(
    "change",
    [
        {"release_digest": "sha256:" + "0" * 64},
        {"request_digest": "sha256:" + "0" * 64},
        {"site": "north"},
    ],
)
def test_a_receipt_about_something_else_is_refused_though_well_signed(federation, change):
    key = federation.hospitals["south"].key

    @only_when_training
    def about_something_else(message, arrays):
        return encode(resealed(message, key, **change), arrays)

    federation.network.faults["south"] = about_something_else
    federation.run()
    assert {(e.site, e.code) for e in federation.events("site.failed")} == {("south", "IN021")}


def test_a_receipt_with_less_noise_than_planned_is_refused(federation):
    key = federation.hospitals["south"].key

    @only_when_training
    def quieter(message, arrays):
        event = message.receipt.payload["event"] | {"noise_multiplier": 0.1}
        return encode(resealed(message, key, event=event), arrays)

    federation.network.faults["south"] = quieter
    federation.run()
    assert {(e.site, e.code) for e in federation.events("site.failed")} == {("south", "IN021")}


def test_a_site_that_derives_other_initial_weights_is_left_out(federation):
    federation.network.faults["west"] = lying_weights
    running = federation.run()
    assert running.journal.fact("members") == ["east", "north", "south"]
    assert {(e.site, e.code) for e in federation.events("site.excluded")} == {("west", "CK021")}


def test_without_a_majority_on_the_initial_weights_nothing_starts(make_federation):
    pair = make_federation("pair", names=("north", "south"), min_sites=2)
    pair.network.faults["south"] = lying_weights
    with pytest.raises(CheckFailed) as caught:
        pair.run()
    assert caught.value.code == "CK021"
    assert pair.open().journal.state.status == "stopped"
    assert all(not h.ledger.charges() for h in pair.hospitals.values())


def test_a_site_that_never_comes_is_named_and_the_others_go_on(federation):
    federation.network.offline.add("east")
    running = federation.run()
    assert running.journal.fact("members") == ["north", "south", "west"]
    assert {(e.site, e.code) for e in federation.events("site.failed")} == {("east", "TR003")}
    assert federation.time.now >= federation.home.settings.site_wait_s


def test_a_site_that_did_not_approve_the_study_refuses_and_the_others_go_on(federation):
    federation.hospitals["east"].studies.clear()
    federation.run()
    assert {(e.site, e.code) for e in federation.events("site.failed")} == {("east", "PO111")}


def test_a_site_that_comes_back_takes_part_again(federation):
    def revive(number, rpc):
        federation.network.offline = {"east"} if number in {3, 4} else set()

    federation.network.before = revive
    running = federation.run()
    taking_part = ["east" in record.sites for record in running.journal.rounds()]
    assert taking_part[0]
    assert not all(taking_part)
    assert taking_part[-1]


def test_a_passing_failure_is_asked_again_and_charged_once(federation):
    seen = []

    def once(rpc, request, reply):
        if rpc == "train" and not seen:
            seen.append(request)
            return "TR004"
        return reply

    federation.network.faults["west"] = once
    running = federation.run()
    assert all("west" in record.sites for record in running.journal.rounds())
    charges = federation.hospitals["west"].ledger.charges(federation.study.digest)
    assert len(charges) == 1 + 4 + 1


def test_a_site_that_hangs_rests_for_some_rounds_instead_of_costing_each_one(make_federation):
    long = make_federation("long", rounds=12)
    asked = []

    def hang(rpc, request, reply):
        if rpc == "train":
            asked.append(decode(request)[0].slot.round)
            return "TR002"
        return reply

    long.network.faults["west"] = hang
    long.run()
    assert sorted(set(asked)) == [0, 2, 5, 10]


def test_below_the_minimum_the_campaign_stops_closed(make_federation):
    trio = make_federation("trio", names=("north", "south", "east"))
    trio.network.faults["east"] = refusal
    with pytest.raises(CheckFailed) as caught:
        trio.run()
    assert caught.value.code == "CK020"
    assert "east (PO101)" in caught.value.why
    state = trio.open().journal.state
    assert (state.status, state.code, state.phase, state.round) == ("stopped", "CK020", "train", 0)
    assert trio.log_bodies("campaign.closed.v1")[-1].outcome == "stopped"
    assert not (trio.home.results_dir(trio.campaign_id) / "model.safetensors").exists()


def test_below_the_minimum_a_site_that_went_offline_is_waited_for(make_federation):
    trio = make_federation("trio", names=("north", "south", "east"))

    def drop(number, rpc):
        if rpc == "train" and number == 3:
            trio.network.offline.add("east")

    trio.network.before = drop
    sleep = trio.time.sleep

    def sleep_and_revive(seconds):
        sleep(seconds)
        if trio.time.now > 1:
            trio.network.offline.clear()

    trio.time.sleep = sleep_and_revive
    running = trio.run()
    assert all(record.sites == ("east", "north", "south") for record in running.journal.rounds())


def test_a_site_that_fails_its_own_quality_control_does_not_train(federation):
    federation.hospitals["west"].verdict = CohortVerdict(
        profile="clinical-table.v1",
        severity=Severity.FAIL,
        checks={"cohort.minimum": Severity.FAIL},
        reasons=(ReasonCode.TOO_FEW_PATIENTS,),
        may_train=False,
    )
    running = federation.run()
    assert all("west" not in record.sites for record in running.journal.rounds())
    (decision,) = federation.log_bodies("gate.decided.v1")
    assert set(decision.excluded) == {"west"}
    assert "too_few_patients" in str(decision.excluded["west"])
    charges = federation.hospitals["west"].ledger.charges(federation.study.digest)
    assert [charge.event.purpose for charge in charges] == ["qc"]


def test_the_gate_fails_closed(make_federation):
    trio = make_federation("trio", names=("north", "south", "east"))
    trio.hospitals["east"].verdict = trio.hospitals["east"].verdict.model_copy(
        update={
            "severity": Severity.FAIL,
            "checks": {"cohort.minimum": Severity.FAIL},
            "reasons": (ReasonCode.TOO_FEW_PATIENTS,),
            "may_train": False,
        }
    )
    with pytest.raises(CheckFailed) as caught:
        trio.run()
    assert caught.value.code == "CK020"
    assert [b.passed for b in trio.log_bodies("gate.decided.v1")] == [False]
    assert not trio.log_bodies("round.started.v1")


def test_a_receipt_that_a_site_later_denies_is_reported(federation):
    hospital = federation.hospitals["south"]
    honest = hospital.ledger.receipts
    hospital.ledger.receipts = lambda study: honest(study)[1:]
    running = federation.run()
    assert ("south", "IN021") in {(e.site, e.code) for e in federation.events("site.failed")}
    assert running.journal.state.status == "finished"
    assert set(running.journal.fact("receipts")) == {"east", "north", "west"}
