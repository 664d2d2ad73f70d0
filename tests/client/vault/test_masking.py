"""Masked sums at the vault: every way in which a coordinator could cheat is refused with a code."""

from __future__ import annotations

import numpy as np
import pytest
from small_site import POLICY, RUN, clock, kept, make_site, write_cohort

from cordon_client.office import Office
from cordon_client.vault.airlock import Airlock
from cordon_client.vault.sum_keys import SumKeys
from cordon_common.errors import CordonError
from cordon_common.ledger.receipt import open_receipt
from cordon_common.privacy.schedule import planned_events
from cordon_common.securesum.keys import announce, key_of_run, open_roster, public_bytes
from cordon_common.securesum.masks import Attempt, apply_masks, masks_of, pair_secrets
from cordon_common.signing import PublicKey, SigningKey, seal
from cordon_common.wire import (
    DescribeRequest,
    SumRequest,
    arrays_digest,
    decode,
    request_digest,
)

PRIVACY = {
    "epsilon": 3.0,
    "delta": 1e-5,
    "unprotected": ["participation", "qc_verdict"],
    "trust_model": "secure-sum",
    "colluding_sites": 1,
}
PEERS = ("east", "south", "west")
SUMS = POLICY.with_name("secure-sum.yaml")
GATE = {"gate": {"min_patients": 20, "min_sites": 3}}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("data") / "cohort.csv")


class Vault:
    """A real site in a study of masked sums with three others, its airlock, and quality control done."""

    def __init__(self, root, cohort, **changes):
        changes = {"privacy": PRIVACY, "qc": GATE} | changes
        self.site = make_site(root, cohort, peers=PEERS, policy=SUMS, **changes)
        self.state = self.site.open_vault()
        self.airlock = Airlock(self.state)
        self.weights = np.zeros(5)

    def restart(self):
        self.close()
        self.state = self.site.open_vault()
        self.airlock = Airlock(self.state)

    def announced(self, run=RUN):
        request = self.site.ask(DescribeRequest(study=self.site.study.digest, run=run))
        return decode(self.airlock.answer("describe", request))[0].sum_key

    def roster(self, *names, **replaced):
        found = {"north": self.announced()} if "north" not in replaced else {}
        found |= {name: self.site.announcement(name) for name in PEERS}
        names = names or ("east", "north", "south", "west")
        return [(found | replaced)[name] for name in sorted(names)]

    def request(self, roster=None, weights=None, **place):
        given = self.weights if weights is None else weights
        return self.site.sum_request(roster or self.roster(), weights=given, **place)

    def train(self, roster=None, **place):
        return kept(self.airlock.answer("train", self.request(roster, **place)))

    def code(self, *arguments, **place):
        with pytest.raises(CordonError) as refused:
            self.train(*arguments, **place)
        return refused.value.code

    def charged(self):
        charges = [c for c in self.state.ledger.charges() if c.slot.phase == "train"]
        return [(charge.slot.round, charge.slot.attempt) for charge in charges]

    def close(self):
        self.state.ledger.close()


@pytest.fixture
def vault(tmp_path, cohort):
    made = Vault(tmp_path / "north", cohort)
    made.airlock.answer("qc", made.site.request("qc"))
    yield made
    made.close()


def test_what_leaves_is_the_share_under_the_masks_that_the_others_take_off(vault):
    reply, arrays = decode(vault.train())
    roster = open_roster(
        vault.roster(),
        study=vault.site.study.digest,
        run=RUN,
        identities={e.site: PublicKey.parse(e.key) for e in vault.site.study.roster},
    )
    message = SumRequest(slot=reply.slot, roster=tuple(vault.roster()))
    asked = request_digest(message, arrays_digest({"weights": vault.weights}))
    others = np.zeros(arrays["masked"].size, dtype=np.uint64)
    attempt = Attempt(reply.slot, roster.digest, asked)
    for peer in PEERS:
        own = key_of_run(peer.encode() * 4, study=vault.site.study.digest, run=RUN)
        apply_masks(others, masks_of(peer, pair_secrets(peer, own, roster), attempt))
    unmasked = (arrays["masked"] + others).view(np.int64)
    event = planned_events(vault.site.study).training
    assert event.sites == 4
    largest = 120 * 2.0**24 + 12 * event.noise_std_grid
    assert np.abs(unmasked.astype(float)).max() < largest
    assert np.abs(arrays["masked"].view(np.int64).astype(float)).max() > largest
    facts = open_receipt(reply.receipt, vault.state.key.public)
    assert facts.event == event
    assert facts.request_digest == asked


