"""The hospital's rules: nobody but the hospital loosens them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from small_site import clock

from cordon_client.approval import terms_of
from cordon_client.doctor import examine
from cordon_client.office import Office
from cordon_client.vault.airlock import Airlock
from cordon_client.vault.policy import check_permit, load_policy, trust_coordinator
from cordon_client.vault.state import VaultState
from cordon_common.errors import (
    BudgetExhausted,
    CordonError,
    IntegrityError,
    PolicyRefused,
    ProtocolError,
    SystemFault,
)
from cordon_common.ledger.entries import SITE_KINDS, PolicySet, parse_entry
from cordon_common.privacy.accounting import lifetime_epsilon
from cordon_common.protocol.parse import STUDY_TYPE
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import decode_head, encode


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
        ("min_cell: 10", "min_cell: 20", "PO103"),
        ("max_share: 0.8", "max_share: 0.6", "PO103"),
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


def test_an_edited_policy_counts_from_the_next_request_of_a_running_vault(site, vault, weights):
    airlock = Airlock(vault)
    airlock.answer("qc", site.request("qc"))
    before = site.home.policy_file.read_text()
    edit(site, "max_epsilon: 4.0", "max_epsilon: 1.0")
    asked = site.request("train", weights=weights)
    with pytest.raises(PolicyRefused, match="PO102"):
        airlock.answer("train", asked)
    site.home.policy_file.write_text(before + "what: is this")
    with pytest.raises(ProtocolError, match="PR004"):
        airlock.answer("train", asked)
    assert not vault.ready()
    site.home.policy_file.write_text(before)
    airlock.answer("train", asked)
    policies = [b.policy for b in bodies(vault) if isinstance(b, PolicySet)]
    assert len(policies) == 3  # at the approval, and at every change to another valid one
    assert policies[-1] == load_policy(site.home.policy_file).digest


def bodies(vault):
    return [parse_entry(data, SITE_KINDS).body for data in vault.ledger.log.entries()]


def at(moment):
    return lambda: datetime.fromisoformat(moment)


def test_a_clock_set_back_does_not_reopen_an_ended_permit(site):
    """The permit ends with 2027; a vault that has seen 2028 does not work in 2027 again."""
    late = VaultState(site.home, clock=at("2028-01-01T00:10:00+00:00"))
    with pytest.raises(PolicyRefused, match="PO105"):
        Airlock(late).answer("qc", site.request("qc"))
    late.ledger.close()
    back = at("2027-12-31T23:00:00+00:00")
    with pytest.raises(SystemFault, match="SY102") as caught:
        VaultState(site.home, clock=back)
    assert caught.value.why == "4200 s behind"
    (finding,) = [row for row in examine(site.home, back) if row.check == "clock"]
    assert (finding.status, finding.code) == ("fail", "SY102")
    with Office.open(site.home, clock=back) as office, pytest.raises(SystemFault, match="SY102"):
        office.examine(site.sign(version=2)[1])


def test_a_clock_set_back_under_a_running_vault_stops_it(site):
    now = [datetime(2028, 1, 1, 0, 10, tzinfo=UTC)]
    state = VaultState(site.home, clock=lambda: now[0])
    asked = site.request("qc")
    now[0] -= timedelta(minutes=4)  # within the tolerance: still the ended permit
    with pytest.raises(PolicyRefused, match="PO105"):
        Airlock(state).answer("qc", asked)
    now[0] -= timedelta(minutes=7)
    with pytest.raises(SystemFault, match="SY102"):
        Airlock(state).answer("qc", asked)
    assert not state.ready()
    state.ledger.close()


def test_the_budget_and_the_doctor_show_a_log_that_was_refused(site, airlock):
    def shown():
        with Office.open(site.home, clock=clock) as office:
            (log,) = office.budget().logs
        (finding,) = [row for row in examine(site.home, clock) if row.check == "coordinator's log"]
        return log.code, finding.status, finding.code

    asked = site.request("qc")
    airlock.answer("qc", asked)
    assert shown() == ("", "pass", "")
    message = decode_head(asked)
    without = message.model_copy(update={"witness": None})
    with pytest.raises(IntegrityError, match="IN114"):
        airlock.answer("qc", encode(without))
    assert shown() == ("IN114", "fail", "IN114")


def test_closing_a_study_frees_what_it_had_not_spent(site):
    with Office.open(site.home, clock=lambda: datetime(2026, 6, 1, tzinfo=UTC)) as office:
        held = office.budget().held_epsilon
        office.close_study("toy-study")
        assert office.budget().held_epsilon == 0 < held


def test_a_vault_is_ready_until_its_data_or_its_budget_is_gone(site, vault, weights):
    airlock = Airlock(vault)
    assert vault.ready()
    airlock.answer("qc", site.request("qc"))
    for round_ in range(4):
        airlock.answer("train", site.request("train", round_, weights=weights))
    airlock.answer("evaluate", site.request("evaluate", weights=weights))
    assert vault.ready()  # the lifetime budget allows another study
    edit(site, "epsilon: 10.0", "epsilon: 1.5")  # the one study has spent more than that
    assert not vault.ready()
    edit(site, "epsilon: 1.5", "epsilon: 10.0")
    assert vault.ready()


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
