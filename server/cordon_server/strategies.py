"""DP-FedAvg at the coordinator: the sites' updates are combined by Flower's own strategies.

A strategy object is made anew for every round from the explicit state and read back after it, so
that a resumed study goes on as if nothing had happened. Combining is post-processing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from cordon_common.errors import ProtocolError
from cordon_common.privacy.schedule import site_weight
from cordon_common.protocol.strategies import (
    Adaptive,
    Krum,
    Median,
    Proximal,
    ServerMomentum,
    TrimmedMean,
)
from cordon_server.optimizer import OptimizerState, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from flwr.app import ArrayRecord, Message, RecordDict
    from flwr.serverapp.strategy import FedAvg as FlowerStrategy

    from cordon_common.protocol.strategies import Strategy
    from cordon_common.protocol.study import FedAvg, Study

    Vector = npt.NDArray[np.float64]

_WEIGHTS = "weights"
_SIZE = "num-examples"


@dataclass(frozen=True)
class _Reply:
    """What Flower's strategies look at in a message: its content, and that there is no error."""

    content: RecordDict

    def has_error(self) -> bool:
        """Only checked answers get here."""
        return False


def combine(
    state: OptimizerState, updates: Mapping[str, Vector], study: Study, training: FedAvg
) -> OptimizerState:
    """Apply one round: what each site's weights became goes through the study's strategy.

    updates: per site the change of the weights, float64 [dimension]. Sites are weighted by their
    public sizes where the strategy weights at all.

    Raises:
        ProtocolError: PR008 when an update does not fit the weights.
    """
    if any(update.shape != state.weights.shape for update in updates.values()):
        raise ProtocolError("PR008", why="an update does not fit the weights")
    strategy = _strategy(training.strategy)
    _restore(strategy, state)
    replies = [
        _reply(state.weights + updates[site], site_weight(study, site)) for site in sorted(updates)
    ]
    arrays, _ = strategy.aggregate_train(state.steps + 1, cast("list[Message]", replies))
    if arrays is None:
        raise ProtocolError("PR008", why="the strategy made no model of these updates")
    return counted(_read_back(strategy, state, _vector(arrays)), training)


def _strategy(chosen: Strategy) -> FlowerStrategy:
    """Make Flower's strategy of a study's choice."""
    from flwr.serverapp import strategy as flower  # seconds to import; only DP-FedAvg needs it

    if isinstance(chosen, ServerMomentum):
        return flower.FedAvgM(
            server_learning_rate=chosen.learning_rate, server_momentum=chosen.momentum
        )
    if isinstance(chosen, Adaptive):
        kind = flower.FedAdam if chosen.name == "fedadam" else flower.FedYogi
        return kind(
            eta=chosen.learning_rate, beta_1=chosen.beta1, beta_2=chosen.beta2, tau=chosen.tau
        )
    if isinstance(chosen, Krum):
        return flower.Krum(num_malicious_nodes=chosen.malicious_sites)
    if isinstance(chosen, TrimmedMean):
        return flower.FedTrimmedAvg(beta=chosen.trim)
    if isinstance(chosen, Proximal):
        return flower.FedProx(proximal_mu=chosen.proximal_mu)
    return flower.FedMedian() if isinstance(chosen, Median) else flower.FedAvg()


def _restore(strategy: FlowerStrategy, state: OptimizerState) -> None:
    """Give a new strategy what it would know had it lived since the first round."""
    from flwr.serverapp import strategy as flower

    if isinstance(strategy, flower.FedAvgM):
        strategy.current_arrays = _record(state.weights)
        strategy.momentum_vector = [state.momentum.copy()] if state.steps else None
    elif isinstance(strategy, flower.FedAdam | flower.FedYogi):
        strategy.current_arrays = {_WEIGHTS: state.weights}
        strategy.m_t = {_WEIGHTS: state.momentum}
        strategy.v_t = {_WEIGHTS: state.second}


def _read_back(strategy: FlowerStrategy, state: OptimizerState, weights: Vector) -> OptimizerState:
    from flwr.serverapp import strategy as flower

    moved = replace(state, weights=weights)
    if isinstance(strategy, flower.FedAvgM) and strategy.momentum_vector is not None:
        return replace(moved, momentum=np.asarray(strategy.momentum_vector[0], dtype=np.float64))
    if isinstance(strategy, flower.FedAdam | flower.FedYogi):
        moments = strategy.m_t or {}, strategy.v_t or {}
        first, second = (np.asarray(each[_WEIGHTS], dtype=np.float64) for each in moments)
        return replace(moved, momentum=first, second=second)
    return moved


def _reply(weights: Vector, size: float) -> _Reply:
    from flwr.app import MetricRecord, RecordDict

    return _Reply(RecordDict({"arrays": _record(weights), "size": MetricRecord({_SIZE: size})}))


def _record(weights: Vector) -> ArrayRecord:
    from flwr.app import Array, ArrayRecord

    return ArrayRecord({_WEIGHTS: Array(weights)})


def _vector(arrays: ArrayRecord) -> Vector:
    return np.asarray(arrays[_WEIGHTS].numpy(), dtype=np.float64)
