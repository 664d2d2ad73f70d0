"""QC and gate: collect the noised summaries, then decide who may train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import CheckFailed
from cordon_common.ledger.entries import GateDecided, QcReceived
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.qc import summary
from cordon_common.qc.verdict import CohortVerdict
from cordon_server import optimizer
from cordon_server.context import require_minimum, site_failures
from cordon_server.gate import Action, SiteReport, decide
from cordon_server.journal import Note, Step
from cordon_server.phases.releases import ask_releases, received_entries, release_replies

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study
    from cordon_common.qc.summary import QcSummary
    from cordon_server.answers import Release
    from cordon_server.context import Campaign, Outcome
    from cordon_server.gate import StudyDecision

LET_IN, KEEP_OUT = "let_in", "keep_out"


def run_qc(campaign: Campaign) -> None:
    """Ask every member for its QC release and keep the noised vectors.

    Raises:
        CheckFailed: CK020 below the study's minimum.
    """
    outcome = ask_releases(campaign, campaign.journal.fact("members"), "qc")
    require_minimum(campaign, outcome)
    campaign.journal.commit(
        Step(
            phase="gate",
            replies=release_replies(outcome, "qc", keep_arrays=True),
            entries=(
                *received_entries(campaign, outcome, "qc"),
                *outcome.cosigned,
                *_verdicts(campaign, outcome),
                *site_failures(campaign, outcome),
            ),
            notes=(
                *(Note("site.answered", site=site) for site in outcome.accepted),
                Note("phase.finished"),
            ),
        )
    )


def _verdicts(campaign: Campaign, outcome: Outcome[Release]) -> list[QcReceived]:
    return [
        QcReceived(
            study=campaign.digest, run=campaign.run, site=site, verdict=release.verdict or {}
        )
        for site, release in outcome.accepted.items()
    ]


def run_gate(campaign: Campaign) -> None:
    """Decide from the kept releases who may train; every decision and reason is logged.

    Raises:
        CheckFailed: CK020 when fewer sites than the study's minimum pass.
    """
    decision = decide(
        campaign.study,
        _reports(campaign),
        released=_decided(campaign, LET_IN),
        kept_out=_decided(campaign, KEEP_OUT),
    )
    kept_out = {
        site.site: [site.action.value, *(reason.value for reason in site.reasons)]
        for site in decision.sites
        if site.action is not Action.TRAIN
    }
    included = decision.included()
    state = campaign.journal.state
    weights = campaign.journal.snapshot()["weights"].astype(np.float64)
    campaign.journal.commit(
        Step(
            phase="train" if decision.go else "gate",
            round=state.round,
            snapshot=optimizer.start(weights).arrays() if decision.go else None,
            facts={
                "gate": {
                    "go": decision.go,
                    "included": list(included),
                    "sites": [site.as_json() for site in decision.sites],
                }
            },
            entries=(
                GateDecided(
                    study=campaign.digest,
                    run=campaign.run,
                    passed=decision.go,
                    included=included,
                    excluded={site: tuple(reasons) for site, reasons in kept_out.items()},
                ),
            ),
            notes=_gate_notes(decision),
        )
    )
    if not decision.go:
        raise CheckFailed(
            "CK020",
            f"{len(included)} of at least {campaign.study.qc.gate.min_sites} sites passed the "
            "quality gate",
            why="\n".join(f"{site}: {', '.join(why)}" for site, why in kept_out.items()),
        )


def read_summary(study: Study, released: npt.NDArray[np.int64]) -> QcSummary:
    """Read a QC release, int64 [dimension of the layout], as noisy patient counts."""
    return summary.decode(
        summary.qc_layout(study),
        released,
        grid_per_unit=release_grid(study).qc,
        noise_std_grid=planned_events(study).qc.noise_std_grid,
    )


def _reports(campaign: Campaign) -> list[SiteReport]:
    return [
        SiteReport(
            reply.site,
            CohortVerdict.from_json(reply.verdict or {}),
            read_summary(campaign.study, reply.arrays["release"].astype(np.int64)),
        )
        for reply in campaign.journal.replies("qc")
        if reply.receipt is not None
    ]


def _decided(campaign: Campaign, decision: str) -> list[str]:
    """Name the sites under review about which a person decided so."""
    sites: list[str] = campaign.journal.facts().get(decision, [])
    return sites


def _gate_notes(decision: StudyDecision) -> tuple[Note, ...]:
    notes = []
    for site in decision.sites:
        reasons: dict[str, Json] = {
            "reasons": [reason.value for reason in site.reasons],
            "remarks": list(site.remarks),
        }
        if site.action is Action.TRAIN:
            notes.append(Note("site.admitted", site=site.site, detail=reasons))
        elif site.action is Action.REVIEW:
            notes.append(Note("site.review", site=site.site, code="CK023", detail=reasons))
        else:
            notes.append(Note("site.excluded", site=site.site, code="CK022", detail=reasons))
    return (*notes, Note("phase.finished")) if decision.go else tuple(notes)
