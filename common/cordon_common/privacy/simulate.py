"""Predicted utility: the study's own training on invented patients of the same shape.

No patient and no site takes part, so a prediction costs no privacy, however often it is repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cordon_common.protocol.layout import input_columns
from cordon_common.protocol.models import Tabular
from cordon_common.protocol.strategies import Averaging, Median, Proximal
from cordon_common.protocol.study import Adam, FedAvg, Poisson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.protocol.layout import InputColumn
    from cordon_common.protocol.study import FedSgd, Study, Training

Vector = npt.NDArray[np.float64]
Layers = list[tuple[Vector, Vector]]
"""Per layer: weights float64 [out, in], biases float64 [out]."""

IDEAL_AUC = 0.85
"""Declared effect size: AUC of the best possible model on the invented patients."""

SEEDS = 20
TEST_PATIENTS = 2000
MISSING_RATE = 0.1

_BUDGET = 2e10  # keeps a prediction below about six seconds on one core
_STEP_OVERHEAD = 3e5
_MIN_SEEDS = 5


@dataclass(frozen=True)
class Utility:
    """AUC on unseen invented patients: median, and 5 % and 95 % quantiles over the seeds."""

    auc: float
    low: float
    high: float
    auc_without_noise: float
    seeds: int

    @property
    def lost(self) -> float:
        """AUC that the noise costs."""
        return self.auc_without_noise - self.auc


@dataclass(frozen=True)
class Cohort:
    """Invented patients: inputs float64 [patients, columns], outcomes 0.0 or 1.0 [patients]."""

    inputs: Vector
    outcomes: Vector


def predict(
    study: Study, noise_std: float, *, seeds: int = SEEDS, budget: float = _BUDGET
) -> Utility | None:
    """Simulate the study's training with and without noise; None when it would take too long.

    noise_std: standard deviation of the noise in the sum over all sites, in the gradient's unit.
    None as well for server strategies that only Flower has (momentum, adaptive steps, Krum).
    Guarantee: a function of its arguments alone (fixed seeds), so that it can be repeated.
    """
    affordable = math.floor(budget / (2 * _cost(study)))
    if affordable < _MIN_SEEDS or not _simulated(study.training):
        return None
    noisy: list[float] = []
    clean: list[float] = []
    for seed in range(min(seeds, affordable)):
        train, test, start = _world(study, seed)
        for std, results in ((noise_std, noisy), (0.0, clean)):
            layers = train_federated(study, train, start, std, np.random.default_rng([seed, 1]))
            results.append(auc(logits(layers, test.inputs), test.outcomes))
    low, middle, high = np.quantile(noisy, [0.05, 0.5, 0.95])
    return Utility(float(middle), float(low), float(high), float(np.median(clean)), len(noisy))


def training_patients(study: Study) -> int:
    """Return how many patients all sites train on, by the roster; else the public divisor."""
    expected = sum(entry.expected_patients for entry in study.roster)
    if not expected:
        return study.training.divisor
    return max(2, round(expected * (1 - study.evaluation.holdout_fraction)))


def invent(
    columns: Sequence[InputColumn], patients: int, effect: Vector, seed: list[int]
) -> Cohort:
    """Invent patients: numbers normal inside their typical range, categories equally likely.

    effect: log-odds per column. Amounts are present as often as the study expects. One input in ten
    is missing where the study marks missing values.
    """
    rng = np.random.default_rng(seed)
    inputs = np.empty((patients, len(columns)))
    for start, stop, kind in _groups(columns):
        if kind == "category":
            chosen = rng.integers(0, stop - start, patients)
            inputs[:, start:stop] = np.arange(stop - start) == chosen[:, None]
        elif kind == "missing":
            inputs[:, start] = rng.random(patients) < MISSING_RATE
        elif kind == "amount":
            expected = columns[start].expected
            inputs[:, start] = (rng.random(patients) < (expected or 0.5)) - expected
        else:
            inputs[:, start:stop] = np.clip(rng.normal(0, 0.5, (patients, stop - start)), -1, 1)
    score = inputs @ effect
    chance = _sigmoid(score - np.median(score))
    return Cohort(inputs, (rng.random(patients) < chance).astype(np.float64))


def train_federated(
    study: Study, train: Cohort, start: Layers, noise_std: float, rng: np.random.Generator
) -> Layers:
    """Run the study's rounds: clipped sums, noise, the coordinator's step, tail average."""
    training = study.training
    flat, shapes = _flatten(start)
    parts = _parts(study, train) if isinstance(training, FedAvg) else []
    state = None if isinstance(training, FedAvg) else _Optimizer(training, _decay_mask(start))
    averaged, from_round = (
        np.zeros_like(flat),
        training.rounds - math.floor(training.rounds * training.tail_fraction),
    )
    for index in range(training.rounds):
        if isinstance(training, FedAvg):
            std = noise_std / math.sqrt(len(parts))
            updates = [_local_update(training, flat, shapes, part, std, rng) for part in parts]
            flat = flat + _combined(training, updates, [part.share for part in parts])
        elif state is not None:
            gradient = clipped_sum(
                _unflatten(flat, shapes), _sample(train, training, rng), training.clip_norm
            )
            gradient += rng.normal(0, noise_std, flat.size) if noise_std else 0.0
            flat = state.step(flat, gradient / training.divisor)
        if index >= from_round:
            averaged += flat
    tail = training.rounds - from_round
    return _unflatten(averaged / tail if tail else flat, shapes)


@dataclass(frozen=True)
class _Part:
    """The invented patients of one site, and its public share of all patients."""

    cohort: Cohort
    share: float


def _simulated(training: Training) -> bool:
    if not isinstance(training, FedAvg):
        return True
    return isinstance(training.strategy, Averaging | Proximal | Median)


def _parts(study: Study, train: Cohort) -> list[_Part]:
    """Deal the patients out to sites of the roster's sizes; one site without a roster."""
    sizes = np.array([entry.expected_patients for entry in study.roster] or [1], dtype=float)
    shares = sizes / sizes.sum()
    edges = np.round(np.cumsum([0, *shares]) * train.outcomes.size).astype(int)
    return [
        _Part(Cohort(train.inputs[low:high], train.outcomes[low:high]), float(share))
        for (low, high), share in zip(pairwise(edges), shares, strict=True)
    ]