def test_the_same_request_gets_the_stored_share_and_no_second_draw(vault):
    first = vault.train()
    assert vault.train() == first
    vault.restart()
    assert vault.train() == first
    assert vault.charged() == [(0, 0)]


def test_a_key_survives_a_restart_and_every_run_has_its_own(vault):
    before = vault.announced()
    vault.restart()
    assert vault.announced() == before
    assert vault.announced(run="run-2").payload["key"] != before.payload["key"]


def test_a_coordinator_that_swaps_a_key_for_its_own_is_found_out(vault):
    mine = SigningKey.generate()
    digest = vault.site.study.digest
    own = key_of_run(b"m" * 32, study=digest, run=RUN)
    swapped = announce(mine, own, study=digest, run=RUN, site="south")
    assert vault.code(vault.roster(south=swapped)) == "IN030"
    pretending = swapped.model_copy(update={"key": str(vault.site.peers["south"].public)})
    assert vault.code(vault.roster(south=pretending)) == "IN030"
    assert vault.charged() == []


def test_keys_of_another_run_or_study_or_site_are_not_taken(vault):
    assert vault.code(vault.roster(south=vault.site.announcement("south", run="run-2"))) == "IN030"
    other = "sha256:" + "0" * 64
    assert vault.code(vault.roster(south=vault.site.announcement("south", study=other))) == "IN030"
    assert vault.code(vault.roster(south=vault.site.announcement("south", site="east"))) == "IN030"
    foreign = seal(vault.site.peers["south"], "cordon.receipt.v1", vault.roster()[2].payload)
    assert vault.code(vault.roster(south=foreign)) == "IN030"


def test_a_hospital_that_is_not_on_the_approved_roster_is_not_taken(vault):
    stranger = SigningKey.generate()
    vault.site.peers["zurich"] = stranger
    roster = [*vault.roster(), vault.site.announcement("zurich")]
    assert vault.code(roster) == "IN030"


def test_a_hospital_that_stands_twice_or_out_of_order_is_not_taken(vault):
    roster = vault.roster()
    assert vault.code([*roster, roster[-1]]) == "IN030"
    assert vault.code(roster[::-1]) == "IN030"


def test_fewer_sites_than_the_study_asks_for_are_refused(vault):
    assert vault.code(vault.roster("north", "south")) == "PO120"
    reply, _ = decode(vault.train(vault.roster("north", "south", "west")))
    event = open_receipt(reply.receipt, vault.state.key.public).event
    assert (event.sites, event.colluding) == (3, 1)


def test_an_attempt_without_this_site_or_with_an_old_key_of_it_is_refused(vault):
    assert vault.code(vault.roster("east", "south", "west")) == "PO121"
    before = vault.announced()
    vault.state.masking.forget(vault.site.study.digest)
    assert vault.code(vault.roster(north=before)) == "PO121"


def test_a_slot_is_given_to_one_roster_and_one_set_of_weights_only(vault):
    vault.train()
    assert vault.code(vault.roster("east", "north", "west")) == "PO110"
    assert vault.code(weights=np.ones(5)) == "PO110"
    assert vault.charged() == [(0, 0)]


def test_a_new_attempt_is_a_new_draw_and_a_new_charge(vault):
    first = decode(vault.train())[1]["masked"]
    second = decode(vault.train(attempt=1))[1]["masked"]
    assert not np.array_equal(first, second)
    assert vault.charged() == [(0, 0), (0, 1)]


def test_attempts_out_of_order_are_refused(vault):
    vault.train(round_=1, attempt=1)
    assert vault.code(round_=1, attempt=0) == "PO122"
    assert vault.code(round_=0, attempt=2) == "PO122"
    assert vault.charged() == [(1, 1)]
    vault.train(round_=1, attempt=2)


