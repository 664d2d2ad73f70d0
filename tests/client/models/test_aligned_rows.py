"""A record's arithmetic has the same bits in whichever row of a block it stands."""

import numpy as np
import pytest
import torch

from cordon_client.models.aligned import AlignedLinear, aligned_rows
from cordon_client.models.autoencoder import LabelledAutoencoder
from cordon_client.models.base import NORMALS, Batch
from cordon_client.models.feedforward import FeedForward
from cordon_client.models.flat import FlatWeights
from cordon_common.protocol.models import Autoencoder

WIDTHS = [[k, *hidden, 1] for k in (1, 5, 13, 30, 65) for hidden in ((), (3,), (8,), (33, 17, 3))]


def outputs_and_gradients(model, inputs):
    """What the engine sees of every layer: output and gradient of the output, [rows, width]."""
    outputs = []

    def keep(_module, _inputs, output):
        if not output.requires_grad:
            output.requires_grad_()
        outputs.append(output)

    for layer in model.layers:
        layer.register_forward_hook(keep)
        layer.requires_grad_(requires_grad=False)
    rows = torch.ones(len(inputs), dtype=torch.float64)
    losses = model.per_sample_loss(Batch(inputs, rows), None)
    return [o.detach() for o in outputs], torch.autograd.grad(losses, outputs, grad_outputs=rows)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_equal_records_give_equal_bits_in_every_row(widths, dtype):
    generator = torch.Generator().manual_seed(3)
    model = FeedForward(widths, dtype=dtype)
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator, dtype=dtype)
    record = torch.randn(1, widths[0], generator=generator, dtype=torch.float64)
    for tensors in outputs_and_gradients(model, record.repeat(256, 1)):
        for tensor in tensors:
            assert torch.equal(tensor, tensor[:1].expand_as(tensor))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_the_written_backward_pass_is_automatic_differentiations(widths, dtype):
    generator = torch.Generator().manual_seed(4)
    model = FeedForward(widths, dtype=dtype)
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator, dtype=dtype)
    inputs = torch.randn(256, widths[0], generator=generator, dtype=torch.float64)
    with torch.no_grad():
        traces = model.layer_traces(
            Batch(inputs, torch.ones(256).double()), torch.ones(256).double()
        )
    outputs, gradients = outputs_and_gradients(model, inputs)
    close = (
        {"rtol": 1e-9, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-6}
    )
    for (_, found), expected in zip(traces, gradients, strict=True):
        torch.testing.assert_close(found, expected, **close)
    for (given, _), output in zip(traces[1:], outputs, strict=False):
        torch.testing.assert_close(given, torch.tanh(output), **close)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_the_written_backward_pass_treats_every_row_alike(widths, dtype):
    generator = torch.Generator().manual_seed(3)
    model = FeedForward(widths, dtype=dtype)
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator, dtype=dtype)
    record = torch.randn(1, widths[0], generator=generator, dtype=torch.float64).repeat(256, 1)
    ones = torch.ones(256, dtype=torch.float64)
    with torch.no_grad():
        for pair in model.layer_traces(Batch(record, ones), ones):
            for tensor in pair:
                assert torch.equal(tensor, tensor[:1].expand_as(tensor))


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize(("inputs", "width", "latent"), [(64, 32, 16), (37, 19, 5)])
def test_the_autoencoders_written_backward_pass_is_automatic_differentiations(
    inputs, width, latent, drawn
):
    generator = torch.Generator().manual_seed(5)
    model = LabelledAutoencoder(Autoencoder(family="vae", width=width, latent=latent), inputs)
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    records = torch.randn(64, inputs, generator=generator, dtype=torch.float64)
    batch = Batch(records, torch.arange(64).double() % 2)
    aux = {NORMALS: torch.randn(64, latent, generator=generator)} if drawn else None
    weights = torch.rand(64, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        traces = model.layer_traces(batch, weights, aux)
    parameters = list(model.parameters())
    expected = torch.autograd.grad(
        model.per_sample_loss(batch, aux), parameters, grad_outputs=weights
    )
    found = []
    for given, gradient in traces:
        found += [gradient.mT @ given, gradient.sum(dim=0)]
    for one, other in zip(found, expected, strict=True):
        # what lies behind the inputs of the first layer is padding
        torch.testing.assert_close(one[..., : other.shape[-1]], other, rtol=2e-4, atol=2e-5)


@pytest.fixture
def kept():
    """A net whose first weight is kept with padding, its flat weights, and what was loaded."""
    model = FeedForward([401, 50, 1], dtype=torch.float32)
    flat = FlatWeights(model)
    weights = np.random.default_rng(3).normal(size=flat.size).astype(np.float32).astype(float)
    flat.load(weights)
    return model, flat, weights


def test_a_weight_that_is_kept_with_padding_travels_without_it(kept):
    model, flat, weights = kept
    assert not model.layers[0].weight.is_contiguous()
    np.testing.assert_array_equal(flat.read(), weights)
    parts = torch.cat([p.reshape(-1) for p in model.parameters()])
    np.testing.assert_array_equal(parts.double().numpy(), weights)
    flat.step(np.arange(flat.size), 0.5)
    np.testing.assert_allclose(flat.read(), weights - 0.5 * np.arange(flat.size), rtol=1e-6)


def test_a_weight_that_is_kept_gives_the_bits_of_one_that_is_padded_each_time(kept):
    model, flat, _ = kept
    flat.step(np.arange(flat.size), 1e-5)
    fresh = AlignedLinear(401, 50)
    first = model.layers[0]
    fresh.load_state_dict({"weight": first.weight.clone(), "bias": first.bias.clone()})
    generator = torch.Generator().manual_seed(6)
    rows, gradient = (torch.randn(64, n, generator=generator) for n in (401, 50))
    with torch.no_grad():
        assert torch.equal(first(rows), fresh(rows))
        assert torch.equal(first.backward_of(gradient), fresh.backward_of(gradient))
        assert torch.equal(first(aligned_rows(rows)), first(rows))


def test_a_kept_weight_that_was_replaced_is_not_used(kept):
    model, _, _ = kept
    first = model.layers[0]
    first.weight.data = torch.ones(50, 401)
    first.bias.data = torch.zeros(50)
    with torch.no_grad():
        assert first(torch.ones(3, 401)).unique().tolist() == [401.0]
