"""The hospital's rules: nobody but the hospital loosens them."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cordon_client.approval import terms_of
from cordon_client.office import Office
from cordon_client.vault.airlock import Airlock
from cordon_client.vault.policy import check_permit, load_policy, trust_coordinator
from cordon_client.vault.state import VaultState
from cordon_common.errors import BudgetExhausted, CordonError, PolicyRefused, ProtocolError
from cordon_common.privacy.accounting import lifetime_epsilon
from cordon_common.protocol.parse import STUDY_TYPE
from cordon_common.signing import SigningKey, seal


def edit(site, old, new):
    text = site.home.policy_file.read_text()
    assert old in text
    site.home.policy_file.write_text(text.replace(old, new))


def test_a_study_within_the_policy_is_approved_and_held_against_the_budget(site):
    with Office.open(site.home, clock=lambda: datetime(2026, 6, 1, tzinfo=UTC)) as office:
        view = office.budget()
    assert [study.name for study in view.studies] == ["toy-study"]
    assert 0 < view.held_epsilon < view.lifetime_epsilon


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("max_epsilon: 4.0", "max_epsilon: 2.0", "PO102"),
        ("max_delta: 1.0e-4", "max_delta: 1.0e-6", "PO102"),
        ("min_patients: 20", "min_patients: 50", "PO103"),
        ("min_sites: 2", "min_sites: 3", "PO103"),
        ("models: [logistic, mlp, vae, cnn1d, transformer]", "models: [mlp]", "PO104"),
    ],
)
def test_a_study_outside_the_policy_is_refused_at_approval_and_at_every_request(
    site, old, new, code
):
    edit(site, old, new)
    _, envelope = site.sign(version=2)
    with pytest.raises(PolicyRefused) as caught:
        site.approve(envelope)
    assert caught.value.code == code
    state = site.open_vault()
    with pytest.raises(PolicyRefused) as caught:
        Airlock(state).answer("qc", site.request("qc"))
    assert caught.value.code == code
    state.ledger.close()


def test_a_study_signed_by_a_stranger_is_refused(site):
    stranger = SigningKey.generate()
    with pytest.raises(ProtocolError) as caught:
        site.approve(seal(stranger, STUDY_TYPE, site.study.as_json()))
    assert caught.value.code == "PR003"


def test_a_study_whose_text_was_changed_after_signing_is_refused(site):
    envelope = seal(site.coordinator, STUDY_TYPE, site.study.as_json())
    payload = dict(envelope.payload) | {"version": 9}
    with pytest.raises(CordonError) as caught:
        site.approve(envelope.model_copy(update={"payload": payload}))
    assert caught.value.code == "IN001"


def test_a_study_with_less_noise_than_its_epsilon_needs_is_refused(site):
    value = site.study.as_json() | {"version": 3}
    noise = value["privacy"]["noise"]
    value["privacy"] |= {"noise": noise | {"training": noise["training"] * 0.9}}
    with pytest.raises(PolicyRefused) as caught:
        site.approve(seal(site.coordinator, STUDY_TYPE, value))
    assert caught.value.code == "PO102"


def test_a_study_without_this_site_on_its_roster_is_refused(site):
    roster = site.study.as_json()["roster"]
    roster[0] |= {"site": "elsewhere"}
    _, envelope = site.sign(roster=roster)
    with pytest.raises(PolicyRefused) as caught:
        site.approve(envelope)
    assert caught.value.code == "PO101"


def test_an_ended_permit_stops_a_running_study(site):
    with pytest.raises(PolicyRefused) as caught:
        check_permit(site.study, date(2028, 1, 1))
    assert caught.value.code == "PO105"
    state = VaultState(site.home, clock=lambda: datetime(2028, 1, 1, tzinfo=UTC))
    with pytest.raises(PolicyRefused) as caught:
        Airlock(state).answer("qc", site.request("qc"))
    assert caught.value.code == "PO105"
    state.ledger.close()


def approve_all(site, envelopes):
    for envelope in envelopes:
        site.approve(envelope)


def test_studies_add_up_until_the_lifetime_budget_is_reached(site):
    envelopes = [site.sign(version=version)[1] for version in range(2, 16)]
    with pytest.raises(BudgetExhausted, match="BU001"):
        approve_all(site, envelopes)
    with Office.open(site.home, clock=lambda: datetime(2026, 6, 1, tzinfo=UTC)) as office:
        view = office.budget()
        assert view.held_epsilon <= view.lifetime_epsilon
        assert len(view.studies) >= 3


def test_a_lifetime_budget_that_was_lowered_after_the_approval_holds(site, weights):
    edit(site, "epsilon: 10.0", "epsilon: 1.8")  # the plan that was approved costs more
    strict = site.open_vault()
    airlock = Airlock(strict)
    airlock.answer("qc", site.request("qc"))
    codes = []
    for round_ in range(4):
        try:
            airlock.answer("train", site.request("train", round_, weights=weights))
            codes.append("released")
        except BudgetExhausted as error:
            codes.append(error.code)
    strict.ledger.close()
    released = codes.count("released")
    assert released > 0
    assert codes == ["released"] * released + ["BU001"] * (4 - released) != ["released"] * 4
    with Office.open(site.home, clock=lambda: datetime(2026, 6, 1, tzinfo=UTC)) as office:
        events = [charge.event for charge in office.ledger.charges()]
        assert len(events) == 1 + released
        assert lifetime_epsilon([events], office.budget().lifetime_delta).pld <= 1.8


def test_closing_a_study_frees_what_it_had_not_spent(site):
    with Office.open(site.home, clock=lambda: datetime(2026, 6, 1, tzinfo=UTC)) as office:
        held = office.budget().held_epsilon
        office.close_study("toy-study")
        assert office.budget().held_epsilon == 0 < held


def test_a_vault_is_ready_until_its_data_or_its_budget_is_gone(site, vault, weights):
    airlock = Airlock(vault)
    assert vault.ready()
    edit(site, "epsilon: 10.0", "epsilon: 1.5")  # the one approved study holds more than that
    airlock.answer("qc", site.request("qc"))
    strict = site.open_vault()
    assert strict.ready()
    for round_ in range(4):
        airlock.answer("train", site.request("train", round_, weights=weights))
    airlock.answer("evaluate", site.request("evaluate", weights=weights))
    assert not strict.ready()
    assert vault.ready()  # its policy, as read at start, still has budget
    strict.ledger.close()


def test_trusting_a_coordinator_keeps_the_comments_and_is_done_once(site):
    key = SigningKey.generate().public
    before = site.home.policy_file.read_text()
    trust_coordinator(site.home.policy_file, key, "second")
    trust_coordinator(site.home.policy_file, key, "second")
    policy = load_policy(site.home.policy_file)
    assert len(policy.trusted_keys) == 2
    assert all(line in site.home.policy_file.read_text() for line in before.splitlines())


def test_a_wrong_policy_field_is_named_with_an_example(site):
    edit(site, "epsilon: 10.0", "epsilon: -1")
    with pytest.raises(ProtocolError) as caught:
        load_policy(site.home.policy_file)
    assert "lifetime.epsilon" in caught.value.why
    assert "for example" in caught.value.why


def test_the_terms_declare_the_codes_of_an_unusable_cohort(site, airlock):
    terms = terms_of(site.study)
    Path(site.home.config().dataset.file).write_text("patient_id,age\n1,2\n")
    with pytest.raises(CordonError) as caught:
        airlock.answer("qc", site.request("qc"))
    assert caught.value.code == "DA007"
    assert any("when the cohort cannot be used, the code of why" in t for t in terms.unprotected)