def _local_update(
    training: FedAvg,
    start: Vector,
    shapes: list[tuple[int, int]],
    part: _Part,
    noise_std: float,
    rng: np.random.Generator,
) -> Vector:
    """Return the change of the weights after a site's noised steps, bounded to `update_norm`."""
    rate = training.sampling.rate if isinstance(training.sampling, Poisson) else 1.0
    divisor = training.divisor * part.share * rate
    pull = training.strategy.proximal_mu if isinstance(training.strategy, Proximal) else 0.0
    flat = start
    for _ in range(training.steps):
        batch = _sample(part.cohort, training, rng)
        gradient = clipped_sum(_unflatten(flat, shapes), batch, training.clip_norm)
        gradient += rng.normal(0, noise_std, flat.size) if noise_std else 0.0
        flat = flat - training.local_learning_rate * (gradient / divisor + pull * (flat - start))
    change = flat - start
    length = float(np.linalg.norm(change))
    bounded: Vector = change * min(1.0, training.update_norm / max(length, 1e-300))
    return bounded


def _combined(training: FedAvg, updates: list[Vector], shares: list[float]) -> Vector:
    if isinstance(training.strategy, Median):
        middle: Vector = np.median(np.stack(updates), axis=0)
        return middle
    mean: Vector = np.average(np.stack(updates), axis=0, weights=shares)
    return mean


def clipped_sum(layers: Layers, cohort: Cohort, clip_norm: float) -> Vector:
    """Return the sum of per-patient logistic-loss gradients, each clipped to clip_norm in L2."""
    activations = _forward(layers, cohort.inputs)
    error = _sigmoid(activations[-1]) - cohort.outcomes[:, None]
    errors = [error]
    for index in range(len(layers) - 1, 0, -1):
        error = (error @ layers[index][0]) * (1 - activations[index] ** 2)
        errors.insert(0, error)
    squared = sum(
        (delta**2).sum(axis=1) * ((value**2).sum(axis=1) + 1)
        for delta, value in zip(errors, activations, strict=False)
    )
    factor = np.minimum(1.0, clip_norm / np.sqrt(np.maximum(squared, 1e-300)))[:, None]
    parts = []
    for delta, value in zip(errors, activations, strict=False):
        scaled = delta * factor
        parts += [(scaled.T @ value).ravel(), scaled.sum(axis=0)]
    return np.concatenate(parts)


def logits(layers: Layers, inputs: Vector) -> Vector:
    """Return the log-odds of every row, float64 [rows]."""
    result: Vector = _forward(layers, inputs)[-1][:, 0]
    return result


def auc(scores: Vector, outcomes: Vector) -> float:
    """Return the area under the ROC curve (rank statistic); 0.5 when one class is missing."""
    positive = outcomes > 0.5
    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        return 0.5
    ranks = np.empty(scores.size)
    ranks[np.argsort(scores, kind="stable")] = np.arange(1, scores.size + 1)
    wins = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(wins / pairs)


def effect_scale(ideal_auc: float) -> float:
    """Return the standard deviation of log-odds at which the best model reaches an AUC.

    For log-odds s·g with g normal the AUC is E[p(g) (1 - p(g')) 1(g > g')] / (E p · E (1 - p)).
    """
    grid = np.linspace(-6, 6, 1201)
    weight = np.exp(-(grid**2) / 2)
    weight /= weight.sum()

    def reached(scale: float) -> float:
        chance = _sigmoid(scale * grid)
        cases, controls = weight * chance, weight * (1 - chance)
        below = np.cumsum(controls) - controls / 2
        return float((cases * below).sum() / (cases.sum() * controls.sum()))

    low, high = 0.01, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < ideal_auc else (low, middle)
    return high