def test_attempts_end_where_the_protocol_and_the_budget_end(vault):
    assert vault.code(attempt=3) == "PO106"
    for number in range(3):
        vault.train(attempt=number)
    vault.train(round_=1)
    assert vault.code(round_=2) == "BU002"


def test_a_request_of_the_other_kind_is_refused(vault, tmp_path, cohort):
    with pytest.raises(CordonError) as refused:
        vault.airlock.answer("train", vault.site.request("train", weights=vault.weights))
    assert refused.value.code == "PO106"
    plain = make_site(tmp_path / "plain", cohort)
    state = plain.open_vault()
    data = plain.sum_request([plain.announcement("south")], weights=vault.weights)
    with pytest.raises(CordonError) as refused:
        Airlock(state).answer("train", data)
    assert refused.value.code == "PO106"
    state.ledger.close()


def test_keys_are_forgotten_once_the_model_was_evaluated(vault):
    before = vault.announced()
    first = vault.train()
    vault.airlock.answer("evaluate", vault.site.request("evaluate", weights=vault.weights))
    assert not any(vault.site.home.sum_secrets.iterdir())
    assert vault.announced() != before
    roster = vault.roster(north=before)
    assert vault.train(roster) == first  # stored answers are given for ever
    assert vault.code(roster, round_=1) == "PO121"


def test_a_vault_that_died_before_it_forgot_forgets_at_its_next_start(vault, monkeypatch):
    vault.announced()
    monkeypatch.setattr(type(vault.state.masking), "forget", lambda *_: None)
    vault.airlock.answer("evaluate", vault.site.request("evaluate", weights=vault.weights))
    assert any(vault.site.home.sum_secrets.iterdir())
    monkeypatch.undo()
    vault.restart()
    assert not any(vault.site.home.sum_secrets.iterdir())


def test_two_processes_agree_on_one_key(tmp_path):
    study = "sha256:" + "1" * 64
    keys = [SumKeys(tmp_path / "sums") for _ in range(2)]
    assert public_bytes(keys[0].key(study, RUN)) == public_bytes(keys[1].key(study, RUN))
    (secret,) = (tmp_path / "sums").iterdir()
    assert secret.stat().st_mode & 0o777 == 0o600
    keys[0].forget(study)
    keys[1].forget(study)
    assert not any((tmp_path / "sums").iterdir())


def test_a_policy_that_counts_by_itself_refuses_what_only_masks_make_cheap(tmp_path, cohort):
    with pytest.raises(CordonError) as refused:
        make_site(tmp_path / "local", cohort, peers=PEERS, policy=POLICY, privacy=PRIVACY, qc=GATE)
    assert refused.value.code == "PO102"
    assert "trust model local" in refused.value.why


def test_a_policy_may_ask_that_a_study_reckons_with_colluding_sites(tmp_path, cohort):
    trusting = PRIVACY | {"colluding_sites": 0}
    with pytest.raises(CordonError) as refused:
        make_site(tmp_path / "n", cohort, peers=PEERS, policy=SUMS, privacy=trusting, qc=GATE)
    assert refused.value.code == "PO104"
    assert "min_colluding_sites" in refused.value.why


def test_the_budget_tells_both_costs(vault):
    vault.train()
    vault.close()
    with Office.open(vault.site.home, clock=clock) as office:
        view = office.budget()
    (study,) = view.studies
    assert view.trust_model == study.trust_model == "secure-sum"
    assert study.planned_epsilon <= 3.0 < study.local_planned_epsilon
    assert study.spent_epsilon < study.local_spent_epsilon
    vault.state = vault.site.open_vault()


def test_a_closed_study_forgets_its_keys_and_still_repeats(vault):
    roster = vault.roster()
    first = vault.train(roster)
    with Office.open(vault.site.home, clock=clock) as office:
        office.close_study(vault.site.study.name)
    assert not any(vault.site.home.sum_secrets.iterdir())
    vault.restart()
    assert vault.train(roster) == first
    assert vault.code(roster, round_=1) in {"PO112", "PO121"}
