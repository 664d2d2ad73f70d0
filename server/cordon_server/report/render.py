"""The report as one HTML file: the page's texts and charts put into the template."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from cordon_server.report import alignment, charts, decisions, page
from cordon_server.report.distributions import distributions

if TYPE_CHECKING:
    from cordon_server.report.extra import AuditOutcome
    from cordon_server.report.model import ReportModel

_KIND = {"PASS": "good", "FAIL": "bad", "NOT PROVEN": "warn"}
_SHOWN_COEFFICIENTS = 25


def render(model: ReportModel) -> str:
    """Write the report; equal models give equal text."""
    folder = files("cordon_server.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        folder.joinpath("template.html.j2").read_text(encoding="utf-8")
    )
    style = Markup(folder.joinpath("style.css").read_text(encoding="utf-8"))  # noqa: S704 - ours
    return template.render(page=page_of(model), style=style.strip())


def page_of(model: ReportModel) -> dict[str, Any]:
    """Gather what the template shows."""
    return {
        **_head(model),
        **_privacy(model),
        **_hospitals(model),
        **_performance(model),
        **_coefficients(model),
        **_quality(model),
        **_training(model),
        **_closing(model),
    }


def _head(model: ReportModel) -> dict[str, Any]:
    word, kind, sentence = page.status(model)
    study = model.study
    contents = [("privacy", "Privacy"), ("hospitals", "Hospitals")]
    contents += [("performance", "Performance")] if page.forest_rows(model) else []
    contents += [("biomarkers", "Biomarkers")] if model.coefficients else []
    contents += [("quality", "Data quality")] if _has_quality(model) else []
    contents += [("training", "Training")] if model.rounds else []
    contents += [("audit", "Audit"), ("method", "Method")]
    return {
        "title": f"{study.name}, version {study.version}",
        "purpose": study.purpose,
        "status": word,
        "status_kind": kind,
        "status_text": sentence,
        "tiles": page.tiles(model),
        "contents": contents,
        "campaign": model.campaign,
    }


def _privacy(model: ReportModel) -> dict[str, Any]:
    privacy = model.privacy
    about = {"all": "all patients", "train": "training patients", "holdout": "held-out patients"}
    return {
        "facts": {
            "epsilon": f"{privacy.epsilon:.3f}",
            "promised": f"{privacy.promised:g}",
            "rows": page.fact_rows(model),
            "meaning": model.meaning,
        },
        "covered": privacy.covered,
        "uncovered": privacy.uncovered,
        "mechanisms": [
            {
                "name": row.name,
                "patients": about[row.patients],
                "times": row.times,
                "numbers": row.numbers,
                "noise": f"{row.noise_std:.2f} {row.unit}",
            }
            for row in privacy.mechanisms
        ],
    }


def _hospitals(model: ReportModel) -> dict[str, Any]:
    has_local = any(site.local is not None for site in model.sites)
    note = (
        "Numbers of patients are noised on purpose: ± is the range of 95 % of that noise. "
        "ε is recomputed from the hospital's signed receipts."
    )
    if has_local:
        note += (
            " What hospitals told from their own local reports is exact, is marked, and reached "
            "this page outside the study."
        )
    return {
        "hospitals_note": note,
        "has_local": has_local,
        "hospitals": [page.hospital_row(site, model) for site in model.sites],
        "failures": page.failures(model),
    }


def _performance(model: ReportModel) -> dict[str, Any]:
    rows = page.forest_rows(model)
    if not rows:
        return {"forest": ""}
    evaluated = [(site.site, site.evaluated) for site in model.sites if site.evaluated is not None]
    return {
        "forest": charts.forest(rows, "AUC by hospital"),
        "has_alone": any(row.second is not None for row in rows),
        "confidence": page.percent(model.study.evaluation.confidence),
        "performance_text": page.performance_text(model),
        "plots": [
            {
                "site": site,
                "auc": page.auc_text(found),
                "roc": charts.roc(found.roc, f"ROC curve of {site}"),
                "scores": charts.score_bars(
                    found.negatives, found.positives, found.noise_std, f"Scores at {site}"
                ),
                "positives": f"{max(sum(found.positives), 0):.0f}",
                "negatives": f"{max(sum(found.negatives), 0):.0f}",
            }
            for site, found in evaluated
        ],
    }


def _coefficients(model: ReportModel) -> dict[str, Any]:
    rows = page.coefficient_rows(model)
    if not rows:
        return {"coefficients": ""}
    known = rows[0][2] is not None
    note = "Orange raises the risk, blue lowers it."
    if known:
        note += (
            " Grey: the most that privacy noise alone can do (95 %), an upper bound; the uncertainty "
            "of having seen these patients only is not in it."
        )
    if len(rows) > _SHOWN_COEFFICIENTS:
        note += f" The {_SHOWN_COEFFICIENTS} largest of {len(rows)} are drawn."
    return {
        "coefficients": charts.lollipops(rows[:_SHOWN_COEFFICIENTS], "Coefficients of the model"),
        "coefficients_text": page.coefficients_text(model),
        "coefficients_note": note,
        "coefficient_rows": [
            (name, f"{value:+.4f}", f"{page.Z95 * std:.4f}" if std is not None else "not known")
            for name, value, std in rows
        ],
    }


def _has_quality(model: ReportModel) -> bool:
    return any(site.states or site.failures or site.local for site in model.sites)


def _quality(model: ReportModel) -> dict[str, Any]:
    if not _has_quality(model):
        return {"decisions": (), "spread": None}
    gate = model.study.qc.gate
    sites = decisions.worst_first(model)
    groups = decisions.check_groups(sites)
    hospitals = {site.site: page.hospital_row(site, model) for site in sites}
    alike_sites, alike = alignment.rows(model)
    return {
        "decisions": [(decisions.decision(s, model), hospitals[s.site]) for s in sites],
        "check_sites": [site.site for site in sites if site.states],
        "check_groups": groups,
        "marks": decisions.marks(groups),
        "findings": decisions.findings(sites),
        "gate_rule": (
            f"A hospital needs {gate.min_patients} usable patients and may lose at most "
            f"{page.percent(gate.max_excluded_fraction)} of its records; below {gate.min_sites} "
            "hospitals the study stops. Findings from a comparison of hospitals exclude nobody by "
            "themselves."
        ),
        "spread": distributions(model),
        "alike_sites": alike_sites,
        "alike": alike,
        "alike_refusal": alignment.refusal(model),
    }


def _training(model: ReportModel) -> dict[str, Any]:
    if not model.rounds:
        return {"convergence": ""}
    study = model.study
    convergence, timeline = page.training_charts(model)
    return {
        "training_text": (
            f"{len(model.rounds)} rounds of {study.training.algorithm} on a {study.model.family} "
            f"model; every patient's gradient was clipped to {study.training.clip_norm:g}, and each "
            "hospital added its noise before anything left."
        ),
        "convergence": convergence,
        "timeline": timeline,
    }


def _closing(model: ReportModel) -> dict[str, Any]:
    study = model.study
    return {
        "audit": _audit(model.audit) if model.audit else None,
        "identity": [
            ("Study protocol (digest that every hospital approved)", model.digest),
            ("Signed by coordinator key", model.coordinator),
            ("Model (digest of its weights)", model.weights_digest or "not final yet"),
            ("Permit", f"{study.permit.id}, until {study.permit.end_date.isoformat()}"),
        ],
        "method": [
            "Records stay at the hospitals; the coordinator sees noised integers and signed "
            "receipts only.",
            f"{page.percent(study.evaluation.holdout_fraction)} of each hospital's patients are held out by a "
            "keyed hash of their identity and never train.",
            "Features are scaled by public ranges of the study, never by statistics of the data.",
            "ε is recomputed from what was executed, by privacy loss distributions; a second "
            "accountant (Rényi) must not be below it.",
            "Intervals of the AUC include the privacy noise and the drawing of patients.",
        ],
        "limits": [
            "A research model: not validated for decisions about individual patients.",
            "Held-out patients come from the same hospitals; another hospital may differ.",
            "A patient who is treated at two of the hospitals is protected at each, with the sum "
            "of both.",
            "δ is the chance that the odds move by more than ε says; it is not zero.",
        ],
        "software": [
            (where, ", ".join(f"{name} {version}" for name, version in sorted(found.items())))
            for where, found in model.software.items()
            if found
        ],
    }


def _audit(outcome: AuditOutcome) -> dict[str, Any]:
    rows = [row for part in outcome.parts for row in part.rows]
    passed = sum(row.status == "PASS" for row in rows)
    return {
        "verdict": outcome.verdict,
        "kind": _KIND[outcome.verdict],
        "text": f"{passed} of {len(rows)} checks passed in an offline verification of all bundles.",
        "parts": [
            {
                "title": part.title,
                "summary": f"{sum(row.status == 'PASS' for row in part.rows)} of {len(part.rows)}",
                "open": any(row.status != "PASS" for row in part.rows),
                "rows": [
                    {
                        "claim": row.claim,
                        "status": row.status,
                        "kind": _KIND[row.status],
                        "evidence": row.evidence,
                    }
                    for row in part.rows
                ],
            }
            for part in outcome.parts
        ],
    }
