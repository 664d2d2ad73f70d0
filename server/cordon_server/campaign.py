"""The campaign: a persisted phase machine, enrol → qc → gate → train → evaluate → close.

Every step is one transaction of the journal, and the request for a slot is a function of what the
journal holds. So after a crash at any moment a new run asks for the same bytes, the sites repeat
what they answered before, and the campaign ends with the same weights and the same ledgers.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, cast

from cordon_common.errors import CordonError, SystemFault, UsageError
from cordon_common.ledger.bundle import export_coordinator_bundle
from cordon_common.ledger.entries import CampaignClosed, CampaignResumed
from cordon_common.protocol.parse import open_study
from cordon_common.signing import PublicKey
from cordon_server.context import Campaign, Waiting
from cordon_server.coordinator import open_coordinator
from cordon_server.journal import Journal, Note, Step
from cordon_server.phases.close import run_close, write_results
from cordon_server.phases.enrol import run_enrol
from cordon_server.phases.evaluate import run_evaluate
from cordon_server.phases.quality import run_gate, run_qc
from cordon_server.phases.train import run_train

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flwr.serverapp import Grid

    from cordon_common.ledger.entries import Phase as LogPhase
    from cordon_server.coordinator import Coordinator
    from cordon_server.journal import Phase
    from cordon_server.network import SiteNetwork

_LOG = logging.getLogger("cordon.campaign")

BUNDLE_FILE = "coordinator.zip"
REAL_TIME = Waiting(time.monotonic, time.sleep)

PHASES: dict[str, Callable[[Campaign], None]] = {
    "enrol": run_enrol,
    "qc": run_qc,
    "gate": run_gate,
    "train": run_train,
    "evaluate": run_evaluate,
    "close": run_close,
}


def run_campaign(grid: Grid, home_dir: Path, campaign: str) -> None:
    """Run or resume a campaign over Flower's Grid (called by the ServerApp).

    Raises:
        CordonError: whatever stopped the campaign; it is recorded before and can be resumed.
    """
    from cordon_server.flower_network import FlowerNetwork

    with open_coordinator(home_dir) as coordinator:
        keys = {site.site: site.supernode_key for site in coordinator.store.sites()}
        running = open_campaign(coordinator, campaign, FlowerNetwork(grid, keys))
        drive(running)
        export_coordinator_bundle(coordinator.log, running.results / BUNDLE_FILE)


def open_campaign(
    coordinator: Coordinator,
    campaign: str,
    network: SiteNetwork,
    waiting: Waiting = REAL_TIME,
) -> Campaign:
    """Load a campaign and its signed study; nothing is written yet.

    Raises:
        UsageError: US023 when there is no such campaign.
        CordonError: when the stored study does not verify.
    """
    home, store = coordinator.home, coordinator.store
    states = {state.campaign: state for state in store.campaigns()}
    if campaign not in states:
        raise UsageError("US023", f"there is no campaign {campaign} here")
    stored = store.find_study(states[campaign].study)
    study = open_study(stored.envelope, (home.signing_key().public,))
    return Campaign(
        study=study,
        digest=study.digest,
        run=campaign,
        roster={entry.site: PublicKey.parse(entry.key) for entry in study.roster},
        journal=Journal(store, campaign, coordinator.clock, coordinator.log),
        offers=coordinator.log.offers,
        network=network,
        waiting=waiting,
        site_wait_s=home.settings.site_wait_s,
        results=home.results_dir(campaign),
    )


def drive(campaign: Campaign) -> None:
    """Carry a campaign from where its journal stands to its end.

    Raises:
        CordonError: whatever stopped it, after it was recorded.
    """
    journal = campaign.journal
    journal.take_over()
    journal.settle_log()
    try:
        _resume_entry(campaign)
        while (phase := journal.state.phase) != "done":
            journal.note(Note("phase.started"))
            _LOG.info("campaign=%s phase=%s", campaign.run, phase)
            PHASES[phase](campaign)
            journal.settle_log()
    except CordonError as error:
        _stop(campaign, error)
        raise
    except Exception as error:  # the process's edge: recorded as a coded failure, then re-raised
        _LOG.exception("campaign=%s failed", campaign.run)
        fault = SystemFault("SY999")
        _stop(campaign, fault)
        raise fault from error
    write_results(campaign)
    journal.finish()


def _resume_entry(campaign: Campaign) -> None:
    """Log that the campaign goes on, if anything of it is behind."""
    state = campaign.journal.state
    if state.phase in {"enrol", "done"}:
        return
    entry = CampaignResumed(
        study=campaign.digest,
        run=campaign.run,
        phase=cast("LogPhase", state.phase),
        round=state.round,
    )
    campaign.journal.commit(
        Step(
            phase=cast("Phase", state.phase),
            round=state.round,
            entries=(entry,),
            notes=(Note("campaign.resumed"),),
        )
    )


def _stop(campaign: Campaign, error: CordonError) -> None:
    """Record why the campaign stopped; one that another process took over is left alone."""
    if error.code == "SY020":
        return
    entry = CampaignClosed(study=campaign.digest, run=campaign.run, outcome="stopped")
    campaign.journal.stop(error.code, {"what": error.what, "why": error.why}, entry)
    campaign.journal.settle_log()
