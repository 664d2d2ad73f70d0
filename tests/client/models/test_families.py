"""Sequence models and the autoencoder: shapes are the protocol's, records stay apart to the bit."""

import math

import numpy as np
import pytest
import torch

from cordon_client.models.base import Batch
from cordon_client.models.flat import FlatWeights
from cordon_client.models.registry import FAMILIES, build, initial_weights
from cordon_client.training.clipping import OneBackward
from cordon_client.training.engines import engine_for
from cordon_client.training.packing import PatientBlock
from cordon_client.training.places import check_places
from cordon_client.training.randomness import draw_aux
from cordon_client.training.validation import check_model
from cordon_common.errors import ProtocolError
from cordon_common.protocol.layout import dimension, input_columns, parameter_shapes
from cordon_common.protocol.parse import parse_model
from cordon_common.protocol.study import Study

SEQUENCES = [
    {"name": "dna", "type": "sequence", "length": 57},
    {
        "name": "beat",
        "type": "series",
        "prefix": "t",
        "length": 57,
        "unit": "mV",
        "range": [-5, 5],
    },
]
NUMBERS = [
    {"name": f"x{i}", "type": "number", "unit": "1", "range": [-10, 10], "typical": [-1, 1]}
    for i in range(37)
]
CNN = {"family": "cnn1d", "length": 57, "filters": [5, 7], "kernel": 9, "pool": 2}
MODELS = {
    "one convolution": (CNN | {"filters": [6], "pool": 1}, SEQUENCES),
    "convolutions": (CNN, SEQUENCES),
    "convolutions that keep places": (CNN | {"places": "kept"}, SEQUENCES[:1]),
    "transformer": (
        {"family": "transformer", "length": 57, "patch": 5, "width": 32, "heads": 2, "layers": 2},
        SEQUENCES,
    ),
    "autoencoder": ({"family": "vae", "width": 33, "latent": 3}, NUMBERS),
}


