"""Where sums are computed: the same engine on any device, and none that treats places differently."""

import numpy as np
import pytest
import torch

from cordon_client.models.feedforward import FeedForward
from cordon_client.models.flat import FlatWeights
from cordon_client.models.registry import build, initial_weights
from cordon_client.training import device as devices
from cordon_client.training.clipping import OneBackward
from cordon_client.training.device import CPU, open_device
from cordon_client.training.engines import engine_for
from cordon_client.training.fedsgd import PatientSums, release_sum
from cordon_client.training.opacus_engine import PerRecordHooks
from cordon_client.training.places import check_places
from cordon_common.errors import SystemFault
from cordon_common.privacy.schedule import planned_events
from cordon_common.privacy.sensitivity import FLOAT_SLACK
from cordon_common.protocol.layout import dimension, input_columns

no_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
NUMBERED = torch.device("cpu", 0)
"""The CPU by a name that equals no tensor's device, so that every move to a device is made."""

MODELS = {"logistic": (), "perceptron": (7, 3), "wide, in float32": (200,)}


def weights_for(study):
    return 0.3 * np.random.default_rng(1).normal(size=dimension(study))


@pytest.fixture
def cuda():
    """An opened CUDA device; what it sets for the whole process is set back."""
    yield open_device("cuda")
    torch.use_deterministic_algorithms(mode=False)


def checked(model, width, *, rows=64, cap=5, engine=None):
    FlatWeights(model).load(np.random.default_rng(2).normal(size=_size(model)))
    engine = engine or engine_for(model, clip_norm=1.0)
    check_places(engine, model, inputs=width, rows=rows, cap=cap)


def _size(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_a_cuda_device_that_is_not_there_has_a_code_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "_CUDA_SETTINGS", {})
    with pytest.raises(SystemFault) as refused:
        open_device("cuda")
    assert refused.value.code == "SY072"
    assert open_device("cpu") == CPU


@pytest.mark.parametrize("hidden", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("records", [1, 5])
def test_sums_on_a_device_are_the_sums_of_the_cpu(make_study, make_tensors, hidden, records):
    study = make_study(hidden=hidden, records_per_patient=records)
    tensors, weights = make_tensors(study, patients=70, records=records), weights_for(study)
    expected = PatientSums(tensors, study).at(weights)
    assert np.array_equal(PatientSums(tensors, study, NUMBERED).at(weights), expected)


@pytest.mark.parametrize("hidden", MODELS.values(), ids=MODELS)
def test_the_cpu_treats_every_place_of_a_block_alike(make_study, hidden):
    study = make_study(hidden=hidden)
    checked(build(study), len(input_columns(study.cohort)))


class PlaceShows(FeedForward):
    """Its last bit says whether a record stands in an even place."""

    def layer_traces(self, batch, weights, aux=None):
        traces = super().layer_traces(batch, weights, aux)
        values, gradients = traces[-1]
        gradients[::2] *= 1 + 2.0**-52
        return [*traces[:-1], (values, gradients)]


class NeverTheSame(FeedForward):
    """Its last bits change from pass to pass, as sums in no fixed order do."""

    passes = 0

    def layer_traces(self, batch, weights, aux=None):
        self.passes += 1
        traces = super().layer_traces(batch, weights, aux)
        return [(values, gradients * (1 + self.passes * 2.0**-50)) for values, gradients in traces]


@pytest.mark.parametrize(
    ("family", "why"), [(PlaceShows, "a patient's place"), (NeverTheSame, "do not repeat")]
)
def test_a_device_that_lets_the_place_show_is_refused(family, why):
    checked(FeedForward([5, 3, 1]), 5)
    with pytest.raises(SystemFault, match="SY073") as refused:
        checked(family([5, 3, 1]), 5)
    assert why in str(refused.value.why)


def test_a_written_gradient_that_shows_the_place_is_refused(monkeypatch):
    def from_the_place(a, g, _space):
        written = torch.bmm(g.mT, a)
        written[::2] *= 1 + 2.0**-23
        return written

    model = FeedForward([5, 3, 1])
    checked(model, 5, cap=4)
    monkeypatch.setattr("cordon_client.training.layers.sequence_products", from_the_place)
    with pytest.raises(SystemFault, match="SY073"):
        checked(model, 5, cap=4)


def test_the_reference_engine_stays_on_the_cpu():
    model = FeedForward([3, 2, 1])
    with pytest.raises(SystemFault, match="SY073"):
        checked(model, 3, engine=PerRecordHooks(model, clip_norm=1.0))


@pytest.mark.gpu
@no_cuda
@pytest.mark.parametrize("hidden", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("records", [1, 12])
def test_sums_on_cuda_equal_those_of_the_cpu(cuda, make_study, make_tensors, hidden, records):
    study = make_study(hidden=hidden, records_per_patient=records, training={"clip_norm": 0.3})
    tensors, weights = make_tensors(study, patients=70, records=records), weights_for(study)
    expected = PatientSums(tensors, study).at(weights)
    sums = PatientSums(tensors, study, cuda)
    assert isinstance(sums._engine, OneBackward)
    found = sums.at(weights)
    exact = build(study).layers[0].weight.dtype == torch.float64
    tolerance = 1e-9 if exact else 1e-5
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)
    assert np.array_equal(found, sums.at(weights))


@pytest.mark.gpu
@no_cuda
@pytest.mark.parametrize("hidden", MODELS.values(), ids=MODELS)
def test_one_patient_moves_nobody_else_on_cuda_when_the_weights_cancel(
    cuda, make_study, make_tensors, hidden
):
    study = make_study(inputs=13, hidden=hidden)
    tensors = make_tensors(study, patients=300)
    direction = np.random.default_rng(3).normal(size=13)
    tensors.inputs[:] -= np.outer(tensors.inputs @ direction, direction) / (direction @ direction)
    weights = initial_weights(study) + 0.1
    first = 13 * (hidden[0] if hidden else 1)
    weights[:first] = np.tile(1e15 * direction, first // 13)
    gone = tensors.patients != 0
    fewer = type(tensors)(
        tensors.inputs[gone], tensors.labels[gone], tensors.patients[gone] - 1, 299
    )
    moved = PatientSums(tensors, study, cuda).at(weights) - PatientSums(fewer, study, cuda).at(
        weights
    )
    assert np.linalg.norm(moved) <= study.training.clip_norm * (1 + FLOAT_SLACK)


@pytest.mark.gpu
@no_cuda
def test_a_release_from_cuda_is_integers_with_fresh_noise(cuda, make_study, make_tensors):
    study = make_study(hidden=(6,))
    tensors, weights = make_tensors(study), weights_for(study)
    sums, event = PatientSums(tensors, study, cuda), planned_events(study).training
    first, second = (release_sum(sums, weights, study, event) for _ in range(2))
    assert first.dtype == np.int64
    assert not np.array_equal(first, second)
