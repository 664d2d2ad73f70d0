"""What a hospital is told before it approves a study: what will leave, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.explain import explain
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.protocol.layout import dimension, input_columns
from cordon_common.protocol.parse import parse_model
from cordon_common.protocol.study import FedAvg, assumption
from cordon_common.protocol.study import Study as StudyModel
from cordon_common.qc.summary import qc_layout

if TYPE_CHECKING:
    from cordon_common.canonical import Json
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study
    from cordon_common.signing import Envelope


@dataclass(frozen=True)
class Leaving:
    """One kind of release: how often, what it is, how much noise it carries."""

    what: str
    times: int
    numbers: int
    noise: str


@dataclass(frozen=True)
class Terms:
    """What a hospital is told before it says yes.

    epsilon_pld, epsilon_rdp: under the study's trust model, which `assumes` puts into words;
    epsilon_local: what the same releases cost if it did not hold.
    """

    study: Study
    leaving: tuple[Leaving, ...]
    unprotected: tuple[str, ...]
    epsilon_pld: float
    epsilon_rdp: float
    epsilon_local: float
    assumes: str
    meaning: tuple[str, ...]

    def as_json(self) -> Json:
        """Return the JSON value that the ledger keeps beside the approval."""
        return {
            "study": self.study.name,
            "version": self.study.version,
            "leaving": [
                {"what": item.what, "times": item.times, "numbers": item.numbers}
                for item in self.leaving
            ],
            "unprotected": list(self.unprotected),
            "trust_model": self.study.privacy.trust_model,
            "assumes": self.assumes,
        } | ({"samples": list(self.study.qc.samples)} if self.study.qc.samples else {})


_UNPROTECTED = {
    "participation": "that this hospital takes part",
    "qc_verdict": "the coarse verdict of quality control (pass, warn or fail per kind of check, "
    "with reason codes); and when the cohort cannot be used, the code of why",
}


def terms_of(study: Study) -> Terms:
    """Say in plain words what a study lets out; computed from the protocol alone."""
    plan = planned_events(study)
    grid = release_grid(study)
    layout = qc_layout(study)
    qc_std = plan.qc.noise_std_grid / grid.qc
    clip = study.training.clip_norm
    train_std = plan.training.noise_std_grid / grid.training
    score_std = plan.evaluation.noise_std_grid / grid.evaluation
    cost = study_epsilon(plan.all_events(), study.privacy.delta, study.privacy.trust_model)
    masked = study.privacy.trust_model == "secure-sum"
    leaving = (
        Leaving(
            f"quality summary: patients counted in {len(layout.histograms)} public histograms, "
            "and how each feature goes with the outcome"
            + ("; mean and spread of each number" if layout.moments.features else ""),
            1,
            layout.dimension,
            f"each count ± {qc_std:.1f} patients or more",
        ),
        Leaving(
            f"{_update(study)}, each patient bounded to length {clip:g}"
            + ("; under masks that vanish only in the sum over all sites" if masked else ""),
            plan.rounds,
            dimension(study),
            f"each number {_per_step(study)}± {train_std:.3g} "
            f"({train_std / clip:.3g} patients' worth)"
            + (_sum_noise(plan.training, grid.training, clip) if masked else ""),
        ),
        Leaving(
            "evaluation: held-out patients counted by predicted risk and outcome",
            1,
            2 * study.evaluation.bins,
            f"each count ± {score_std:.1f} patients",
        ),
    )
    return Terms(
        study,
        leaving,
        tuple(_UNPROTECTED[item] for item in study.privacy.unprotected),
        cost.pld,
        cost.rdp,
        study_epsilon(plan.all_events(), study.privacy.delta).pld,
        assumption(study),
        explain(plan.all_events(), study.privacy.delta, study.privacy.trust_model).sentences,
    )


def _update(study: Study) -> str:
    inputs = len(input_columns(study.cohort))
    if isinstance(study.training, FedAvg):
        return (
            f"training update: change of the model for {inputs} inputs after "
            f"{study.training.steps} noised steps over the patients' gradients"
        )
    return f"training update: sum of the patients' gradients for {inputs} inputs"


def _per_step(study: Study) -> str:
    return "of every step's sum " if isinstance(study.training, FedAvg) else ""


def _sum_noise(event: Event, steps_per_unit: float, clip: float) -> str:
    """Say how much noise the honest sites' sum carries; each site's own is its share."""
    std = event.noise_multiplier * event.sensitivity_grid / steps_per_unit
    return f" by itself; ± {std:.3g} ({std / clip:.3g} patients' worth) in the sum"


def study_of(envelope: Envelope) -> Study:
    """Read the study of an envelope whose signature was checked when it was approved."""
    return parse_model(
        StudyModel, envelope.payload, code="PR001", what="an approved study is not valid"
    )