def make_study(model, features):
    value = {
        "cordon": 1,
        "name": "toy",
        "purpose": "Test the models on nothing.",
        "permit": {"id": "none", "end_date": "2030-01-01"},
        "cohort": {
            "features": features,
            "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
        },
        "qc": {"gate": {"min_patients": 10, "min_sites": 1}},
        "model": model,
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
    return parse_model(Study, value, code="PR001", what="test study")


@pytest.fixture(params=MODELS)
def study(request):
    return make_study(*MODELS[request.param])


@pytest.fixture
def model(study):
    built = build(study)
    flat = FlatWeights(built)
    flat.load(0.3 * np.random.default_rng(2).normal(size=flat.size))
    return built


def records(study, count=9):
    generator = torch.Generator().manual_seed(0)
    width = len(input_columns(study.cohort))
    inputs = torch.randn(count, width, generator=generator, dtype=torch.float64)
    return Batch(inputs, torch.arange(count).double() % 2)


def test_every_size_of_the_protocol_has_a_network():
    assert {type(make_study(*pair).model) for pair in MODELS.values()} < set(FAMILIES)


def test_parameter_names_order_and_shapes_are_the_protocols(study):
    built = {name: tuple(p.shape) for name, p in build(study).named_parameters()}
    expected = parameter_shapes(study.model, len(input_columns(study.cohort)))
    assert list(built.items()) == list(expected.items())
    assert initial_weights(study).shape == (dimension(study),)


def test_normalisation_starts_as_the_identity_and_weights_within_their_limit(study):
    start = 0
    weights = initial_weights(study)
    for name, shape in parameter_shapes(study.model, len(input_columns(study.cohort))).items():
        part = weights[start : start + math.prod(shape)]
        start += part.size
        if len(shape) == 1:
            assert set(part) == {1.0 if name.endswith("norm.weight") else 0.0}
        else:
            taps = math.prod(shape[2:])
            assert 0 < np.abs(part).max() <= math.sqrt(6 / (taps * (shape[0] + shape[1])))


def test_every_family_passes_the_kernels_checks(study, model):
    assert isinstance(engine_for(model, clip_norm=1.0), OneBackward)
    check_model(model, lambda m, clip: engine_for(m, clip_norm=clip), records(study))


def traces(model, inputs, aux):
    """Input and gradient of every layer with parameters, as the engine sees them."""
    seen = []

    def keep(_module, given, output):
        if not output.requires_grad:
            output.requires_grad_()
        seen.append((given[0].detach(), output))

    for module in model.modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(keep)
    losses = model.per_sample_loss(Batch(inputs, torch.ones(len(inputs)).double()), aux)
    outputs = [output for _, output in seen]
    gradients = torch.autograd.grad(losses, outputs, grad_outputs=torch.ones_like(losses))
    return [given for given, _ in seen], gradients


def test_equal_records_give_equal_bits_in_every_row(study, model):
    inputs = records(study, count=1).inputs.repeat(model.block_rows, 1)
    aux = draw_aux(model, 1)
    if aux is not None:
        aux = {name: values.repeat(model.block_rows, 1) for name, values in aux.items()}
    for tensors in traces(model, inputs, aux):
        for tensor in tensors:
            rows = tensor.reshape(model.block_rows, -1)
            assert torch.equal(rows, rows[:1].expand_as(rows))


def test_a_records_bits_do_not_depend_on_the_others(study, model):
    batch = records(study, count=model.block_rows)
    order = torch.randperm(model.block_rows, generator=torch.Generator().manual_seed(1))
    aux = draw_aux(model, model.block_rows)
    moved = aux and {name: values[order] for name, values in aux.items()}
    for one, other in zip(
        traces(model, batch.inputs, aux), traces(model, batch.inputs[order], moved), strict=True
    ):
        for tensor, permuted in zip(one, other, strict=True):
            rows, mixed = (x.reshape(model.block_rows, -1) for x in (tensor, permuted))
            assert torch.equal(rows[order], mixed)


@pytest.mark.parametrize("cap", [1, 12])
def test_every_family_computes_a_patient_alike_in_every_place(study, model, cap):
    engine = engine_for(model, clip_norm=1.0)
    width = len(input_columns(study.cohort))
    check_places(engine, model, inputs=width, rows=model.block_rows, cap=cap)


def test_the_autoencoder_clips_the_loss_with_its_latent_draws():
    study = make_study(*MODELS["autoencoder"])
    model = build(study)
    FlatWeights(model).load(initial_weights(study))
    batch, aux = records(study), draw_aux(model, 9)
    assert aux["normals"].shape == (9, 3)
    model.requires_grad_(True)
    expected = 0.0
    for row in range(9):
        one = Batch(batch.inputs[row : row + 1], batch.labels[row : row + 1])
        loss = model.per_sample_loss(one, {"normals": aux["normals"][row : row + 1]}).sum()
        parts = torch.autograd.grad(loss, list(model.parameters()))
        gradient = torch.cat([part.reshape(-1) for part in parts]).double()
        expected = expected + gradient * min(1.0, 0.05 / float(gradient.norm()))
    total = torch.zeros(dimension(study), dtype=torch.float64)
    block = PatientBlock(batch.inputs, batch.labels, torch.ones(9, dtype=torch.float64), 1)
    OneBackward(model, clip_norm=0.05).add_clipped_sum(total, block, aux)
    assert float((total - expected).norm()) <= 1e-5 * 0.05 * 9


def test_a_model_without_latent_values_draws_nothing():
    assert draw_aux(build(make_study(*MODELS["transformer"])), 5) is None


@pytest.mark.parametrize(
    ("model", "features", "hint"),
    [
        (CNN | {"kernel": 8}, SEQUENCES, "model.kernel must be odd"),
        (CNN | {"pool": 8}, SEQUENCES, "model.pool leaves no position"),
        (CNN | {"length": 60}, SEQUENCES, "each of model.length: 60"),
        (CNN, NUMBERS, "features of type sequence or series only"),
        (
            MODELS["transformer"][0] | {"width": 48},
            SEQUENCES,
            "model.width must be a multiple of 16 per head, for example 32",
        ),
        (MODELS["transformer"][0] | {"hidden": [3]}, SEQUENCES, "hidden"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_the_reason(model, features, hint):
    with pytest.raises(ProtocolError) as refused:
        make_study(model, features)
    assert refused.value.code == "PR001"
    assert hint in refused.value.why
