"""The local quality-control report: one self-contained page, and the same data as JSON.

No script, no network, no clock, no host or file name: equal input gives equal bytes.
"""

from __future__ import annotations

import contextlib
import errno
from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from cordon_client.qc.charts import chart
from cordon_client.qc.report_value import report_value
from cordon_common.canonical import canonical_bytes
from cordon_common.errors import SystemFault
from cordon_common.qc.registry import REGISTRY

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_client.qc.report_value import ModelAtSite
    from cordon_client.qc.tabular import TableQc
    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study

HTML_NAME, JSON_NAME = "qc-report.html", "qc-report.json"

_WORDS = {
    "pass": "pass",
    "warn": "look at it",
    "fail": "fail",
    "error": "could not be checked",
    "not_applicable": "nothing to check",
}
_MARKS = {"pass": "✓", "warn": "!", "fail": "✕", "error": "?", "not_applicable": "–"}  # noqa: RUF001


def write_report(
    folder: Path, study: Study, qc: TableQc, *, model: ModelAtSite | None = None
) -> Path:
    """Write `qc-report.html` and `qc-report.json` into a folder; returns the page's path.

    Guarantee: each file is replaced at once or not at all.

    Raises:
        SystemFault: SY001 when the disk is full, SY010 when the folder cannot be written.
    """
    value = report_value(study, qc, model)
    replace_file(folder / JSON_NAME, canonical_bytes(value))
    page = folder / HTML_NAME
    replace_file(page, report_html(value).encode())
    return page


def report_html(value: Json) -> str:
    """Render the report's value as one HTML page."""
    templates = files("cordon_client.qc") / "templates"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((templates / "report.html.j2").read_text("utf-8"))
    features = [_with_defaults(feature) for feature in value["features"]]
    return template.render(
        r=value | {"features": features},
        css=Markup((templates / "report.css").read_text("utf-8")),  # noqa: S704 - our own file
        charts=[chart(feature) for feature in features],
        words=_WORDS,
        marks=_MARKS,
        titles={check["check"]: check["title"] for check in value["checks"]},
        number_checks=_check_titles(features, "number"),
        category_checks=_check_titles(features, "category"),
        groups=_grouped(value["findings"]),
        model_sentence=_model_sentence(value["model"]),
    )


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


def replace_file(path: Path, data: bytes) -> None:
    """Write a file of the report, for its owner alone, at once or not at all.

    Raises:
        SystemFault: SY001 when the disk is full, SY010 when the folder cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_bytes(data)
        temporary.chmod(0o600)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise SystemFault("SY001" if full else "SY010") from None
