"""Any net of known layers is clipped as a loop over its records would, whatever its sizes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from cordon_client.models.base import Batch, PatientModel
from cordon_client.training.clipping import OneBackward
from cordon_client.training.layers import RULES
from cordon_client.training.packing import PatientBlock
from cordon_client.training.products import (
    ProductTerms,
    convolution_products,
    sequence_products,
    worth_writing,
)
from cordon_client.training.validation import check_model
from cordon_client.training.workspace import Workspace, zeros

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
    products = sequence_products(a, g, Workspace())
    assert torch.equal(products, products[:1].expand_as(products))
    torch.testing.assert_close(products[0], g[0].mT @ a[0])


def test_a_convolutions_products_have_the_same_bits_in_every_place():
    torch.manual_seed(0)
    convolution = nn.Conv1d(3, 5, 4, padding=2)
    a = torch.randn(1, 3, 37).repeat(16, 1, 1)
    g = torch.randn(1, 5, 38).repeat(16, 1, 1)
    products = convolution_products(convolution, a, g, 16, Workspace())
    assert torch.equal(products, products[:1].expand_as(products))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [1, 5, 32, 37])
@pytest.mark.parametrize("width", [3, 16, 33, 64])
def test_normalisation_layers_gradients_have_the_same_bits_in_every_place(width, steps, dtype):
    generator = torch.Generator().manual_seed(2)
    for layer, shape in (
        (nn.LayerNorm(width), (1, steps, width)),
        (nn.GroupNorm(1 if width % 3 else 3, width), (1, width, steps)),
    ):
        a, g = (
            torch.randn(shape, generator=generator, dtype=dtype).repeat(48, 1, 1) for _ in range(2)
        )
        for patients in (48, 16):
            term = RULES[type(layer)](layer, a, g, patients, Workspace())
            totals = torch.zeros(2, patients, width, dtype=torch.float64)
            for place in range(patients):
                alone = torch.zeros(patients, dtype=torch.float64)
                alone[place] = 1.0
                term.add_to(list(totals[:, place]), alone)
            assert torch.equal(totals, totals[:, :1].expand_as(totals))


@pytest.mark.parametrize("size", [1, 31, 5000])
def test_a_sum_starts_at_a_cache_line_as_zeros(size):
    for _ in range(5):
        total = zeros(size)
        assert total.shape == (size,)
        assert total.ctypes.data % 64 == 0
        assert not total.any()
        total[:] = 1.0


def test_nothing_of_an_earlier_step_is_left_in_the_kept_memory():
    """One patient is NaN in one step; the next step gives what a new engine gives."""
    shape = (12, 8)
    net = [nn.Linear(8, 20), nn.LayerNorm(20), nn.Tanh(), nn.Linear(20, 3)]
    torch.manual_seed(4)
    model = Stack(*net).float()
    inputs = torch.randn(6, *shape)
    spoilt = inputs.clone()
    spoilt[2] = torch.nan
    ones = torch.ones(6, dtype=torch.float64)

    def summed(engine, values):
        total = torch.zeros(sum(p.numel() for p in model.parameters()), dtype=torch.float64)
        engine.add_clipped_sum(total, PatientBlock(values, ones, ones, 1))
        return total

    kept = OneBackward(model, clip_norm=0.1)
    for values in (inputs, spoilt, spoilt):
        assert summed(kept, values).isfinite().all()
    again = summed(kept, inputs)
    assert torch.equal(again, summed(OneBackward(Stack(*net).float(), clip_norm=0.1), inputs))


def test_a_workspace_gives_the_same_memory_in_every_step_and_starts_at_cache_lines():
    space, like = Workspace(), torch.empty(0)
    places = []
    for _ in range(3):
        space.restart(torch.device("cpu"))
        taken = [space.empty(shape, like) for shape in ((3, 5), (7,), (2, 3, 4))]
        assert [tuple(t.shape) for t in taken] == [(3, 5), (7,), (2, 3, 4)]
        for number, tensor in enumerate(taken):
            tensor.fill_(number)
        assert all((tensor == number).all() for number, tensor in enumerate(taken))
        assert all(tensor.data_ptr() % 64 == 0 for tensor in taken)
        places.append([tensor.data_ptr() for tensor in taken])
    assert places[1] == places[2]


def test_the_norm_of_a_written_product_is_that_of_the_stored_values():
    products = torch.randn(6, 40, 50, generator=torch.Generator().manual_seed(1))
    terms = ProductTerms(products, None)
    exact = [float(p.double().flatten().square().sum()) for p in products]
    torch.testing.assert_close(terms.square, torch.tensor(exact, dtype=torch.float64))
    assert terms.mass_square is terms.square


def test_written_products_are_chosen_where_they_are_smaller_or_fit():
    assert worth_writing(torch.empty(64, 32, 64), torch.empty(64, 32, 256))
    assert not worth_writing(torch.empty(64, 4, 2000), torch.empty(64, 4, 2000))
