"""Steps of the families beyond feed-forward nets: convolutions, self-attention, an autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from benchmarks.dp_step.steps import Case, step_lines
from cordon_client.models.aligned import AlignedLinear
from cordon_client.models.autoencoder import LabelledAutoencoder
from cordon_client.models.base import NORMALS, Batch
from cordon_client.models.sequence import Cnn1d, SequenceTransformer
from cordon_common.protocol.models import Autoencoder, Convolutions, Transformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.lines import Line
    from cordon_client.models.base import PatientModel

CNN = Convolutions(family="cnn1d", length=1000, filters=(64, 96, 128), kernel=9)
ATTENTION = Transformer(family="transformer", length=320, patch=10, width=64, heads=4, layers=2)
VAE = Autoencoder(family="vae", width=128, latent=16)


def convolutions(repeats: int) -> list[Line]:
    """A net whose cost is arithmetic."""
    return _lines(
        "1D-CNN 4x1000 bp, 64/96/128 filters, B 32", Cnn1d, (CNN, 4000, 32), (1.1, 1.02), repeats
    )


def attention(repeats: int) -> list[Line]:
    """Many layers on short sequences."""
    return _lines(
        "transformer 2x64, T 32, 4 heads, B 64",
        SequenceTransformer,
        (ATTENTION, 1280, 64),
        (1.8, 1.5),
        repeats,
    )


def autoencoder(repeats: int) -> list[Line]:
    """Wide layers at both ends, and latent draws."""
    return _lines(
        "VAE 1000-128-16, B 128", LabelledAutoencoder, (VAE, 1000, 128), (1.8, 1.5), repeats
    )


def _lines(
    name: str,
    family: Callable[..., PatientModel],
    sizes: tuple[object, int, int],
    bounds: tuple[float, float],
    repeats: int,
) -> list[Line]:
    size, inputs, records = sizes
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(records, inputs, generator=generator)
    labels = torch.randint(0, 2, (records,), generator=generator).float()
    model = family(size, inputs)
    aux = None
    if model.normals:
        aux = {NORMALS: torch.randn(records, model.normals, generator=generator)}
    case = Case(
        name,
        plain=lambda: _usual(family(size, inputs)),
        private=lambda: family(size, inputs),
        batch=Batch(values, labels),
        must=bounds[0],
        aim=bounds[1],
        aux=aux,
        warm_up=1,
    )
    return step_lines(case, repeats)


def _usual(model: PatientModel) -> PatientModel:
    """Return the same net with the linear layers that everybody uses."""
    for module in model.modules():
        if isinstance(module, AlignedLinear):
            module.__class__ = nn.Linear
    return model
