"""A variational autoencoder with a head that predicts the outcome from the latent values."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch.nn import functional

from cordon_client.models.aligned import AlignedLinear, aligned_rows
from cordon_client.models.base import NORMALS, PatientModel, tanh_slope

if TYPE_CHECKING:
    from cordon_client.models.base import Aux, Batch
    from cordon_common.protocol.models import Autoencoder


class LabelledAutoencoder(PatientModel):
    """Encoder and decoder of one hidden layer with tanh; float32 inside, float64 outside.

    The loss asks for `latent` standard Gaussian values per record (`Aux`); without them the latent
    values are their means, as for scores.
    """

    def __init__(self, size: Autoencoder, inputs: int) -> None:
        super().__init__()
        self.normals = size.latent
        self._share = size.reconstruction / inputs
        self.encoder = AlignedLinear(inputs, size.width)
        self.mean = AlignedLinear(size.width, size.latent)
        self.log_variance = AlignedLinear(size.width, size.latent)
        self.decoder = AlignedLinear(size.latent, size.width)
        self.output = AlignedLinear(size.width, inputs)
        self.head = AlignedLinear(size.latent, 1)

    def per_sample_loss(self, batch: Batch, aux: Aux) -> torch.Tensor:
        """Return the outcome's logistic loss plus the weighted bound on the inputs, [records]."""
        inputs = batch.inputs.float()
        hidden = torch.tanh(self.encoder(inputs))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        latent = mean
        if aux is not None:
            latent = mean + torch.exp(0.5 * log_variance) * aux[NORMALS].float()
        rebuilt = self.output(torch.tanh(self.decoder(latent)))
        distance = 0.5 * (rebuilt - inputs).square().sum(dim=1)
        surprise = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
        outcome = functional.binary_cross_entropy_with_logits(
            self.head(latent).squeeze(-1).double(), batch.labels, reduction="none"
        )
        loss: torch.Tensor = outcome + self._share * (distance + surprise).double()
        return loss

    def layer_traces(
        self, batch: Batch, weights: torch.Tensor, aux: Aux
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return (input, gradient of the output) of every layer, as `Analytic` asks."""
        inputs = aligned_rows(batch.inputs, torch.float32)
        hidden = torch.tanh_(self.encoder(inputs))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        spread = torch.exp(0.5 * log_variance)
        drawn = torch.zeros_like(mean) if aux is None else spread * aux[NORMALS].float()
        latent = mean + drawn
        decoded = torch.tanh_(self.decoder(latent))

        shares = (weights * self._share).float().unsqueeze(1)
        at_output = self.output.padded_forward(decoded).sub_(inputs).mul_(shares)
        at_decoder = self.output.backward_of(at_output).mul_(tanh_slope(decoded))
        logits = self.head(latent).squeeze(-1).double()
        at_head = logits.sigmoid_().sub_(batch.labels).mul_(weights).float().unsqueeze(1)
        at_latent = self.decoder.backward_of(at_decoder).add_(self.head.backward_of(at_head))
        at_mean = at_latent + shares * mean
        at_log_variance = (at_latent * drawn + shares * (spread.square() - 1)).mul_(0.5)
        at_encoder = self.mean.backward_of(at_mean)
        at_encoder.add_(self.log_variance.backward_of(at_log_variance)).mul_(tanh_slope(hidden))
        return [
            (inputs, at_encoder),
            (hidden, at_mean),
            (hidden, at_log_variance),
            (latent, at_decoder),
            (decoded, at_output[:, : batch.inputs.shape[1]]),
            (latent, at_head),
        ]

    def scores(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the probability of the positive label at the latent means, [records]."""
        mean = self.mean(torch.tanh(self.encoder(inputs.float())))
        return torch.sigmoid(cast("torch.Tensor", self.head(mean)).squeeze(-1).double())
