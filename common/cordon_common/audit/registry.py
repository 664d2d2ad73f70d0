"""A study as an entry of the OpenDP Deployments Registry, tier 3: everything an outsider may ask.

The three tiers follow the registry's scheme (launched November 2025; idea: Dwork, Kohli, Mulligan,
"Differential Privacy in Practice: Expose your Epsilons!", 2019): 1 who, what and when; 2 the flavour,
unit, parameters and model of privacy; 3 data domain, what stays unprotected, accounting,
implementation and security, each with its rationale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.audit import wording
from cordon_common.errors import CheckFailed, UsageError
from cordon_common.privacy.schedule import planned_events

if TYPE_CHECKING:
    from cordon_common.audit.facts import AuditFacts, StudyFacts
    from cordon_common.canonical import Json


def registry_entry(facts: AuditFacts, name: str | None = None) -> Json:
    """Return the registry entry of a study; `name` is needed where the bundles hold several.

    Raises:
        CheckFailed: CK130 when the audit found a contradiction: a false claim is not registered.
        UsageError: US002 when there is no such study, US001 when several and none was named.
    """
    if facts.result.verdict == "FAIL":
        raise CheckFailed("CK130", why=wording.counted(facts.result))
    item = _chosen(facts, name)
    return {
        "schema": "opendp-deployments-registry",
        "tier": 3,
        **_who(facts, item),
        **_guarantee(item),
        **_details(facts, item),
    }


def _chosen(facts: AuditFacts, name: str | None) -> StudyFacts:
    names = ", ".join(item.name for item in facts.studies) or "none"
    found = [
        item
        for item in facts.studies
        if name is None or name in {item.name, item.study.name, item.digest}
    ]
    if not found:
        raise UsageError("US002", "the bundles hold no such study", why=f"they hold: {names}")
    if len(found) > 1:
        raise UsageError(
            "US001",
            "the bundles hold several studies",
            why=names,
            fix="name one with --study, as name or digest",
        )
    return found[0]


def _who(facts: AuditFacts, item: StudyFacts) -> dict[str, Json]:
    """Return tier 1: curator, purpose, product, date."""
    times = sorted(release.time for release in facts.releases if release.study == item.name)
    coordinator = [log.name for log in facts.logs if log.role == "coordinator"]
    return {
        "deployment": item.name,
        "curators": [cost.site for cost in item.costs],
        "coordinator": coordinator[0] if coordinator else None,
        "intended_use": item.study.purpose,
        "data_product": (
            f"a {item.study.model.family} model, noised quality summaries per hospital, and "
            "noised score histograms from which all metrics are computed"
        ),
        "first_release": times[0] if times else None,
        "last_release": times[-1] if times else None,
        "permit": {
            "id": item.study.permit.id,
            "end_date": item.study.permit.end_date.isoformat(),
        },
    }


def _guarantee(item: StudyFacts) -> dict[str, Json]:
    """Return tier 2: flavour, unit, parameters, model."""
    privacy = item.study.privacy
    return {
        "dp_flavor": "approximate differential privacy (ε, δ)",
        "privacy_unit": {
            "unit": "patient, all records of a patient at a hospital",
            "neighbouring_relation": privacy.relation,
        },
        "privacy_loss": {
            "delta": privacy.delta,
            "epsilon_promised": privacy.epsilon,
            "epsilon_recomputed": {cost.site: cost.epsilon.pld for cost in item.costs},
            "epsilon_second_accountant": {cost.site: cost.epsilon.rdp for cost in item.costs},
            "meaning": item.explanation.as_json(),
        },
        "dp_model": {
            "trust_model": privacy.trust_model,
            "description": "noise is added inside every hospital, before anything leaves it",
            "adversary": "sees every release of every hospital and knows all other patients",
        },
    }


def _details(facts: AuditFacts, item: StudyFacts) -> dict[str, Json]:
    """Return tier 3: data domain, unprotected quantities, accounting, implementation, security."""
    plan = planned_events(item.study)
    label = wording.label(item)
    return {
        "data_domain": {
            "features": len(item.study.cohort.features),
            "public_knowledge": "names, units, ranges, categories and missing codes of all features",
            "preprocessing": "quality control's exclusion rules are inside the proof",
            "stability": plan.training.stability,
        },
        "unprotected_quantities": list(label.uncovered),
        "accounting": {
            "accountant": "privacy loss distributions; closed form where every release is full batch",
            "cross_check": "Rényi differential privacy",
            "composition": "all releases of a study; training and held-out patients in parallel",
            "post_processing": "optimiser, model, metrics and reports use released integers only",
            "mechanisms": [_mechanism(item, name) for name in ("qc", "training", "evaluation")],
            "releases": {cost.site: cost.releases for cost in item.costs},
        },
        "implementation": {
            "software": {log.title: dict(log.software) for log in facts.logs},
            "mechanism": "Gaussian noise rounded onto an integer grid, cryptographic generator",
            "study_digest": item.digest,
            "signed_by": item.signer,
        },
        "security": {
            "access": "records stay in a process without a network; the coordinator sees releases",
            "audit": {
                "verdict": facts.result.verdict,
                "checks": wording.counted(facts.result),
                "tree_heads": {log.title: log.root for log in facts.logs},
            },
            "limits": list(wording.limits(facts)),
        },
    }


def _mechanism(item: StudyFacts, name: str) -> Json:
    plan = planned_events(item.study)
    event = {"qc": plan.qc, "training": plan.training, "evaluation": plan.evaluation}[name]
    return {
        "purpose": name,
        "event": event.model_dump(mode="json"),
        "planned_releases": plan.rounds if name == "training" else 1,
    }
