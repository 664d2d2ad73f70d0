"""The families a study may name, and the weights it starts from."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.models.autoencoder import LabelledAutoencoder
from cordon_client.models.feedforward import FeedForward
from cordon_client.models.sequence import Cnn1d, SequenceTransformer
from cordon_common.protocol.layout import input_columns, parameter_shapes
from cordon_common.protocol.models import Autoencoder, Convolutions, Tabular, Transformer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    import numpy.typing as npt

    from cordon_client.models.base import PatientModel
    from cordon_common.protocol.study import Study

_INITIAL_DOMAIN = b"cordon.initial-weights.v1\x00"


FLOAT32_FROM = 1000
"""Parameters from which on a model computes in float32; norms and sums stay float64."""


def _feed_forward(size: Tabular, inputs: int) -> PatientModel:
    parameters = sum(math.prod(shape) for shape in size.shapes(inputs).values())
    dtype = torch.float64 if parameters < FLOAT32_FROM else torch.float32
    return FeedForward([inputs, *size.hidden, 1], dtype=dtype)


FAMILIES: Mapping[type, Callable[[Any, int], PatientModel]] = {
    Tabular: _feed_forward,
    Autoencoder: LabelledAutoencoder,
    Convolutions: Cnn1d,
    Transformer: SequenceTransformer,
}
"""How each size in a study becomes a network, from the size and the number of inputs."""


def build(study: Study) -> PatientModel:
    """Build the study's model with unset parameters; their names, order and shapes are the
    protocol's (`parameter_shapes`).
    """  # noqa: D205 - one sentence
    return FAMILIES[type(study.model)](study.model, len(input_columns(study.cohort)))


def initial_weights(study: Study) -> npt.NDArray[np.float64]:
    """Return the weights of round 0, float64 [dimension]: a function of the study's digest alone.

    Zeros for a logistic model and for all biases, ones for the scales of normalisation layers; else
    uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot, Bengio 2010). Guarantee: equal bits on every platform (Philox words, Salmon et al.
    2011, and exactly rounded arithmetic only).
    """
    inputs = len(input_columns(study.cohort))
    generator = _generator(study.digest)
    blocks = []
    for name, shape in parameter_shapes(study.model, inputs).items():
        count = math.prod(shape)
        if study.model.family == "logistic" or len(shape) == 1:
            blocks.append(np.full(count, float(name.endswith("norm.weight"))))
            continue
        taps = math.prod(shape[2:])
        limit = math.sqrt(6 / (shape[0] * taps + shape[1] * taps))
        words = generator.random_raw(count) >> np.uint64(11)
        blocks.append((words.astype(np.float64) * 2.0**-52 - 1.0) * limit)
    return np.concatenate(blocks)


def _generator(digest: str) -> np.random.Philox:
    key = hashlib.sha256(_INITIAL_DOMAIN + digest.encode()).digest()[:16]
    return np.random.Philox(key=int.from_bytes(key, "little"))
