"""Model families and their sizes: what each one takes, and the shapes of its parameters."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cordon_common.strict import StrictModel

Family = Literal["logistic", "mlp", "vae", "cnn1d", "transformer"]
Shapes = dict[str, tuple[int, ...]]
"""Parameters by name, in the order of the flat weight vector."""

HEAD_VALUES = 16
"""Width of an attention head, at least and in steps: rows of a head start at vector boundaries."""


class Tabular(StrictModel):
    """Logistic regression, or a multi-layer perceptron, on all inputs side by side."""

    family: Literal["logistic", "mlp"] = Field(examples=["logistic"])
    hidden: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(default=(), examples=[[16]])

    @model_validator(mode="after")
    def _fits(self) -> Tabular:
        if self.family == "logistic" and self.hidden:
            raise ValueError("a logistic model has no hidden layers: remove model.hidden")
        if self.family == "mlp" and not self.hidden:
            raise ValueError("an mlp needs model.hidden, for example [16]")
        return self

    def shapes(self, inputs: int) -> Shapes:
        """List the parameters for a number of inputs."""
        return dict(_layers("layers", [inputs, *self.hidden, 1]))


class Autoencoder(StrictModel):
    """A variational autoencoder whose latent values predict the outcome (Kingma, Welling 2014;
    with a label: Kingma et al. 2014, model M1 trained jointly).

    The loss of a record is the outcome's, plus `reconstruction` times the bound on the inputs'
    likelihood, per input.
    """  # noqa: D205 - one sentence

    family: Literal["vae"] = Field(examples=["vae"])
    width: int = Field(ge=1, le=4096, examples=[128])
    latent: int = Field(ge=1, le=512, examples=[16])
    reconstruction: float = Field(default=1.0, ge=0, le=1000, examples=[1.0])

    def shapes(self, inputs: int) -> Shapes:
        """List the parameters for a number of inputs."""
        wide, latent = self.width, self.latent
        layers = {
            "encoder": (inputs, wide),
            "mean": (wide, latent),
            "log_variance": (wide, latent),
            "decoder": (latent, wide),
            "output": (wide, inputs),
            "head": (latent, 1),
        }
        return {k: v for name, io in layers.items() for k, v in _linear(name, *io)}


class Convolutions(StrictModel):
    """One-dimensional convolutions over a sequence.

    `length`: positions of the study's sequences; every layer pads, so that it keeps them, and
    `pool` > 1 takes the mean over so many positions after each layer. `places`: whether the outcome
    depends on where a pattern stands (`kept`: every position has its own weights) or only on its
    presence (`mean` over positions).
    """

    family: Literal["cnn1d"] = Field(examples=["cnn1d"])
    length: int = Field(ge=4, le=20_000, examples=[57])
    filters: tuple[Annotated[int, Field(ge=1, le=512)], ...] = Field(
        min_length=1, max_length=8, examples=[[32, 64]]
    )
    kernel: int = Field(default=9, ge=1, le=63, examples=[9])
    pool: int = Field(default=1, ge=1, le=64, examples=[2])
    places: Literal["mean", "kept"] = Field(default="mean", examples=["mean"])

    @model_validator(mode="after")
    def _fits(self) -> Convolutions:
        if self.kernel % 2 == 0:
            raise ValueError("model.kernel must be odd, so that it has a middle position")
        if self.pool ** len(self.filters) > self.length:
            raise ValueError("model.pool leaves no position after the last layer: lower it")
        return self

    def shapes(self, inputs: int) -> Shapes:
        """List the parameters for a number of inputs, channels times length."""
        shapes: Shapes = {}
        for i, (fan_in, fan_out) in enumerate(pairwise([inputs // self.length, *self.filters])):
            shapes[f"layers.{i}.weight"] = (fan_out, fan_in, self.kernel)
            shapes[f"layers.{i}.bias"] = (fan_out,)
        return shapes | dict(_linear("head", self.head_inputs, 1))

    @property
    def head_inputs(self) -> int:
        """Values that the last, linear layer reads."""
        kept = self.length
        for _ in self.filters:
            kept //= self.pool
        return self.filters[-1] * (kept if self.places == "kept" else 1)


class Transformer(StrictModel):
    """Self-attention over patches of a sequence, normalised before each block (Vaswani et al. 2017;
    Xiong et al. 2020), then the mean over patches.

    `length`: positions of the study's sequences; `patch`: so many of them make one token.
    """  # noqa: D205 - one sentence

    family: Literal["transformer"] = Field(examples=["transformer"])
    length: int = Field(ge=4, le=20_000, examples=[140])
    patch: int = Field(ge=1, le=512, examples=[10])
    width: int = Field(ge=16, le=512, examples=[64])
    heads: int = Field(default=2, ge=1, le=16, examples=[4])
    layers: int = Field(default=2, ge=1, le=8, examples=[2])

    @model_validator(mode="after")
    def _fits(self) -> Transformer:
        if self.width % (self.heads * HEAD_VALUES):
            step = self.heads * HEAD_VALUES
            raise ValueError(
                f"model.width must be a multiple of {HEAD_VALUES} per head, for example {step}"
            )
        if self.tokens > 1024:
            raise ValueError(f"{self.tokens} tokens are too many: make model.patch larger")
        return self

    @property
    def tokens(self) -> int:
        """Patches that cover the sequence."""
        return -(-self.length // self.patch)

    def shapes(self, inputs: int) -> Shapes:
        """List the parameters for a number of inputs, channels times length."""
        wide = self.width
        shapes: Shapes = dict(_linear("embed", inputs // self.length * self.patch, wide))
        for i in range(self.layers):
            block = f"blocks.{i}"
            shapes |= dict(_norm(f"{block}.attention_norm", wide))
            for name in ("query", "key", "value", "out"):
                shapes |= dict(_linear(f"{block}.{name}", wide, wide))
            shapes |= dict(_norm(f"{block}.feed_norm", wide))
            shapes |= dict(_linear(f"{block}.rise", wide, 4 * wide))
            shapes |= dict(_linear(f"{block}.fall", 4 * wide, wide))
        return shapes | dict(_norm("norm", wide)) | dict(_linear("head", wide, 1))


Model = Annotated[Tabular | Autoencoder | Convolutions | Transformer, Field(discriminator="family")]


def _layers(name: str, widths: list[int]) -> list[tuple[str, tuple[int, ...]]]:
    return [
        pair
        for i, (fan_in, fan_out) in enumerate(pairwise(widths))
        for pair in _linear(f"{name}.{i}", fan_in, fan_out)
    ]


def _linear(name: str, fan_in: int, fan_out: int) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"{name}.weight", (fan_out, fan_in)), (f"{name}.bias", (fan_out,))]


def _norm(name: str, width: int) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"{name}.weight", (width,)), (f"{name}.bias", (width,))]
