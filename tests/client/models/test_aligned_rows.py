"""A record's arithmetic has the same bits in whichever row of a block it stands."""

import pytest
import torch

from cordon_client.models.base import Batch
from cordon_client.models.feedforward import FeedForward

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
