"""Reserve → compute → settle → sign → return, and nothing else leaves."""

import threading
from pathlib import Path

import numpy as np
import pytest
from small_site import kept

from cordon_client.vault.airlock import Airlock
from cordon_common.errors import BudgetExhausted, CordonError, PolicyRefused, ProtocolError
from cordon_common.ledger.receipt import Receipt
from cordon_common.privacy.schedule import planned_events
from cordon_common.signing import SigningKey
from cordon_common.wire import (
    DescribeRequest,
    ReceiptsRequest,
    arrays_digest,
    decode,
    request_digest,
)


def refused(airlock, rpc, data):
    with pytest.raises(CordonError) as caught:
        airlock.answer(rpc, data)
    return caught.value.code


def test_a_site_describes_an_approved_study_and_its_initial_weights(site, airlock):
    data = site.ask(DescribeRequest(study=site.study.digest, run="run-1"))
    reply, arrays = decode(airlock.answer("describe", data))
    assert reply.site == "north"
    assert reply.weights_digest == arrays_digest(arrays)
    assert arrays["weights"].shape == (5,)
    assert site.charges() == []


def test_every_release_is_charged_as_planned_and_signed(site, airlock, weights):
    plan = planned_events(site.study)
    for phase, event, given in (
        ("qc", plan.qc, None),
        ("train", plan.training, weights),
        ("evaluate", plan.evaluation, weights),
    ):
        data = site.request(phase, weights=given)
        reply, arrays = decode(airlock.answer(phase, data))
        charge = site.charges()[-1]
        assert charge.event == event
        assert arrays["release"].dtype == np.int64
        assert arrays["release"].shape == (event.dimension,)
        assert reply.release_digest == arrays_digest(arrays)
        assert reply.receipt.verify("cordon.receipt.v1") == site.study_key
        receipt = Receipt.model_validate(reply.receipt.payload)
        message, sent = decode(data)
        assert receipt.request_digest == request_digest(message, arrays_digest(sent))
        assert receipt.event == event


def test_a_repeated_request_gets_the_stored_answer_and_costs_nothing(site, airlock, weights):
    airlock.answer("qc", site.request("qc"))
    first = kept(airlock.answer("train", site.request("train", weights=weights)))
    charges = site.charges()
    assert kept(airlock.answer("train", site.request("train", weights=weights))) == first
    assert site.charges() == charges


def test_a_repeated_request_gets_the_stored_answer_after_a_restart(site, weights):
    state = site.open_vault()
    airlock = Airlock(state)
    airlock.answer("qc", site.request("qc"))
    first = kept(airlock.answer("train", site.request("train", weights=weights)))
    state.ledger.close()
    again = site.open_vault()
    assert kept(Airlock(again).answer("train", site.request("train", weights=weights))) == first
    again.ledger.close()


def test_ten_equal_requests_at_once_get_one_draw(site, airlock, weights):
    airlock.answer("qc", site.request("qc"))
    answers = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(
                airlock.answer("train", site.request("train", weights=weights))
            )
        )
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 10
    assert len({kept(answer) for answer in answers}) == 1
    assert len(site.charges()) == 2


def test_other_weights_in_a_used_slot_are_refused(site, airlock, weights):
    airlock.answer("qc", site.request("qc"))
    airlock.answer("train", site.request("train", weights=weights))
    assert refused(airlock, "train", site.request("train", weights=weights + 1)) == "PO110"
    assert len(site.charges()) == 2


def test_a_second_campaign_of_the_same_study_finds_the_budget_used(site, airlock, weights):
    airlock.answer("qc", site.request("qc"))
    for round_ in range(4):
        airlock.answer("train", site.request("train", round_, weights=weights))
    with pytest.raises(BudgetExhausted) as caught:
        airlock.answer("train", site.request("train", 0, weights=weights, run="run-2"))
    assert caught.value.code == "BU002"
    assert len(site.charges()) == 5


