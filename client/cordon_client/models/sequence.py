"""Convolutions and self-attention over sequences; float32 inside, float64 outside."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from cordon_client.models.aligned import ROW_LANES, AlignedLinear
from cordon_client.models.base import PatientModel

if TYPE_CHECKING:
    from cordon_client.models.base import Aux, Batch
    from cordon_common.protocol.models import Convolutions, Transformer

BLOCK_ROWS = 32
"""Records per block: a sequence has as many values as a block of tabular records."""


class _SequenceModel(PatientModel):
    """One logit per record from [records, channels, length]; logistic loss."""

    block_rows = BLOCK_ROWS

    def __init__(self, length: int) -> None:
        super().__init__()
        self._length = length

    def features(self, sequences: torch.Tensor) -> torch.Tensor:
        """Return what the head reads, [records, features], from float32 sequences."""
        raise NotImplementedError

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the log-odds of the positive label, [records]."""
        sequences = inputs.float().view(len(inputs), -1, self._length)
        head = cast("nn.Module", self.head)
        return cast("torch.Tensor", head(self.features(sequences))).squeeze(-1).double()

    def per_sample_loss(self, batch: Batch, aux: Aux) -> torch.Tensor:  # noqa: ARG002 - draws nothing
        """Return the logistic loss of every record, [records]."""
        return functional.binary_cross_entropy_with_logits(
            self.logits(batch.inputs), batch.labels, reduction="none"
        )

    def scores(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the predicted probability of the positive label, [records], in [0, 1]."""
        return torch.sigmoid(self.logits(inputs))


class Cnn1d(_SequenceModel):
    """Convolutions that keep the length, SiLU, mean pooling, then a linear head.

    SiLU is smooth and has no dead half, which suits clipped gradients of few steps.
    """

    def __init__(self, size: Convolutions, inputs: int) -> None:
        super().__init__(size.length)
        channels = [inputs // size.length, *size.filters]
        self._pool = size.pool
        self.layers = nn.ModuleList(
            nn.Conv1d(fan_in, fan_out, size.kernel, padding=size.kernel // 2)
            for fan_in, fan_out in pairwise(channels)
        )
        self._places_kept = size.places == "kept"
        self.head = AlignedLinear(size.head_inputs, 1)

    def features(self, sequences: torch.Tensor) -> torch.Tensor:
        """Return the last layer's mean over positions, or all of it, [records, head inputs]."""
        values = sequences
        for layer in self.layers:
            values = functional.silu(layer(values))
            if self._pool > 1:
                values = functional.avg_pool1d(values, self._pool)
        return values.flatten(1) if self._places_kept else values.mean(dim=2)


class _Block(nn.Module):
    """Pre-norm self-attention and feed-forward, each with a residual; every layer is used once."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (AlignedLinear(width, width) for _ in range(4))
        self.feed_norm = nn.LayerNorm(width)
        self.rise, self.fall = AlignedLinear(width, 4 * width), AlignedLinear(4 * width, width)

    def forward(self, tokens: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Return tokens [rows, T, width]; bias [T]: -inf for tokens that nobody may look at."""
        normed = self.attention_norm(tokens)
        query, key, value = (self._split(f(normed)) for f in (self.query, self.key, self.value))
        scores = query @ key.mT / math.sqrt(query.shape[-1]) + bias
        seen = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)
        tokens = tokens + self.out(seen)
        return tokens + cast(
            "torch.Tensor", self.fall(functional.silu(self.rise(self.feed_norm(tokens))))
        )

    def _split(self, values: torch.Tensor) -> torch.Tensor:
        rows, tokens, _ = values.shape
        return values.view(rows, tokens, self._heads, -1).transpose(1, 2).contiguous()


class SequenceTransformer(_SequenceModel):
    """Patches of the sequence as tokens, fixed sine positions, pre-norm blocks, mean over tokens.

    The number of tokens is padded to a multiple of `ROW_LANES` with tokens that nobody looks at, so
    that all matrices of a batch start at vector boundaries (see `AlignedLinear`).
    """

    def __init__(self, size: Transformer, inputs: int) -> None:
        super().__init__(size.length)
        self._tokens, self._patch = size.tokens, size.patch
        self._padded = -(-size.tokens // ROW_LANES) * ROW_LANES
        self._positions = _sine_positions(self._padded, size.width)
        self._bias = torch.zeros(self._padded)
        self._bias[size.tokens :] = -math.inf
        self.embed = AlignedLinear(inputs // size.length * size.patch, size.width)
        self.blocks = nn.ModuleList(_Block(size.width, size.heads) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)
        self.head = AlignedLinear(size.width, 1)

    def features(self, sequences: torch.Tensor) -> torch.Tensor:
        """Return the normalised mean over tokens, [records, width]."""
        rows, channels, length = sequences.shape
        padded = functional.pad(sequences, (0, self._padded * self._patch - length))
        patches = padded.view(rows, channels, self._padded, self._patch).transpose(1, 2).flatten(2)
        device = sequences.device
        tokens = self.embed(patches) + self._positions.to(device)
        for block in self.blocks:
            tokens = block(tokens, self._bias.to(device))
        return cast("torch.Tensor", self.norm(tokens[:, : self._tokens].mean(dim=1)))


def _sine_positions(tokens: int, width: int) -> torch.Tensor:
    """Return sines and cosines of geometric wave lengths, float32 [tokens, width]."""
    place = torch.arange(tokens, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(1e4) / width))
    waves = torch.empty(tokens, width, dtype=torch.float64)
    waves[:, 0::2], waves[:, 1::2] = torch.sin(place * rate), torch.cos(place * rate)
    return waves.float()
