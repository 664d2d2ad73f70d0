"""What the page of a clinical table under a study shows beyond its value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.charts import chart
from cordon_common.qc.registry import REGISTRY

if TYPE_CHECKING:
    from cordon_common.canonical import Json


def study_page(value: dict[str, Json]) -> dict[str, Json]:
    """Return the template's variables."""
    features = [_with_defaults(feature) for feature in value["features"]]
    return {
        "r": value | {"features": features},
        "charts": [chart(feature) for feature in features],
        "titles": {check["check"]: check["title"] for check in value["checks"]},
        "number_checks": _check_titles(features, "number"),
        "category_checks": _check_titles(features, "category"),
        "groups": _grouped(value["findings"]),
        "model_sentence": _model_sentence(value["model"]),
    }


def _with_defaults(feature: Json) -> Json:
    """Give number and category features the same keys, for the template."""
    missing = feature["missing"]
    lost = missing["negative"]["part"] + missing["positive"]["part"]
    return {"not_a_number": 0, "quantiles": None, "mean": None, "has_missing": lost > 0} | feature


def _grouped(findings: list[Json]) -> list[list[Json]]:
    """Put the same finding of several features under one heading."""
    groups: dict[tuple[str, str], list[Json]] = {}
    for finding in findings:
        groups.setdefault((finding["check"], finding["severity"]), []).append(finding)
    return list(groups.values())


def _check_titles(features: list[Json], kind: str) -> list[str]:
    first = next((feature for feature in features if feature["type"] == kind), None)
    return [REGISTRY[check].wording.title.lower() for check in first["checks"]] if first else []


def _model_sentence(model: Json) -> str:
    if model is None:
        return ""
    gain = model["federated"]["auc"] - model["local_only"]["auc"]
    apart = (
        model["federated"]["low"] > model["local_only"]["high"]
        or model["local_only"]["low"] > model["federated"]["high"]
    )
    direction = "better" if gain > 0 else "worse"
    if not apart:
        return (
            f"The study's model is {abs(gain):.3f} {direction} here; the intervals overlap, so "
            "these patients do not settle which of the two is better."
        )
    return (
        f"The study's model is {abs(gain):.3f} {direction} here, and the intervals do not overlap."
    )
