"""The probe passes the mechanism that ships and finds every way in which it could be broken."""

import numpy as np
import pytest
import torch
from small_site import make_site, study_value, write_cohort

from cordon_client.probe import canary, mechanism, noise
from cordon_client.probe.canary import _weights_that_tell, audit_with_canary, canary_row
from cordon_client.probe.clipping import clipping_rows, scaled
from cordon_client.probe.mechanism import Mechanism, patients
from cordon_client.probe.noise import measure, noise_rows
from cordon_client.probe.run import probe
from cordon_client.probe.sampling import sampling_rows
from cordon_client.training import fedavg, fedsgd
from cordon_client.training.noise import encode_grid
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import gradient_grid
from cordon_common.protocol.parse import parse_model
from cordon_common.protocol.study import Study

KEYS = [f"ed25519:{letter * 43}=" for letter in "AB"]


def make_study(trust="local", **changes):
    roster = [
        {"site": site, "key": key, "expected_patients": 120}
        for site, key in zip(("north", "south"), KEYS, strict=True)
    ]
    default = study_value(roster)
    training = default["training"] | {"rounds": 8} | changes
    if training["algorithm"] == "dp-fedavg":
        del training["optimizer"]
    privacy = default["privacy"] | {"trust_model": trust}
    value = study_value(roster, training=training, privacy=privacy)
    return resolve(parse_model(Study, value, code="PR001", what="test study"))


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.fixture(scope="module")
def sampled_study():
    return make_study(sampling={"scheme": "poisson", "rate": 0.25})


def generator():
    return np.random.default_rng(11)


def failed(rows):
    return {row.check for row in rows if row.status == "FAIL"}


def test_the_mechanism_that_ships_passes_every_row(study):
    report = probe(study, trials=200, generator=generator())
    assert {row.status for row in report.rows} == {"PASS"}
    assert report.canary.lower <= report.canary.claimed
    assert report.entry.passed


def test_local_steps_are_probed_step_by_step(monkeypatch):
    local = make_study(
        algorithm="dp-fedavg", local_steps=3, local_learning_rate=0.5, update_norm=10.0
    )
    mechanism = Mechanism.of(local)
    assert (mechanism.event.steps, mechanism.steps_per_round) == (1, 3)
    assert failed(noise_rows(measure(mechanism, generator()))) == set()
    quiet = mechanism.event.model_copy(
        update={"noise_multiplier": mechanism.event.noise_multiplier / 2}
    )
    broken = measure_with(mechanism, quiet, monkeypatch)
    assert {"noise.empty", "noise.filled"} <= failed(noise_rows(broken))


def measure_with(mechanism, event, monkeypatch):
    honest = fedavg.release_update
    monkeypatch.setattr(
        fedavg, "release_update", lambda t, w, s, _e, *, share: honest(t, w, s, event, share=share)
    )
    return measure(mechanism, generator())


def test_the_share_of_noise_in_a_masked_sum_is_probed(monkeypatch):
    masked = make_study(trust="secure-sum")
    mechanism = Mechanism.of(masked)
    assert failed(noise_rows(measure(mechanism, generator()))) == set()
    scale_noise(monkeypatch, mechanism.event.shares**-0.5)  # divided by K instead of its root
    assert "noise.empty" in failed(noise_rows(measure(mechanism, generator())))


def test_sampling_by_independent_coins_passes(sampled_study):
    rows = sampling_rows(Mechanism.of(sampled_study), generator())
    assert failed(rows) == set()
    assert {row.check for row in rows} == {"sampling.sizes", "sampling.coins"}


@pytest.mark.parametrize("factor", [0.9, 1.1, 0.1])
def test_noise_of_another_scale_is_found(study, monkeypatch, factor):
    scale_noise(monkeypatch, factor)
    found = failed(noise_rows(measure(Mechanism.of(study), generator())))
    assert {"noise.empty", "noise.filled"} <= found


def scale_noise(monkeypatch, factor):
    """Let the vault's rounds carry `factor` times the noise that the ledger says."""
    honest = fedsgd.release_round

    def louder(tensors, weights, study, event):
        multiplier = factor * event.noise_multiplier
        return honest(
            tensors, weights, study, event.model_copy(update={"noise_multiplier": multiplier})
        )

    monkeypatch.setattr(fedsgd, "release_round", louder)


