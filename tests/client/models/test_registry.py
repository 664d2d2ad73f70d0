"""Models: names and order are the protocol's, first weights follow from the study alone."""

import hashlib
import math
from typing import get_args

import numpy as np
import pytest
import torch

from cordon_client.models.base import Batch
from cordon_client.models.flat import FlatWeights
from cordon_client.models.registry import FAMILIES, build, initial_weights
from cordon_client.training.engines import engine_for
from cordon_client.training.validation import check_model
from cordon_common.errors import ProtocolError
from cordon_common.protocol.layout import dimension, input_columns, parameter_shapes
from cordon_common.protocol.models import Family, Model
from cordon_common.protocol.study import Study


def make_study(hidden=(), name="toy"):
    features = [
        {"name": f"x{i}", "type": "number", "unit": "1", "range": [-10, 10]} for i in range(4)
    ]
    features.append({"name": "c", "type": "category", "categories": ["a", "b", "c"]})
    return Study.model_validate(
        {
            "cordon": 1,
            "name": name,
            "purpose": "Test the models on nothing.",
            "permit": {"id": "none", "end_date": "2030-01-01"},
            "cohort": {
                "features": features,
                "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
            },
            "qc": {"gate": {"min_patients": 10, "min_sites": 1}},
            "model": {"family": "mlp" if hidden else "logistic", "hidden": list(hidden)},
            "training": {
                "algorithm": "dp-fedsgd",
                "rounds": 10,
                "clip_norm": 1.0,
                "divisor": 100,
                "optimizer": {"name": "sgd", "learning_rate": 1.0},
            },
            "privacy": {
                "epsilon": 2.0,
                "delta": 1e-5,
                "unprotected": ["participation", "qc_verdict"],
            },
        }
    )


def test_every_family_of_the_protocol_is_built_here():
    sizes, _ = get_args(Model)
    assert set(FAMILIES) == set(get_args(sizes))
    named = {f for size in FAMILIES for f in get_args(size.model_fields["family"].annotation)}
    assert named == set(get_args(Family))


@pytest.mark.parametrize("hidden", [(), (5,), (8, 3, 2)])
def test_parameter_names_order_and_shapes_are_the_protocols(hidden):
    study = make_study(hidden)
    built = {name: tuple(p.shape) for name, p in build(study).named_parameters()}
    expected = parameter_shapes(study.model, len(input_columns(study.cohort)))
    assert list(built.items()) == list(expected.items())
    assert initial_weights(study).shape == (dimension(study),)


def test_a_logistic_model_starts_at_zero():
    assert not initial_weights(make_study()).any()


def test_first_weights_follow_from_the_study_alone():
    study = make_study((6, 2))
    np.testing.assert_array_equal(initial_weights(study), initial_weights(make_study((6, 2))))
    other = initial_weights(make_study((6, 2), name="other"))
    assert not np.array_equal(initial_weights(study), other)


def philox_words(key, count):
    """Philox4x64-10 (Salmon et al. 2011) in whole numbers; the counter starts at 1 as numpy's does."""
    mask, words = 2**64 - 1, []
    for block in range(1, -(-count // 4) + 1):
        counter, keys = [block, 0, 0, 0], [key & mask, key >> 64]
        for _ in range(10):
            first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
            counter = [
                (second >> 64) ^ counter[1] ^ keys[0],
                second & mask,
                (first >> 64) ^ counter[3] ^ keys[1],
                first & mask,
            ]
            keys = [(keys[0] + 0x9E3779B97F4A7C15) & mask, (keys[1] + 0xBB67AE8584CAA73B) & mask]
        words += counter
    return words[:count]


def test_first_weights_are_the_same_bits_on_every_platform():
    """Computed again from the definition, with whole numbers and correctly rounded operations."""
    study = make_study((6, 2))
    seed = hashlib.sha256(b"cordon.initial-weights.v1\x00" + study.digest.encode()).digest()[:16]
    words = iter(philox_words(int.from_bytes(seed, "little"), 42 + 12 + 2))
    expected = []
    for fan_out, fan_in in ((6, 7), (2, 6), (1, 2)):
        limit = math.sqrt(6 / (fan_in + fan_out))
        expected += [
            ((next(words) >> 11) * 2.0**-52 - 1.0) * limit for _ in range(fan_in * fan_out)
        ]
        expected += [0.0] * fan_out
    assert initial_weights(study).tolist() == expected


def test_first_weights_stay_within_their_limit_and_biases_are_zero():
    study = make_study((50,))
    model = build(study)
    flat = FlatWeights(model)
    flat.load(initial_weights(study))
    first = model.layers[0]
    limit = math.sqrt(6 / (7 + 50))
    assert float(first.weight.abs().max()) <= limit
    # uniform on [-limit, limit]: standard deviation limit / sqrt(3), 350 values
    assert float(first.weight.std()) == pytest.approx(limit / math.sqrt(3), rel=0.15)
    assert not first.bias.any()


def test_flat_weights_go_in_and_come_out_in_the_same_order():
    model = build(make_study((3,)))
    flat = FlatWeights(model)
    vector = np.arange(flat.size, dtype=np.float64)
    flat.load(vector)
    np.testing.assert_array_equal(flat.read(), vector)
    parts = torch.cat([p.reshape(-1) for p in model.parameters()])
    np.testing.assert_array_equal(parts.numpy(), vector)


def test_loading_copies_so_that_later_changes_do_not_reach_the_model():
    flat = FlatWeights(build(make_study()))
    vector = np.zeros(flat.size)
    flat.load(vector)
    vector += 1
    assert not flat.read().any()


@pytest.mark.parametrize(
    "wrong", [np.zeros(3), np.zeros((8, 1)), np.full(8, np.inf), np.zeros(8, dtype=np.float32)]
)
def test_weights_that_do_not_fit_are_refused(wrong):
    flat = FlatWeights(build(make_study()))
    assert flat.size == 8
    with pytest.raises(ProtocolError) as refused:
        flat.load(wrong)
    assert refused.value.code == "PR008"


def test_the_logistic_model_is_logistic_regression():
    model = build(make_study())
    rng = np.random.default_rng(0)
    weights, inputs = rng.normal(size=8), rng.normal(size=(20, 7))
    labels = rng.integers(0, 2, 20).astype(float)
    FlatWeights(model).load(weights)
    chance = 1 / (1 + np.exp(-(inputs @ weights[:7] + weights[7])))
    with torch.no_grad():
        scores = model.scores(torch.from_numpy(inputs)).numpy()
        losses = model.per_sample_loss(
            Batch(torch.from_numpy(inputs), torch.from_numpy(labels)), None
        ).numpy()
    np.testing.assert_allclose(scores, chance, rtol=1e-12)
    expected = -(labels * np.log(chance) + (1 - labels) * np.log(1 - chance))
    np.testing.assert_allclose(losses, expected, rtol=1e-10)


@pytest.mark.parametrize("hidden", [(), (5,), (8, 3)])
def test_every_registered_family_passes_the_kernels_checks(hidden):
    model = build(make_study(hidden))
    flat = FlatWeights(model)
    flat.load(np.random.default_rng(2).normal(size=flat.size))
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(9, 7, generator=generator, dtype=torch.float64)
    example = Batch(inputs, torch.arange(9).double() % 2)
    check_model(model, lambda m, clip: engine_for(m, clip_norm=clip), example)