class _Optimizer:
    """The coordinator's optimiser on one flat vector (SGD with momentum, or Adam)."""

    def __init__(self, training: FedSgd, decay: Vector) -> None:
        self._training, self._decay = training, decay
        self._first = np.zeros_like(decay)
        self._second = np.zeros_like(decay)
        self._steps = 0

    def step(self, weights: Vector, gradient: Vector) -> Vector:
        optimizer = self._training.optimizer
        gradient = gradient + self._training.weight_decay * self._decay * weights
        self._steps += 1
        if not isinstance(optimizer, Adam):
            self._first = optimizer.momentum * self._first + gradient
            moved: Vector = weights - optimizer.learning_rate * self._first
            return moved
        self._first = optimizer.beta1 * self._first + (1 - optimizer.beta1) * gradient
        self._second = optimizer.beta2 * self._second + (1 - optimizer.beta2) * gradient**2
        first = self._first / (1 - optimizer.beta1**self._steps)
        scale = np.sqrt(self._second / (1 - optimizer.beta2**self._steps)) + optimizer.epsilon
        adapted: Vector = weights - optimizer.learning_rate * first / scale
        return adapted


def _world(study: Study, seed: int) -> tuple[Cohort, Cohort, Layers]:
    columns = input_columns(study.cohort)
    rng = np.random.default_rng([seed, 0])
    effect = rng.normal(size=len(columns))
    probe = invent(columns, 500, effect, [seed, 2]).inputs @ effect
    effect *= effect_scale(IDEAL_AUC) / max(float(probe.std()), 1e-9)
    train = invent(columns, training_patients(study), effect, [seed, 3])
    test = invent(columns, TEST_PATIENTS, effect, [seed, 4])
    return train, test, _initial(study, len(columns), rng)


def _initial(study: Study, columns: int, rng: np.random.Generator) -> Layers:
    layers = []
    for fan_in, fan_out in pairwise([columns, *_hidden(study), 1]):
        limit = math.sqrt(6 / (fan_in + fan_out)) if _hidden(study) else 0.0
        layers.append((rng.uniform(-limit, limit, (fan_out, fan_in)), np.zeros(fan_out)))
    return layers


def _groups(columns: Sequence[InputColumn]) -> list[tuple[int, int, str]]:
    """Group columns: the categories of one feature belong together, others stand alone."""
    groups: list[tuple[int, int, str]] = []
    for index, column in enumerate(columns):
        if column.kind == "category" and groups:
            start, stop, kind = groups[-1]
            if kind == "category" and columns[start].feature == column.feature:
                groups[-1] = (start, stop + 1, kind)
                continue
        groups.append((index, index + 1, column.kind))
    return groups


def _sample(train: Cohort, training: Training, rng: np.random.Generator) -> Cohort:
    if not isinstance(training.sampling, Poisson):
        return train
    taken = rng.random(train.outcomes.size) < training.sampling.rate
    return Cohort(train.inputs[taken], train.outcomes[taken])


def _forward(layers: Layers, inputs: Vector) -> list[Vector]:
    activations = [inputs]
    for index, (weights, biases) in enumerate(layers):
        values = activations[-1] @ weights.T + biases
        activations.append(np.tanh(values) if index < len(layers) - 1 else values)
    return activations


def _sigmoid(values: Vector) -> Vector:
    result: Vector = (1 + np.tanh(values / 2)) / 2
    return result


def _flatten(layers: Layers) -> tuple[Vector, list[tuple[int, int]]]:
    shapes = [(weights.shape[0], weights.shape[1]) for weights, _ in layers]
    parts = [part.ravel() for layer in layers for part in layer]
    return np.concatenate(parts), shapes


def _unflatten(flat: Vector, shapes: list[tuple[int, int]]) -> Layers:
    layers, offset = [], 0
    for fan_out, fan_in in shapes:
        split = offset + fan_out * fan_in
        weights = flat[offset:split].reshape(fan_out, fan_in)
        layers.append((weights, flat[split : split + fan_out]))
        offset = split + fan_out
    return layers


def _decay_mask(layers: Layers) -> Vector:
    return np.concatenate(
        [
            np.concatenate([np.ones(weights.size), np.zeros(biases.size)])
            for weights, biases in layers
        ]
    )


def _cost(study: Study) -> float:
    """Estimate one training run's cost in units of about 0.3 ns on one core.

    Narrow layers are bound by reading the inputs, wide ones by matrix products, tiny models by the
    fixed cost of a step.
    """
    columns = len(input_columns(study.cohort))
    products = sum(fan_in * fan_out for fan_in, fan_out in pairwise([columns, *_hidden(study), 1]))
    patients = training_patients(study)
    step = patients * (12 * columns + products) + _STEP_OVERHEAD
    drawing = 60 * columns * (patients + TEST_PATIENTS)
    return study.training.rounds * study.training.steps * step + drawing


def _hidden(study: Study) -> tuple[int, ...]:
    """Return the hidden widths; other families are predicted by a linear model on their inputs."""
    return study.model.hidden if isinstance(study.model, Tabular) else ()