def draw_noise(monkeypatch, draw):
    """Let the vault's rounds carry the noise that `draw(count, std)` makes."""

    def release(tensors, weights, study, event):
        exact = encode_grid(
            fedsgd.round_sum(tensors, weights, study), grid_per_unit=gradient_grid(study.training)
        )
        return exact + np.rint(draw(exact.size, event.noise_std_grid)).astype(np.int64)

    monkeypatch.setattr(fedsgd, "release_round", release)


def test_noise_of_another_shape_is_found(study, monkeypatch):
    half = 3**0.5
    draw_noise(
        monkeypatch,
        lambda count, std: np.random.default_rng().uniform(-half * std, half * std, count),
    )
    assert "noise.shape" in failed(noise_rows(measure(Mechanism.of(study), generator())))


def test_a_seed_that_is_used_again_is_found(study, monkeypatch):
    draw_noise(monkeypatch, lambda count, std: np.random.default_rng(5).normal(0, std, count))
    assert "noise.fresh" in failed(noise_rows(measure(Mechanism.of(study), generator())))


def test_a_generator_that_starts_alike_in_every_process_is_found(monkeypatch):
    monkeypatch.setattr(noise, "_OTHER_PROCESS", "print([1, 2, 3])")
    assert noise.processes_row().status == "FAIL"
    monkeypatch.setattr(noise, "_OTHER_PROCESS", "raise SystemExit(1)")
    assert noise.processes_row().status == "FAIL"


def test_clipping_that_is_off_is_found(study, monkeypatch):
    unclipped(monkeypatch)
    assert "clipping" in failed(clipping_rows(Mechanism.of(study), generator()))


def unclipped(monkeypatch):
    """The clip norm that the engine is given is a thousand times the study's."""
    honest = fedsgd.engine_for
    monkeypatch.setattr(
        fedsgd, "engine_for", lambda model, *, clip_norm: honest(model, clip_norm=1000 * clip_norm)
    )


def test_a_record_that_counts_as_a_patient_is_found(study, monkeypatch):
    from dataclasses import replace

    def per_record(self, tensors, weights):
        apart = replace(
            tensors, patients=np.arange(len(tensors.labels)), n_patients=len(tensors.labels)
        )
        return honest(self, apart, weights)

    honest = Mechanism.whole_sum
    monkeypatch.setattr(Mechanism, "whole_sum", per_record)
    assert "unit" in failed(clipping_rows(Mechanism.of(study), generator()))


def test_a_sum_that_is_divided_by_the_number_of_patients_is_found(study, monkeypatch):
    honest = Mechanism.whole_sum
    monkeypatch.setattr(
        Mechanism,
        "whole_sum",
        lambda self, tensors, weights: honest(self, tensors, weights) / max(tensors.n_patients, 1),
    )
    assert "divisor" in failed(clipping_rows(Mechanism.of(study), generator()))


def test_a_model_that_mixes_patients_is_found(study, monkeypatch):
    from cordon_client.models.feedforward import FeedForward

    honest = FeedForward.per_sample_loss

    def mixed(self, batch, aux):
        loss = honest(self, batch, aux)
        return loss + 0.1 * loss.mean() if len(loss) > 1 else loss

    monkeypatch.setattr(FeedForward, "per_sample_loss", mixed)
    assert "coupling" in failed(clipping_rows(Mechanism.of(study), generator()))


def coins(count, rate):
    return np.random.default_rng().random(count) < rate


def drawing(draw):
    """A sampler that draws so where the study samples, and takes everyone where it does not."""
    return lambda count, sampling: (
        draw(count) if sampling.scheme == "poisson" else np.ones(count, dtype=bool)
    )


def test_shuffling_instead_of_sampling_is_found(sampled_study, monkeypatch):
    def shuffled(count):
        picked = np.zeros(count, dtype=bool)
        picked[np.random.default_rng().permutation(count)[: round(count / 4)]] = True
        return picked

    monkeypatch.setattr(fedsgd, "draw_patients", drawing(shuffled))
    found = failed(sampling_rows(Mechanism.of(sampled_study), generator()))
    assert "sampling.sizes" in found


