"""Mechanisms that are broken on purpose: `cordon audit probe` finds every one of them."""

import numpy as np
import pytest
from small_site import study_value

from cordon_client.probe.clipping import clipping_rows
from cordon_client.probe.mechanism import Mechanism
from cordon_client.probe.noise import measure, noise_rows
from cordon_client.probe.sampling import sampling_rows
from cordon_client.training import fedsgd
from cordon_client.training.noise import encode_grid
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import gradient_grid
from cordon_common.protocol.parse import parse_model
from cordon_common.protocol.study import Study

ROSTER = [
    {"site": site, "key": f"ed25519:{letter * 43}=", "expected_patients": 120}
    for site, letter in zip(("east", "north", "south", "west"), "ABCD", strict=True)
]


def make_study(trust="local", sampling=None):
    value = study_value(ROSTER)
    training = value["training"] | ({"sampling": sampling} if sampling else {})
    privacy = value["privacy"] | {"trust_model": trust}
    value = study_value(ROSTER, training=training, privacy=privacy)
    return resolve(parse_model(Study, value, code="PR001", what="test study"))


POISSON = {"scheme": "poisson", "rate": 0.25}


def noise_times(factor):
    def plant(monkeypatch, mechanism):
        honest = fedsgd.release_round
        share = factor(mechanism) if callable(factor) else factor

        def quieter(tensors, weights, study, event):
            multiplier = share * event.noise_multiplier
            changed = event.model_copy(update={"noise_multiplier": multiplier})
            return honest(tensors, weights, study, changed)

        monkeypatch.setattr(fedsgd, "release_round", quieter)

    return plant


def seed_again(monkeypatch, mechanism):
    def seeded(tensors, weights, study, event):
        exact = encode_grid(
            fedsgd.round_sum(tensors, weights, study), grid_per_unit=gradient_grid(study.training)
        )
        noise = np.random.default_rng(7).normal(0, event.noise_std_grid, exact.size)
        return exact + np.rint(noise).astype(np.int64)

    monkeypatch.setattr(fedsgd, "release_round", seeded)


def clip_off(monkeypatch, mechanism):
    honest = fedsgd.engine_for
    monkeypatch.setattr(
        fedsgd, "engine_for", lambda model, *, clip_norm: honest(model, clip_norm=1e3 * clip_norm)
    )


def drawn_by(draw):
    def plant(monkeypatch, mechanism):
        def drawing(count, sampling):
            return draw(count) if sampling.scheme == "poisson" else np.ones(count, dtype=bool)

        monkeypatch.setattr(fedsgd, "draw_patients", drawing)

    return plant


def shuffled(count):
    picked = np.zeros(count, dtype=bool)
    picked[np.random.default_rng().permutation(count)[: max(1, count // 4)]] = True
    return picked


def more_often(count):
    return np.random.default_rng().random(count) < 0.35


def noise_part(mechanism, generator):
    return noise_rows(measure(mechanism, generator))


FAULTS = {
    "noise × 0.5": (make_study(), noise_times(0.5), noise_part),
    "noise × 0.1": (make_study(), noise_times(0.1), noise_part),
    "clipping off": (make_study(), clip_off, clipping_rows),
    "shuffled instead of Poisson": (
        make_study(sampling=POISSON),
        drawn_by(shuffled),
        sampling_rows,
    ),
    "sampling rate q wrong": (make_study(sampling=POISSON), drawn_by(more_often), sampling_rows),
    "noise seed used again": (make_study(), seed_again, noise_part),
    "masked sum: share ÷ K instead of ÷ √K": (
        make_study(trust="secure-sum"),
        noise_times(lambda mechanism: mechanism.event.shares**-0.5),
        noise_part,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_probe_finds_a_broken_mechanism_and_passes_the_honest_one(fault, monkeypatch, caught):
    study, plant, look = FAULTS[fault]
    mechanism = Mechanism.of(study)
    honest = [row for row in look(mechanism, np.random.default_rng(3)) if row.status == "FAIL"]
    assert honest == []
    plant(monkeypatch, mechanism)
    failed = [r.check for r in look(mechanism, np.random.default_rng(3)) if r.status == "FAIL"]
    assert failed
    caught(fault, "cordon audit probe", ", ".join(failed))
