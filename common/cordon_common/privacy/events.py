"""What happened, privacy-wise: a closed set of events, as data. What it costs is `accounting`.

Kinds are versioned and never redefined. An unknown kind is refused, never counted as free.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from cordon_common.errors import ProtocolError
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from cordon_common.canonical import Json

Population = Literal["all", "train", "holdout"]
"""Which patients a release looks at; train and holdout patients are disjoint (keyed-hash split)."""


class GaussianRelease(StrictModel):
    """One integer vector with rounded Gaussian noise.

    noise_multiplier: standard deviation ÷ L2 sensitivity, both in grid units.
    sensitivity_grid: L2 sensitivity for adding or removing one patient (rounding, floating-point
        slack and QC stability included). noise_std_grid = noise_multiplier · sensitivity_grid.
    stability: how many patients' contributions one patient can change through QC.
    dimension: number of released integers.
    """

    kind: Literal["gaussian.v1"] = "gaussian.v1"
    purpose: Literal["qc", "training", "evaluation"]
    population: Population
    noise_multiplier: float = Field(gt=0)
    sensitivity_grid: float = Field(gt=0)
    stability: int = Field(ge=1)
    dimension: int = Field(ge=1)

    @property
    def noise_std_grid(self) -> float:
        """Standard deviation of the noise in grid steps, before it is rounded to integers."""
        return self.noise_multiplier * self.sensitivity_grid


class SampledGaussianRelease(StrictModel):
    """A `GaussianRelease` over a fresh Poisson sample of the patients (rate q, never revealed)."""

    kind: Literal["poisson-gaussian.v1"] = "poisson-gaussian.v1"
    purpose: Literal["training"]
    population: Population
    noise_multiplier: float = Field(gt=0)
    sensitivity_grid: float = Field(gt=0)
    stability: int = Field(ge=1)
    dimension: int = Field(ge=1)
    sample_rate: float = Field(gt=0, lt=1)

    @property
    def noise_std_grid(self) -> float:
        """Standard deviation of the noise in grid steps, before it is rounded to integers."""
        return self.noise_multiplier * self.sensitivity_grid


class SecureSumRelease(StrictModel):
    """One site's masked share of a sum over `sites` sites, of which `colluding` may not be honest.

    noise_multiplier: standard deviation of the noise in the honest sites' sum ÷ L2 sensitivity.
    The site itself adds the share noise_multiplier / √(sites - colluding): what it costs if the
    masks were of no use. sample_rate: 1 when every patient takes part.
    """

    kind: Literal["secure-sum.v1"] = "secure-sum.v1"
    purpose: Literal["training"]
    population: Population
    noise_multiplier: float = Field(gt=0)
    sensitivity_grid: float = Field(gt=0)
    stability: int = Field(ge=1)
    dimension: int = Field(ge=1)
    sites: int = Field(ge=2)
    colluding: int = Field(ge=0)
    sample_rate: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _somebody_is_honest(self) -> SecureSumRelease:
        if self.sites <= self.colluding:
            raise ValueError("a sum without honest sites protects nobody")
        return self

    @property
    def shares(self) -> int:
        """How many shares of noise the coalition cannot subtract: those of the honest sites."""
        return self.sites - self.colluding

    @property
    def share_multiplier(self) -> float:
        """Standard deviation of this site's own noise ÷ L2 sensitivity."""
        return self.noise_multiplier / math.sqrt(self.shares)

    @property
    def noise_std_grid(self) -> float:
        """Standard deviation of this site's own noise in grid steps, before rounding."""
        return self.share_multiplier * self.sensitivity_grid


class LocalStepsRelease(StrictModel):
    """The change of the weights after `steps` noised gradient steps at one site; each is charged.

    Every step draws its own patients (rate `sample_rate`; 1: everybody) and adds its own noise to
    its clipped sum; what leaves is computed from these noised sums and public numbers alone.
    dimension: number of released integers, and of noised integers per step.
    """

    kind: Literal["local-steps.v1"] = "local-steps.v1"
    purpose: Literal["training"]
    population: Population
    noise_multiplier: float = Field(gt=0)
    sensitivity_grid: float = Field(gt=0)
    stability: int = Field(ge=1)
    dimension: int = Field(ge=1)
    sample_rate: float = Field(default=1.0, gt=0, le=1)
    steps: int = Field(ge=1)

    @property
    def noise_std_grid(self) -> float:
        """Standard deviation of one step's noise in grid steps, before it is rounded to integers."""
        return self.noise_multiplier * self.sensitivity_grid


AnyEvent = GaussianRelease | SampledGaussianRelease | SecureSumRelease | LocalStepsRelease
Event = Annotated[AnyEvent, Field(discriminator="kind")]

_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(Event)


def mechanism_runs(event: Event) -> int:
    """Return how many noised sums an event stands for."""
    return event.steps if isinstance(event, LocalStepsRelease) else 1


def parse_event(value: Json) -> Event:
    """Read an event from its JSON form.

    Raises:
        ProtocolError: PR005 for an unknown kind or a wrong field (refuse, never free).
    """
    try:
        return _EVENT.validate_python(value)
    except ValidationError as error:
        raise ProtocolError(
            "PR005", "a privacy event is not of a known kind", why=str(error.errors()[0]["msg"])
        ) from None