def test_another_sampling_rate_is_found(sampled_study, monkeypatch):
    monkeypatch.setattr(fedsgd, "draw_patients", drawing(lambda n: coins(n, 0.3)))
    found = failed(sampling_rows(Mechanism.of(sampled_study), generator()))
    assert "sampling.sizes" in found


def test_epochs_in_which_everybody_has_a_turn_are_found(sampled_study, monkeypatch):
    rounds = iter(range(10**6))
    monkeypatch.setattr(
        fedsgd, "draw_patients", drawing(lambda n: np.full(n, next(rounds) % 4 == 0))
    )
    assert "sampling.coins" in failed(sampling_rows(Mechanism.of(sampled_study), generator()))


def test_full_batch_that_leaves_patients_out_is_found(study, monkeypatch):
    monkeypatch.setattr(
        fedsgd, "draw_patients", lambda n, sampling: np.random.default_rng().random(n) < 0.9
    )
    monkeypatch.setattr(
        Mechanism, "whole_sum", lambda self, t, w: np.ones(self.event.dimension) * t.n_patients
    )
    assert failed(sampling_rows(Mechanism.of(study), generator())) == {"sampling"}


def test_the_attack_disproves_the_claim_of_a_tenth_of_the_noise(study, monkeypatch):
    scale_noise(monkeypatch, 0.1)
    audit = audit_with_canary(Mechanism.of(study), generator(), trials=200)
    assert audit.violated
    assert canary_row(audit).status == "FAIL"
    assert dict(audit.power)["noise × 0.1"] > 0.95


def test_torch_threads_are_left_as_they_are(study):
    before = torch.get_num_threads()
    clipping_rows(Mechanism.of(study), generator())
    assert torch.get_num_threads() == before


def test_made_up_patients_need_no_data_of_the_hospital(study):
    made = mechanism.patients(study, generator(), count=3, records=2)
    assert made.n_patients == 3
    assert len(made.labels) == 6
    assert canary.MOST_ROUNDS >= 8


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "site", write_cohort(tmp_path / "cohort.csv"))


def test_a_failed_probe_closes_the_gate_and_a_later_pass_opens_it(site, study):
    from small_site import clock

    from cordon_client.office import Office
    from cordon_client.vault.airlock import Airlock
    from cordon_common.errors import PolicyRefused
    from cordon_common.ledger.probed import ProbeDone

    def noted(*, passed):
        return ProbeDone(
            study=site.study.digest,
            passed=passed,
            failed=() if passed else ("canary",),
            epsilon_claimed=1.0,
            epsilon_lower=0.5 if passed else 2.0,
            trials=200,
            report="sha256:" + "0" * 64,
        )

    vault = site.open_vault()
    with Office.open(site.home, clock=clock) as office:
        office.record_probe(noted(passed=False))
    with pytest.raises(PolicyRefused) as refused:
        Airlock(vault).answer("qc", site.request("qc"))
    assert refused.value.code == "PO113"
    assert site.charges() == []
    with Office.open(site.home, clock=clock) as office:
        office.record_probe(noted(passed=True))
    Airlock(vault).answer("qc", site.request("qc"))
    assert len(site.charges()) == 1


def test_the_command_prints_rows_and_notes_the_verdict(site, capsys):
    import json

    from cordon_common.cli.main import main

    assert (
        main(["audit", "probe", str(site.home.root), "toy-study", "--trials", "200", "--json"]) == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert main(["audit", "probe", str(site.home.root), "no-such-study"]) == 2
    assert "US005" in capsys.readouterr().err


def test_the_canary_contributes_in_every_round_of_the_attack(study):
    """Weights that get it right beyond doubt would hide it, and the attack would see nothing."""
    probed, silent = Mechanism.of(study), 0
    for seed in range(40):
        made_up = np.random.default_rng(seed)
        crafted = scaled(patients(study, made_up, count=1), 1e3)
        silent += not probed.whole_sum(crafted, probed.weights(made_up)).any()
        weights, signal = _weights_that_tell(probed, crafted, made_up)
        assert signal.any()
        np.testing.assert_array_equal(signal, probed.on_grid(probed.whole_sum(crafted, weights)))
    assert silent
