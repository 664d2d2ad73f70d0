"""Any net of known layers is clipped as a loop over its records would, whatever its sizes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from cordon_client.models.base import Batch, PatientModel
from cordon_client.training.clipping import OneBackward
from cordon_client.training.products import (
    ProductTerms,
    convolution_products,
    sequence_products,
    worth_writing,
)
from cordon_client.training.validation import check_model

torch.set_num_threads(1)


class Stack(PatientModel):
    """Layers in a row; the mean of what comes out is the logit."""

    def __init__(self, *layers):
        super().__init__()
        self.body = nn.Sequential(*layers).double()

    def per_sample_loss(self, batch, aux):
        logits = self.body(batch.inputs).flatten(1).mean(dim=1)
        return functional.binary_cross_entropy_with_logits(logits, batch.labels, reduction="none")

    def scores(self, inputs):
        return torch.sigmoid(self.body(inputs).flatten(1).mean(dim=1))


@st.composite
def convolutional_nets(draw):
    """(net, input shape): up to three convolutions of any size, with normalisation in between."""
    small = st.integers(1, 3)
    groups = draw(small)
    channels, length = groups * draw(small), draw(st.integers(24, 40))
    shape, layers = (channels, length), []
    for _ in range(draw(small)):
        out = groups * draw(small)
        convolution = nn.Conv1d(
            *(channels, out, draw(small)),
            stride=draw(st.integers(1, 2)),
            padding=draw(st.integers(0, 2)),
            dilation=draw(small),
            groups=groups,
            bias=draw(st.booleans()),
        )
        layers += [convolution, nn.Tanh()]
        if draw(st.booleans()):
            layers.append(nn.GroupNorm(groups, out))
        channels = out
    return Stack(*layers), shape


@st.composite
def sequence_nets(draw):
    """(net, input shape): linear layers and normalisation over short and long sequences."""
    width = st.integers(1, 9)
    steps, fan_in = draw(st.integers(1, 12)), draw(width)
    shape, layers = (steps, fan_in), []
    for _ in range(draw(st.integers(1, 3))):
        fan_out = draw(width)
        layers += [nn.Linear(fan_in, fan_out, bias=draw(st.booleans())), nn.Tanh()]
        if fan_out > 1 and draw(st.booleans()):
            layers.append(nn.LayerNorm(fan_out))
        fan_in = fan_out
    return Stack(*layers), shape


@settings(max_examples=25, deadline=None)
@given(st.one_of(convolutional_nets(), sequence_nets()), st.integers(0, 1000))
def test_random_nets_pass_every_check_of_the_kernel(net, seed):
    model, shape = net
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    inputs = torch.randn(5, *shape, generator=generator, dtype=torch.float64)
    example = Batch(inputs, torch.arange(5).double() % 2)
    check_model(model, lambda m, clip: OneBackward(m, clip_norm=clip), example)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(7, 3, 5), (32, 64, 64), (10, 33, 1), (13, 16, 9)])
def test_written_products_have_the_same_bits_in_every_place(shape, dtype):
    steps, fan_in, fan_out = shape
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(1, steps, fan_in, generator=generator, dtype=dtype).repeat(32, 1, 1)
    g = torch.randn(1, steps, fan_out, generator=generator, dtype=dtype).repeat(32, 1, 1)
    products = sequence_products(a, g)
    assert torch.equal(products, products[:1].expand_as(products))
    torch.testing.assert_close(products[0], g[0].mT @ a[0])


def test_a_convolutions_products_have_the_same_bits_in_every_place():
    torch.manual_seed(0)
    convolution = nn.Conv1d(3, 5, 4, padding=2)
    a = torch.randn(1, 3, 37).repeat(16, 1, 1)
    g = torch.randn(1, 5, 38).repeat(16, 1, 1)
    products = convolution_products(convolution, a, g, 16)
    assert torch.equal(products, products[:1].expand_as(products))


def test_the_norm_of_a_written_product_is_that_of_the_stored_values():
    products = torch.randn(6, 40, 50, generator=torch.Generator().manual_seed(1))
    terms = ProductTerms(products, None)
    exact = [float(p.double().flatten().square().sum()) for p in products]
    torch.testing.assert_close(terms.square, torch.tensor(exact, dtype=torch.float64))
    assert terms.mass_square is terms.square


def test_written_products_are_chosen_where_they_are_smaller_or_fit():
    assert worth_writing(torch.empty(64, 32, 64), torch.empty(64, 32, 256))
    assert not worth_writing(torch.empty(64, 4, 2000), torch.empty(64, 4, 2000))
