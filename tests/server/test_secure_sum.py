"""A campaign by masked sums: what the coordinator gets, and what it gets from cheating: nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from cordon_common.audit.verify import verify_bundles
from cordon_common.errors import CheckFailed
from cordon_common.ledger.bundle import export_coordinator_bundle, export_site_bundle
from cordon_common.ledger.entries import StudySigned, UsedRelease
from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.schedule import planned_events
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import ReleaseReply, array_bytes, arrays_digest, decode, encode
from cordon_server.campaign import drive
from cordon_server.journal import Journal
from cordon_server.phases import secure
from cordon_server.spending import epsilon_spent, local_epsilon_spent

PRIVACY = {
    "epsilon": 3.0,
    "delta": 1e-5,
    "unprotected": ["participation", "qc_verdict"],
    "trust_model": "secure-sum",
    "colluding_sites": 1,
}


@pytest.fixture
def masked(make_federation):
    return make_federation("masked", privacy=PRIVACY)


def weights_of(running):
    kept = load_file(running.results / "model.safetensors")
    return np.concatenate([kept["layers.0.weight"].ravel(), kept["layers.0.bias"]])


def audited(federation, folder):
    if not federation.log_bodies("study.signed.v1"):
        federation.log.append(
            StudySigned(study=federation.study.digest, envelope=federation.envelope)
        )
    paths = [folder / "coordinator.zip"]
    export_coordinator_bundle(federation.log, paths[0])
    for name, hospital in federation.hospitals.items():
        paths.append(folder / f"{name}.zip")
        export_site_bundle(hospital.ledger, paths[-1], policy={})
    parts = verify_bundles(paths).parts
    rows = [row for part in (parts[0], parts[-1]) for row in part.rows]
    return {row.check: row for row in rows}


def drop(federation, site, *, exchange):
    """Take a site off the network from one training exchange on."""
    trained = []

    def before(_number, rpc):
        if rpc == "train":
            trained.append(rpc)
            if len(trained) == exchange:
                federation.network.offline.add(site)

    federation.network.before = before


def test_the_model_is_that_of_a_loop_over_plain_sums_of_shares(masked):
    running = masked.run()
    study, event = masked.study, planned_events(masked.study).training
    weights, velocity, iterates = np.linspace(-0.1, 0.1, 5), np.zeros(5), []
    for number in range(4):
        slot = type("Slot", (), {"phase": "train", "round": number, "attempt": 0})()
        total = sum(
            hospital.noised(study, slot, event, hospital.exact(study, slot, {"weights": weights}))
            for hospital in masked.hospitals.values()
        )
        gradient = total / 2.0**study.training.grid_bits / study.training.divisor
        velocity = 0.5 * velocity + gradient
        weights = weights - velocity
        iterates.append(weights)
    np.testing.assert_allclose(weights_of(running), np.mean(iterates[2:], axis=0), rtol=1e-12)
    assert [rpc for rpc, _ in masked.network.asked].count("train") == 4


@pytest.mark.parametrize("bits", [32, 64])
def test_both_rings_give_the_same_model(make_federation, bits):
    training = {
        "algorithm": "dp-fedsgd",
        "rounds": 2,
        "clip_norm": 1.0,
        "divisor": 300,
        "grid_bits": 17,
        "ring_bits": bits,
        "optimizer": {"name": "sgd", "learning_rate": 1.0},
    }
    federation = make_federation(f"ring-{bits}", privacy=PRIVACY, training=training)
    weights = weights_of(federation.run())
    study = federation.study
    slot = type("Slot", (), {"phase": "train", "round": 0, "attempt": 0})()
    start = {"weights": np.linspace(-0.1, 0.1, 5)}
    total = sum(
        hospital.noised(
            study, slot, planned_events(study).training, hospital.exact(study, slot, start)
        )
        for hospital in federation.hospitals.values()
    )
    first = start["weights"] - total / 2.0**17 / 300
    assert np.abs(weights - first).max() < 0.5
    assert len(federation.log_bodies("round.aggregated.v1")) == 2


def test_what_arrives_from_one_site_is_not_its_update(masked):
    """A share under masks is far from the noised sum that the site computed."""
    seen = {}

    def spy(rpc, data, reply):
        if rpc == "train":
            message, arrays = decode(data)
            seen.setdefault("slot", message.slot)
            seen.setdefault("weights", arrays)
            seen.setdefault("share", decode(reply)[1]["masked"])
        return reply

    masked.network.faults["north"] = spy
    masked.run()
    north, study = masked.hospitals["north"], masked.study
    exact = north.exact(study, seen["slot"], seen["weights"])
    noised = north.noised(study, seen["slot"], planned_events(study).training, exact)
    apart = (seen["share"] - noised.view(np.uint64)).view(np.int64)
    assert np.abs(apart.astype(float)).min() > 2.0**50


def test_ledgers_cost_what_each_trust_model_says_and_keep_the_promise(masked):
    running = masked.run()
    study, replies = masked.study, running.journal.replies()
    summed, local = epsilon_spent(study, replies), local_epsilon_spent(study, replies)
    for site, hospital in masked.hospitals.items():
        events = [charge.event for charge in hospital.ledger.charges(study.digest)]
        assert summed[site] == study_epsilon(events, 1e-5, "secure-sum")
        assert local[site] == study_epsilon(events, 1e-5, "local")
        assert summed[site].pld <= study.privacy.epsilon < local[site].pld
    card = json.loads((running.results / "model-card.json").read_text())
    assert card["privacy"]["trust_model"] == "secure-sum"
    assert card["privacy"]["colluding_sites"] == 1
    assert card["privacy"]["spent_locally"]["north"]["epsilon_pld"] == local["north"].pld


def test_the_audit_proves_that_every_sum_used_all_shares_of_one_attempt(masked, tmp_path):
    masked.run()
    rows = audited(masked, tmp_path)
    assert {row.status for row in rows.values()} == {"PASS"}
    assert rows["sums"].evidence.startswith("4 sums; 0 attempts void")
    assert rows["sum-keys"].evidence == "4 keys verified"


def test_a_dropout_voids_the_attempt_and_the_others_answer_a_new_one(masked, tmp_path):
    drop(masked, "south", exchange=2)
    running = masked.run()
    assert running.journal.state.status == "finished"
    attempts = [(b.round, b.attempt, b.sites) for b in masked.log_bodies("round.started.v1")]
    everyone, others = ("east", "north", "south", "west"), ("east", "north", "west")
    # four attempts are paid for: one is void, so three rounds are made
    assert attempts == [(0, 0, everyone), (1, 0, everyone), (1, 1, others), (2, 0, others)]
    assert [r.sites for r in running.journal.rounds()] == [everyone, others, others]
    rows = audited(masked, tmp_path)
    assert {row.status for row in rows.values()} == {"PASS"}
    assert "1 attempts void" in rows["sums"].evidence
    north = [c for c in masked.hospitals["north"].ledger.charges() if c.event.purpose == "training"]
    assert [(c.slot.round, c.slot.attempt, c.event.sites) for c in north] == [
        (0, 0, 4),
        (1, 0, 4),
        (1, 1, 3),
        (2, 0, 3),
    ]
    assert north[2].event.share_multiplier > north[1].event.share_multiplier
    spent = epsilon_spent(masked.study, running.journal.replies())
    assert max(item.pld for item in spent.values()) <= masked.study.privacy.epsilon
    shown = [event.event for event in masked.store.progress_after(masked.campaign_id, 0)]
    assert "attempt.void" in shown


def test_training_ends_early_when_void_attempts_used_up_the_rounds(make_federation):
    masked = make_federation("short", privacy=PRIVACY, rounds=2)
    drop(masked, "south", exchange=2)
    running = masked.run()
    assert running.journal.state.round == 1
    assert "training.shortened" in [
        event.event for event in masked.store.progress_after(masked.campaign_id, 0)
    ]


def test_without_one_complete_round_there_is_no_model(make_federation):
    masked = make_federation("none", privacy=PRIVACY, rounds=1)
    drop(masked, "south", exchange=1)
    with pytest.raises(CheckFailed) as failed:
        masked.run()
    assert failed.value.code == "CK031"


def test_fewer_sites_than_a_sum_needs_stop_the_campaign(make_federation):
    masked = make_federation("few", privacy=PRIVACY)

    def before(_number, rpc):
        if rpc == "train":
            masked.network.offline.update(("south", "east"))

    masked.network.before = before
    with pytest.raises(CheckFailed) as failed:
        masked.run()
    assert failed.value.code == "CK020"
    assert "south" in failed.value.why


@pytest.mark.parametrize("step", [2, 4, 5, 8, 11])
def test_killed_at_any_step_a_campaign_repeats_its_attempts_and_charges_nothing_twice(
    make_federation, monkeypatch, step, tmp_path
):
    class Killed(BaseException):
        pass

    masked = make_federation("killed", privacy=PRIVACY)
    honest, left = Journal.commit, [step]

    def commit(*arguments):
        if left[0] == 0:
            left[0] = -1
            raise Killed
        left[0] -= 1
        honest(*arguments)

    monkeypatch.setattr(Journal, "commit", commit)
    with pytest.raises(Killed):
        masked.run()
    masked.run()
    for hospital in masked.hospitals.values():
        made = [(c.slot.phase, c.slot.round, c.slot.attempt) for c in hospital.ledger.charges()]
        assert made == [("qc", 0, 0), *(("train", r, 0) for r in range(4)), ("evaluate", 0, 0)]
    assert {row.status for row in audited(masked, tmp_path).values()} == {"PASS"}


def test_a_site_that_lost_its_key_announces_a_new_one_and_the_sum_is_made_again(masked, tmp_path):
    lost = []

    def before(_number, rpc):
        if rpc == "train" and not lost:
            lost.append(masked.hospitals["east"].masking.forget(masked.study.digest))

    masked.network.before = before
    running = masked.run()
    assert len(masked.log_bodies("sum-key.received.v1")) == 5
    assert running.journal.rounds()[0].sites == ("east", "north", "south", "west")
    rows = audited(masked, tmp_path)
    assert {row.status for row in rows.values()} == {"PASS"}


def test_a_share_that_is_not_under_its_masks_spoils_the_sum_and_is_noticed(masked):
    """A site whose share carries other masks, as after different requests: the sum is noise."""

    def other_masks(rpc, data, reply):
        if rpc != "train":
            return reply
        message, arrays = decode(reply)
        assert isinstance(message, ReleaseReply)
        rng = np.random.default_rng(3)
        spoiled = {"masked": rng.integers(0, 2**64, arrays["masked"].size, dtype=np.uint64)}
        hospital = masked.hospitals["north"]
        receipt = seal(
            hospital.key,
            message.receipt.type,
            message.receipt.payload | {"release_digest": arrays_digest(spoiled)},
        )
        update = {"release_digest": arrays_digest(spoiled), "receipt": receipt}
        return encode(message.model_copy(update=update), spoiled)

    masked.network.faults["north"] = other_masks
    with pytest.raises(CheckFailed) as failed:
        masked.run()
    assert failed.value.code == "CK030"


def test_a_key_that_the_site_did_not_sign_is_refused_at_enrolment(masked):
    def stranger(rpc, _data, reply):
        if rpc != "describe":
            return reply
        message, arrays = decode(reply)
        forged = seal(SigningKey.generate(), message.sum_key.type, message.sum_key.payload)
        return encode(message.model_copy(update={"sum_key": forged}), arrays)

    masked.network.faults["south"] = stranger
    running = masked.run()
    assert [r.sites for r in running.journal.rounds()] == [("east", "north", "west")] * 4
    assert "IN030" in {reply.code for reply in running.journal.replies("enrol")}


def test_a_coordinator_that_asks_sites_on_different_weights_gets_only_noise(masked):
    """Each site's request is its own digest: no mask has a counterpart in the sum."""
    running = masked.open()
    shares = []

    asked = masked.network.ask

    def ask(rpc, requests, timeout_s, arrays=b""):
        if rpc != "train":
            return asked(rpc, requests, timeout_s, arrays)
        answers = {}
        for site, head in requests.items():
            weights = decode(head + arrays)[1]["weights"] + (0.5 if site == "north" else 0.0)
            other = array_bytes({"weights": weights})
            answers |= asked(rpc, {site: head}, timeout_s, other)
        shares.append([decode(a.data)[1]["masked"] for a in answers.values() if a.data])
        return answers

    masked.network.ask = ask
    drive(running)  # north's receipt is for another request: the attempt is void
    total = np.add.reduce(shares[0])
    assert np.abs(total.view(np.int64).astype(float)).min() > 2.0**50
    assert masked.log_bodies("round.started.v1")[1].attempt == 1


@pytest.mark.parametrize("fraud", ["a share is missing", "shares of two attempts"])
def test_a_sum_of_other_shares_than_an_attempts_is_caught(masked, tmp_path, monkeypatch, fraud):
    drop(masked, "south", exchange=2)
    honest = secure.used_releases

    def used(outcome):
        found = honest(outcome)
        if fraud == "a share is missing":
            return found[1:]
        received = masked.log_bodies("release.received.v1")
        other = [b for b in received if (b.site, b.slot.round, b.slot.attempt) == ("east", 1, 0)]
        swapped = [UsedRelease(site=b.site, release=b.release) for b in other]
        return (*swapped, *(item for item in found if item.site != "east")) if other else found

    monkeypatch.setattr(secure, "used_releases", used)
    masked.run()
    assert audited(masked, tmp_path)["sums"].status == "FAIL"
