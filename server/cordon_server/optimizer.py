"""The coordinator's optimiser: post-processing of noised gradients, equal bits on every run.

State is explicit and frozen; only correctly rounded operations (+ - · / √) touch it, so that a
resumed study continues bit for bit and an auditor can replay it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import ProtocolError
from cordon_common.protocol.layout import input_columns, parameter_shapes
from cordon_common.protocol.study import Adam, FedSgd

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_common.protocol.study import Rounds, Sgd, Study
    from cordon_common.wire import Arrays

    Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OptimizerState:
    """All that the next round needs; every vector float64 [dimension].

    momentum: velocity (SGD) or first moment (Adam); second: Adam's second moment; tail_sum: sum of
    the `tail_count` iterates averaged so far; steps: rounds applied.
    """

    weights: Vector
    momentum: Vector
    second: Vector
    tail_sum: Vector
    tail_count: int
    steps: int

    def arrays(self) -> Arrays:
        """Return the state as named arrays, ready for `wire.array_bytes`."""
        return {
            "weights": self.weights,
            "momentum": self.momentum,
            "second": self.second,
            "tail_sum": self.tail_sum,
            "counters": np.array([self.tail_count, self.steps], dtype=np.int64),
        }


def start(weights: Vector) -> OptimizerState:
    """Return the state before the first round."""
    zero = np.zeros_like(weights)
    return OptimizerState(weights.copy(), zero, zero, zero, 0, 0)


def from_arrays(arrays: Arrays) -> OptimizerState:
    """Rebuild a state from `OptimizerState.arrays`.

    Raises:
        ProtocolError: PR008 when an array is missing or does not fit the others.
    """
    vectors = [arrays.get(name) for name in ("weights", "momentum", "second", "tail_sum")]
    counters = arrays.get("counters")
    shapes = {vector.shape if vector is not None else None for vector in vectors}
    if counters is None or counters.shape != (2,) or len(shapes) != 1 or None in shapes:
        raise ProtocolError("PR008", why="these are not the arrays of an optimiser state")
    weights, momentum, second, tail_sum = (np.asarray(v, dtype=np.float64) for v in vectors)
    return OptimizerState(weights, momentum, second, tail_sum, int(counters[0]), int(counters[1]))


def step(state: OptimizerState, gradient: Vector, study: Study) -> OptimizerState:
    """Apply one round's noised mean gradient.

    SGD: v ← m v + g; w ← w - lr v. Adam: Kingma, Ba 2015, Algorithm 1. Weight decay adds
    `weight_decay` · w to the gradient of weights, not of biases.

    Raises:
        ProtocolError: PR008 when the gradient's shape differs from the weights', or the study has
            no optimiser at the server.
    """
    training = study.training
    if gradient.shape != state.weights.shape or not isinstance(training, FedSgd):
        raise ProtocolError("PR008", why="the gradient does not fit the weights or the study")
    if training.weight_decay > 0:
        gradient = gradient + training.weight_decay * (state.weights * decay_mask(study))
    optimizer = training.optimizer
    if isinstance(optimizer, Adam):
        moved = _adam(state, gradient, optimizer)
    else:
        moved = _sgd(state, gradient, optimizer)
    return counted(moved, training)


def counted(moved: OptimizerState, training: Rounds) -> OptimizerState:
    """Count a round whose step was taken; its weights enter the average in the tail.

    Iterates of the last `tail_fraction` of the rounds are averaged.
    """
    steps = moved.steps + 1
    if steps <= first_tail_round(training.rounds, training.tail_fraction):
        return replace(moved, steps=steps)
    return replace(
        moved,
        steps=steps,
        tail_sum=moved.tail_sum + moved.weights,
        tail_count=moved.tail_count + 1,
    )


def averaged_weights(state: OptimizerState) -> Vector:
    """Return the model to keep: mean of the tail's iterates, else the last iterate."""
    if state.tail_count == 0:
        return state.weights.copy()
    average: Vector = state.tail_sum / state.tail_count
    return average


def first_tail_round(rounds: int, tail_fraction: float) -> int:
    """Return how many rounds pass before averaging starts: rounds - ⌊rounds · fraction⌋."""
    return rounds - math.floor(rounds * tail_fraction)


def decay_mask(study: Study) -> Vector:
    """Return 1 for weights and 0 for biases, float64 [dimension]."""
    shapes = parameter_shapes(study.model, len(input_columns(study.cohort)))
    return np.concatenate(
        [np.full(math.prod(shape), float(len(shape) > 1)) for shape in shapes.values()]
    )


def _sgd(state: OptimizerState, gradient: Vector, optimizer: Sgd) -> OptimizerState:
    velocity = optimizer.momentum * state.momentum + gradient
    return replace(
        state,
        weights=state.weights - optimizer.learning_rate * velocity,
        momentum=velocity,
    )


def _adam(state: OptimizerState, gradient: Vector, optimizer: Adam) -> OptimizerState:
    beta1, beta2 = optimizer.beta1, optimizer.beta2
    first = beta1 * state.momentum + (1 - beta1) * gradient
    second = beta2 * state.second + (1 - beta2) * (gradient * gradient)
    rounds = state.steps + 1
    corrected = first / (1 - _power(beta1, rounds))
    scale = np.sqrt(second / (1 - _power(beta2, rounds))) + optimizer.epsilon
    return replace(
        state,
        weights=state.weights - optimizer.learning_rate * corrected / scale,
        momentum=first,
        second=second,
    )


def _power(base: float, exponent: int) -> float:
    """Multiply step by step: libm's pow is not the same on every platform."""
    result = 1.0
    for _ in range(exponent):
        result *= base
    return result
