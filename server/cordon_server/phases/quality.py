"""QC and gate: collect the noised summaries, then decide who may train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import CheckFailed
from cordon_common.ledger.entries import GateDecided, QcReceived
from cordon_common.qc.verdict import CohortVerdict
from cordon_server import optimizer
from cordon_server.context import require_minimum, site_failures
from cordon_server.journal import Note, Step
from cordon_server.phases.releases import ask_releases, received_entries, release_replies

if TYPE_CHECKING:
    from cordon_common.canonical import Json
    from cordon_server.answers import Release
    from cordon_server.context import Campaign, Outcome


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
    decision = _decide(campaign)
    passed = len(decision["included"]) >= campaign.study.qc.gate.min_sites
    entry = GateDecided(
        study=campaign.digest,
        run=campaign.run,
        passed=passed,
        included=tuple(decision["included"]),
        excluded={site: tuple(reasons) for site, reasons in decision["excluded"].items()},
    )
    notes = (
        *(Note("site.admitted", site=site) for site in decision["included"]),
        *(
            Note("site.excluded", site=site, code="CK022", detail={"reasons": list(reasons)})
            for site, reasons in decision["excluded"].items()
        ),
    )
    weights = campaign.journal.snapshot()["weights"].astype(np.float64)
    campaign.journal.commit(
        Step(
            phase="train" if passed else "gate",
            snapshot=optimizer.start(weights).arrays() if passed else None,
            facts={"gate": decision},
            entries=(entry,),
            notes=(*notes, Note("phase.finished")) if passed else notes,
        )
    )
    if not passed:
        raise CheckFailed(
            "CK020",
            f"{len(decision['included'])} of at least {campaign.study.qc.gate.min_sites} sites "
            "passed the quality gate",
            why="\n".join(f"{s}: {', '.join(r)}" for s, r in decision["excluded"].items()),
        )


def _decide(campaign: Campaign) -> dict[str, Json]:
    included, excluded = [], {}
    for reply in campaign.journal.replies("qc"):
        if reply.receipt is None:
            continue
        verdict = CohortVerdict.from_json(reply.verdict or {})
        if verdict.may_train:
            included.append(reply.site)
        else:
            excluded[reply.site] = [reason.value for reason in verdict.reasons]
    return {"included": included, "excluded": excluded}
