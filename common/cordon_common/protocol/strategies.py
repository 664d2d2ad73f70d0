"""How the coordinator combines the sites' updates in DP-FedAvg; what each name means is Flower's.

Everything here is public and part of the study. Combining is post-processing: it costs no privacy.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from cordon_common.strict import StrictModel


class Averaging(StrictModel):
    """Mean of the sites' models, weighted by their public sizes (McMahan et al. 2017)."""

    name: Literal["fedavg"]


class Proximal(StrictModel):
    """`Averaging`; sites are pulled back to the round's weights (FedProx, Li et al. 2020)."""

    name: Literal["fedprox"]
    proximal_mu: float = Field(gt=0, le=1e4, examples=[0.1])


class ServerMomentum(StrictModel):
    """A server step with momentum along the mean update (FedAvgM, Hsu et al. 2019)."""

    name: Literal["fedavgm"]
    learning_rate: float = Field(default=1.0, gt=0, examples=[1.0])
    momentum: float = Field(default=0.9, gt=0, lt=1, examples=[0.9])


class Adaptive(StrictModel):
    """A server step scaled per weight along the mean update (Reddi et al. 2021)."""

    name: Literal["fedadam", "fedyogi"]
    learning_rate: float = Field(gt=0, examples=[0.1])
    beta1: float = Field(default=0.9, ge=0, lt=1, examples=[0.9])
    beta2: float = Field(default=0.99, ge=0, lt=1, examples=[0.99])
    tau: float = Field(default=1e-3, gt=0, examples=[0.001])


class Median(StrictModel):
    """Median of every weight over the sites (Yin et al. 2018)."""

    name: Literal["fedmedian"]


class TrimmedMean(StrictModel):
    """Mean of every weight without the share `trim` at either end (Yin et al. 2018)."""

    name: Literal["fedtrimmedavg"]
    trim: float = Field(default=0.25, gt=0, lt=0.5, examples=[0.25])


class Krum(StrictModel):
    """The one update that lies closest to the others (Blanchard et al. 2017)."""

    name: Literal["krum"]
    malicious_sites: int = Field(ge=1, examples=[1])


Strategy = Annotated[
    Averaging | Proximal | ServerMomentum | Adaptive | Median | TrimmedMean | Krum,
    Field(discriminator="name"),
]

STRATEGY_NAMES = frozenset(
    {"fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi", "fedmedian", "fedtrimmedavg", "krum"}
)


def least_sites(strategy: Strategy) -> int:
    """Return how many sites a strategy needs to do what it says; 1 for means of any kind.

    A median needs three; a trimmed mean enough that somebody is trimmed; Krum 2f + 3.
    """
    if isinstance(strategy, Krum):
        return 2 * strategy.malicious_sites + 3
    if isinstance(strategy, TrimmedMean):
        return max(3, math.ceil(1 / strategy.trim))
    return 3 if isinstance(strategy, Median) else 1
