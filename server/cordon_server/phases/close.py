"""Close: collect the receipts, keep the model and its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from safetensors.numpy import save as save_arrays

from cordon_common.canonical import canonical_bytes
from cordon_common.ledger.entries import CampaignClosed
from cordon_common.wire import ReceiptsRequest
from cordon_server import optimizer
from cordon_server.answers import check_receipts
from cordon_server.context import Question, ask, site_failures
from cordon_server.journal import Note, SiteReply, Step
from cordon_server.model_card import Trained, model_card, named_parameters
from cordon_server.phases.weights import weights_digest

if TYPE_CHECKING:
    import numpy as np

    from cordon_common.signing import Envelope
    from cordon_server.context import Campaign, Outcome

    Closing = tuple[tuple[Envelope, ...], str]

MODEL_FILE = "model.safetensors"
CARD_FILE = "model-card.json"


def run_close(campaign: Campaign) -> None:
    """Ask the members for their receipts, write the model card, and end the campaign.

    A site that is gone, or whose list lacks a receipt that it once gave, is reported by name; the
    receipts that came with its releases stay valid.
    """
    journal = campaign.journal
    outcome = _withhold_incomplete(
        campaign, ask(campaign, journal.fact("members"), _question(campaign))
    )
    state = optimizer.from_arrays(journal.snapshot())
    weights = optimizer.averaged_weights(state)
    trained = Trained(weights, weights_digest(weights), journal.rounds(), journal.replies())
    card = model_card(campaign.study, campaign.run, trained, journal.fact("evaluation"))
    journal.commit(
        Step(
            phase="done",
            round=journal.state.round,
            replies=tuple(
                SiteReply(site, "close", 0, code=outcome.failed.get(site, ""))
                for site in (*outcome.accepted, *outcome.failed)
            ),
            facts={"model_card": card, "receipts": _receipts(outcome)},
            entries=(
                *outcome.cosigned,
                *site_failures(campaign, outcome),
                CampaignClosed(
                    study=campaign.digest,
                    run=campaign.run,
                    outcome="finished",
                    weights=weights_digest(weights),
                ),
            ),
            notes=(Note("phase.finished"),),
        )
    )


def write_results(campaign: Campaign) -> None:
    """Write model and card from the journal; writing again gives the same bytes."""
    weights = optimizer.averaged_weights(optimizer.from_arrays(campaign.journal.snapshot()))
    parameters = named_parameters(campaign.study, weights)
    campaign.results.mkdir(parents=True, exist_ok=True)
    model = save_arrays(cast("dict[str, np.ndarray]", parameters))
    (campaign.results / MODEL_FILE).write_bytes(model)
    card = canonical_bytes(campaign.journal.fact("model_card"))
    (campaign.results / CARD_FILE).write_bytes(card)


def _question(campaign: Campaign) -> Question[Closing]:
    def check(site: str, data: bytes) -> Closing:
        return check_receipts(site, data, campaign.roster[site], study=campaign.digest)

    request = ReceiptsRequest(study=campaign.digest, run=campaign.run)
    return Question("receipts", request, check, minimum=0)


def _withhold_incomplete(campaign: Campaign, outcome: Outcome[Closing]) -> Outcome[Closing]:
    """Turn a site whose list lacks a receipt that we hold into a failed one."""
    given: dict[str, set[str]] = {}
    for reply in campaign.journal.replies():
        if reply.receipt is not None:
            given.setdefault(reply.site, set()).add(reply.receipt.digest)
    for site, (receipts, _) in list(outcome.accepted.items()):
        if given.get(site, set()) - {receipt.digest for receipt in receipts}:
            del outcome.accepted[site]
            outcome.failed[site] = "IN021"
            campaign.journal.note(Note("site.failed", site=site, code="IN021"))
    return outcome


def _receipts(outcome: Outcome[Closing]) -> dict[str, object]:
    return {
        site: {
            "checkpoint": checkpoint,
            "receipts": [receipt.model_dump(mode="json") for receipt in receipts],
        }
        for site, (receipts, checkpoint) in outcome.accepted.items()
    }
