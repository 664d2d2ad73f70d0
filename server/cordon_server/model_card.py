"""The model card: what the model is, on whom, how private, how good, and what it is not for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.protocol.layout import input_columns, parameter_shapes
from cordon_common.protocol.study import assumption
from cordon_server.biomarkers import coefficients
from cordon_server.spending import epsilon_spent, local_epsilon_spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study
    from cordon_server.journal import RoundRecord, SiteReply

CARD_KIND = "model-card.v1"
LIMITS = (
    "A research model: not validated for decisions about individual patients.",
    "Metrics come from noised histograms of held-out patients at the same hospitals.",
    "Coefficients are associations, not causes; their ± covers privacy noise only.",
)


def named_parameters(
    study: Study, weights: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Cut the flat weight vector into the model's named parameters."""
    shapes = parameter_shapes(study.model, len(input_columns(study.cohort)))
    parameters: dict[str, npt.NDArray[np.float64]] = {}
    start = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        parameters[name] = weights[start : start + size].reshape(shape)
        start += size
    return parameters


@dataclass(frozen=True)
class Trained:
    """A finished training: flat weights, their digest, the rounds and what the sites answered."""

    weights: npt.NDArray[np.float64]
    weights_digest: str
    rounds: Sequence[RoundRecord]
    replies: Sequence[SiteReply]


def model_card(study: Study, campaign: str, trained: Trained, evaluation: Json) -> dict[str, Json]:
    """Write the card as JSON; equal campaigns give equal cards (no time, no host, no path)."""
    rounds = trained.rounds
    return {
        "kind": CARD_KIND,
        "study": {
            "name": study.name,
            "version": study.version,
            "digest": study.digest,
            "purpose": study.purpose,
            "permit": study.permit.id,
        },
        "campaign": campaign,
        "model": {
            "family": study.model.family,
            "size": study.model.model_dump(mode="json", exclude={"family"}),
            "inputs": _inputs(study),
            "label": study.cohort.label.name,
            "weights": trained.weights_digest,
        },
        "training": {
            "rounds": len(rounds),
            "sites": sorted({site for record in rounds for site in record.sites}),
        },
        "privacy": _privacy(study, trained.replies),
        "evaluation": evaluation,
        "coefficients": [
            {"input": c.name, "value": c.value, "noise_std_at_most": c.noise_std}
            for c in coefficients(study, trained.weights, [len(record.sites) for record in rounds])
        ],
        "limits": list(LIMITS),
    }


def _inputs(study: Study) -> list[Json]:
    features = {feature.name: feature for feature in study.cohort.features}
    rows: list[Json] = []
    for column in input_columns(study.cohort):
        feature = features[column.feature]
        row: dict[str, Json] = {"name": column.label, "feature": column.feature}
        if isinstance(feature, NumberFeature) and column.kind == "number":
            row |= {
                "unit": feature.unit,
                "zero_at": feature.centre,
                "one_at": feature.centre + feature.half_width,
            }
        elif isinstance(feature, NumberFeature) and column.kind == "amount":
            row |= {"unit": feature.unit, "scale": feature.scale, "expected": feature.expected}
        rows.append(row)
    return rows


def _privacy(study: Study, replies: Sequence[SiteReply]) -> dict[str, Json]:
    """Say what each hospital spent under the study's trust model, and what it is by itself."""
    local = {
        site: {"epsilon_pld": spent.pld, "epsilon_rdp": spent.rdp}
        for site, spent in local_epsilon_spent(study, replies).items()
    }
    masked: dict[str, Json] = {
        "colluding_sites": study.privacy.colluding_sites,
        "spent_locally": local,
    }
    return {
        "unit": study.cohort.unit,
        "relation": study.privacy.relation,
        "trust_model": study.privacy.trust_model,
        "promised_epsilon": study.privacy.epsilon,
        "delta": study.privacy.delta,
        "spent": {
            site: {"epsilon_pld": spent.pld, "epsilon_rdp": spent.rdp}
            for site, spent in epsilon_spent(study, replies).items()
        },
        "unprotected": list(study.privacy.unprotected),
        "assumes": assumption(study),
        **(masked if study.privacy.trust_model == "secure-sum" else {}),
    }
