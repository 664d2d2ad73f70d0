"""What to change when the predicted utility is poor; tried on invented patients, so it is free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.errors import ProtocolError
from cordon_common.privacy.calibrate import draft_noise, with_noise
from cordon_common.privacy.simulate import predict
from cordon_common.protocol.study import FedAvg, Study

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cordon_common.canonical import Json
    from cordon_common.privacy.simulate import Utility
    from cordon_common.protocol.study import Optimizer

    NoiseStd = Callable[[Study], float]

POOR_LOSS = 0.03
"""AUC lost to noise from which on a study is told how to lose less."""

POOR_AUC = 0.7
"""AUC without noise below which the shape of the study is the problem (0.85 would be ideal)."""

LARGEST_EPSILON = 10.0
"""No advice goes beyond this ε: it would protect too little."""

WORTH_TELLING = 0.01
_TRIAL_BUDGET = 1e9  # a third of a second per trial at most


def suggest(study: Study, utility: Utility, noise_std: NoiseStd) -> str | None:
    """Return advice for a study whose noise costs more than `POOR_LOSS` AUC, else None.

    noise_std: maps a study with noise multipliers to the noise of its summed round.
    """
    if utility.lost <= POOR_LOSS:
        return None
    advice = [f"Noise costs {utility.lost:.2f} AUC."]
    if utility.auc_without_noise < POOR_AUC:
        advice.append(
            "Even without noise these patients are too few for so many inputs: choose fewer "
            "features, or a public summary of them."
        )
    best, found = "", utility.auc
    for change, trial in _variants(study):
        result = _try(trial, noise_std)
        if result is not None and result.auc > found:
            best, found = change, result.auc
    if found > utility.auc + WORTH_TELLING:
        advice.append(f"At the same epsilon, {best} is predicted to reach {found:.3f}.")
    advice += _enough(
        noise_std,
        (
            (f"privacy.epsilon: {factor * study.privacy.epsilon:g}", _weaker(study, factor))
            for factor in (2, 4, 8)
            if factor * study.privacy.epsilon <= LARGEST_EPSILON
        ),
    )
    advice += _enough(
        noise_std,
        ((f"{factor} times as many patients", _larger(study, factor)) for factor in (2, 4, 8)),
    )
    if len(advice) == 1:
        advice.append("Nothing that was tried repairs this; fewer features help most.")
    return " ".join(advice)


def _enough(noise_std: NoiseStd, trials: Iterable[tuple[str, Study]]) -> list[str]:
    """Name the first change that brings the loss below `POOR_LOSS`, if one does."""
    for change, trial in trials:
        result = _try(trial, noise_std)
        if result is not None and result.lost <= POOR_LOSS:
            return [f"With {change} the loss would be {max(result.lost, 0):.2f}."]
    return []


def _weaker(study: Study, factor: int) -> Study:
    return _changed(study, privacy={"epsilon": study.privacy.epsilon * factor})


def _larger(study: Study, factor: int) -> Study:
    larger = _changed(study, training={"divisor": study.training.divisor * factor})
    entries = (
        entry.model_copy(update={"expected_patients": entry.expected_patients * factor})
        for entry in larger.roster
    )
    return larger.model_copy(update={"roster": tuple(entries)})


def _variants(study: Study) -> Iterator[tuple[str, Study]]:
    """Yield single changes that keep the promise: fewer or more rounds, smaller clip or step."""
    training = study.training
    for rounds in (max(3, training.rounds // 3), min(10_000, training.rounds * 3)):
        yield f"training.rounds: {rounds}", _changed(study, training={"rounds": rounds})
    clip = training.clip_norm
    yield f"training.clip_norm: {clip / 3:.3g}", _changed(study, training={"clip_norm": clip / 3})
    yield from (
        _local_steps(study, training)
        if isinstance(training, FedAvg)
        else _server_steps(study, training.optimizer)
    )


def _local_steps(study: Study, training: FedAvg) -> Iterator[tuple[str, Study]]:
    for factor in (0.3, 3.0):
        rate = training.local_learning_rate * factor
        change: dict[str, Json] = {"local_learning_rate": rate}
        yield f"training.local_learning_rate: {rate:.3g}", _changed(study, training=change)
    if training.local_steps > 1:
        yield "training.local_steps: 1", _changed(study, training={"local_steps": 1})


def _server_steps(study: Study, optimizer: Optimizer) -> Iterator[tuple[str, Study]]:
    rate, fields = optimizer.learning_rate, optimizer.model_dump(mode="json")
    for factor in (0.3, 3.0):
        yield (
            f"training.optimizer.learning_rate: {rate * factor:.3g}",
            _changed(study, training={"optimizer": fields | {"learning_rate": rate * factor}}),
        )
    if getattr(optimizer, "momentum", 0):
        yield (
            "training.optimizer.momentum: 0",
            _changed(study, training={"optimizer": fields | {"momentum": 0.0}}),
        )


def _changed(study: Study, **parts: dict[str, Json]) -> Study:
    value = study.as_json()
    for name, fields in parts.items():
        value[name] = value[name] | fields
    value["privacy"] = value["privacy"] | {"noise": None}
    return Study.model_validate(value, strict=False)


def _try(study: Study, noise_std: NoiseStd) -> Utility | None:
    try:
        resolved = with_noise(study, draft_noise(study))
    except ProtocolError:
        return None
    return predict(resolved, noise_std(resolved), budget=_TRIAL_BUDGET)
