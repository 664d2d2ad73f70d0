"""Evaluate: score histograms of held-out patients, from every site that trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.ledger.entries import EvaluationDone
from cordon_server import optimizer
from cordon_server.context import site_failures
from cordon_server.evaluation import evaluate_sites
from cordon_server.journal import Note, Step
from cordon_server.phases.releases import (
    ask_releases,
    received_entries,
    release_replies,
    used_releases,
)
from cordon_server.phases.weights import weights_digest

if TYPE_CHECKING:
    from cordon_server.context import Campaign


def run_evaluate(campaign: Campaign) -> None:
    """Ask the sites that trained for their histograms; a site that is gone has no metrics."""
    weights = optimizer.averaged_weights(optimizer.from_arrays(campaign.journal.snapshot()))
    sites = trained_sites(campaign)
    outcome = ask_releases(
        campaign, sites, "evaluate", arrays={"weights": weights}, minimum=len(sites)
    )
    released = {site: release.values for site, release in outcome.accepted.items()}
    campaign.journal.commit(
        Step(
            phase="close",
            round=campaign.journal.state.round,
            replies=release_replies(outcome, "evaluate", keep_arrays=True),
            facts={"evaluation": evaluate_sites(campaign.study, released)},
            entries=(
                *received_entries(campaign, outcome, "evaluate"),
                *outcome.cosigned,
                *site_failures(campaign, outcome),
                EvaluationDone(
                    study=campaign.digest,
                    run=campaign.run,
                    weights=weights_digest(weights),
                    used=used_releases(outcome),
                ),
            ),
            notes=(
                *(Note("site.answered", site=site) for site in outcome.accepted),
                Note("phase.finished"),
            ),
        )
    )


def trained_sites(campaign: Campaign) -> list[str]:
    """Name the sites whose releases went into the model."""
    return sorted({site for record in campaign.journal.rounds() for site in record.sites})