def test_a_crash_between_reserve_and_settle_neither_loses_nor_doubles_the_charge(
    site, vault, weights, monkeypatch
):
    airlock = Airlock(vault)
    airlock.answer("qc", site.request("qc"))
    with monkeypatch.context() as broken:
        broken.setattr(vault, "compute", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            airlock.answer("train", site.request("train", weights=weights))
    assert len(site.charges()) == 2
    reply, _ = decode(airlock.answer("train", site.request("train", weights=weights)))
    assert len(site.charges()) == 2
    assert Receipt.model_validate(reply.receipt.payload).event.purpose == "training"


@pytest.mark.parametrize(
    ("phase", "round_", "attempt"),
    [("train", 4, 0), ("qc", 1, 0), ("evaluate", 1, 0), ("train", 0, 3)],
)
def test_a_slot_outside_the_approved_plan_is_refused(
    site, airlock, weights, phase, round_, attempt
):
    given = None if phase == "qc" else weights
    data = site.request(phase, round_, weights=given, attempt=attempt)
    assert refused(airlock, phase, data) == "PO106"
    assert site.charges() == []


def test_training_before_quality_control_is_refused(site, airlock, weights):
    assert refused(airlock, "train", site.request("train", weights=weights)) == "PO107"
    assert site.charges() == []


@pytest.mark.parametrize("size", [0, 4, 6])
def test_weights_of_the_wrong_size_are_refused_before_anything_is_charged(site, airlock, size):
    assert refused(airlock, "train", site.request("train", weights=np.zeros(size))) == "PR008"
    assert site.charges() == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(site, airlock, value):
    assert refused(airlock, "train", site.request("train", weights=np.full(5, value))) == "PR008"


def test_a_study_that_was_never_approved_is_refused(site, airlock):
    other, _ = site.sign(name="another-study")
    assert refused(airlock, "qc", site.request("qc", study=other)) == "PO100"


def test_a_request_under_another_call_is_refused(site, airlock):
    assert refused(airlock, "train", site.request("qc")) == "PR005"
    assert refused(airlock, "describe", site.request("qc")) == "PR005"


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x05ab", b"\0\0\0\x02{}", b"\xff" * 400])
def test_bytes_that_are_no_message_are_refused(airlock, data):
    assert refused(airlock, "train", data) == "PR005" or data.startswith(b"\xff")
    with pytest.raises(ProtocolError):
        airlock.answer("train", data)


def test_refusals_are_recorded_but_cannot_fill_the_ledger(site, vault, airlock):
    before = len(vault.ledger.log.entries())
    other, _ = site.sign(name="another-study")
    for round_ in range(200):
        refused(airlock, "train", site.request("train", round_, study=other))
    assert 1 <= len(vault.ledger.log.entries()) - before <= 9


def test_receipts_list_what_left_and_are_signed(site, airlock, weights):
    airlock.answer("qc", site.request("qc"))
    airlock.answer("train", site.request("train", weights=weights))
    data = site.ask(ReceiptsRequest(study=site.study.digest, run="run-1"))
    reply, arrays = decode(airlock.answer("receipts", data))
    assert arrays == {}
    events = [Receipt.model_validate(r.payload).event.purpose for r in reply.receipts]
    assert events == ["qc", "training"]
    assert "cordon/site/north" in reply.checkpoint


def test_noise_of_two_rounds_differs_and_has_the_planned_scale(site, airlock, weights):
    airlock.answer("qc", site.request("qc"))
    plan = planned_events(site.study)
    draws = [
        decode(airlock.answer("train", site.request("train", r, weights=weights)))[1]["release"]
        for r in range(4)
    ]
    differences = np.diff(np.array(draws, dtype=float), axis=0) / plan.training.noise_std_grid
    assert np.abs(differences).min() > 0
    assert 0.2 < differences.std() < 3.5


def test_a_refusal_carries_the_code_and_the_fixed_text_only(site, airlock, weights):
    airlock.answer("qc", site.request("qc"))
    for round_ in range(4):
        airlock.answer("train", site.request("train", round_, weights=weights))
    with pytest.raises(PolicyRefused) as caught:
        airlock.answer("train", site.request("train", 0, weights=weights, run="other"))
    assert caught.value.why == ""
    assert caught.value.__cause__ is None


@pytest.fixture(autouse=True)
def _study_key(site):
    site.study_key = SigningKey.load(site.home.identity_key).public


def test_requests_for_ever_new_runs_leave_nothing_in_memory(site, airlock, weights):
    def kept():
        return sum(len(value) for value in vars(airlock).values() if hasattr(value, "__len__"))

    before = kept()
    for number in range(50):
        asked = site.request("train", run=f"run-{number}", weights=weights)
        assert refused(airlock, "train", asked) == "PO107"
    assert kept() == before


def test_the_ledger_names_the_data_that_was_read_not_the_data_at_start(site, vault, airlock):
    def registered():
        return [entry for entry in vault.ledger.log.entries() if b"data.registered" in entry]

    assert len(registered()) == 1
    file = Path(vault.config.dataset.file)
    file.write_text(file.read_text().rsplit("\n", 2)[0] + "\n")
    airlock.answer("qc", site.request("qc"))
    assert len(registered()) == 2
