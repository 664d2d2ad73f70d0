"""What a federation's ledgers must say after its processes were killed, counted from the files.

Nothing here asks a running process: the sites' ledgers, the coordinator's log and the model files
are opened as an auditor or a hospital would open them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file

from cordon_client.home import SiteHome
from cordon_client.office import Office
from cordon_common.clock import utc_now
from cordon_common.ledger.entries import (
    CampaignClosed,
    EvaluationDone,
    ReleaseReceived,
    RoundAggregated,
)
from cordon_common.protocol.layout import input_columns, parameter_shapes
from cordon_common.protocol.parse import open_study
from cordon_common.wire import arrays_digest
from cordon_server.coordinator import open_coordinator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_common.ledger.body import Body
    from cordon_common.protocol.study import Study
    from cordon_server.coordinator import Coordinator
    from cordon_server.demo.federation import Federation

Slots = Counter[str]
"""How often each `phase|round` was charged."""


@dataclass
class Witness:
    """Keeps what the ledgers and the coordinator's log held, and sees what later is missing."""

    files: dict[str, Path]
    seen: dict[str, list[bytes]] = field(default_factory=dict)
    lost: int = 0

    @classmethod
    def of(cls, federation: Federation) -> Witness:
        """Watch all the ledgers of a federation."""
        files = {site: SiteHome(federation.site(site)).ledger for site in federation.cohorts}
        return cls(files | {"coordinator": federation.coordinator / "log.db"})

    def look(self) -> None:
        """Compare with the last look; a file that nobody may read just now is left for the next.

        A process that was killed within a transaction leaves a journal that only a writer may
        play back.
        """
        for name, path in self.files.items():
            try:
                now = _entries(path)
            except sqlite3.OperationalError:
                continue
            before = self.seen.get(name, [])
            self.lost += sum(old != new for old, new in zip(before, now, strict=False))
            self.lost += max(0, len(before) - len(now))
            self.seen[name] = now

    @property
    def entries(self) -> int:
        """How many entries were there at the last look."""
        return sum(len(entries) for entries in self.seen.values())


@dataclass(frozen=True)
class Charges:
    """What one campaign was charged at one site. unsettled: reserved, never answered."""

    site: str
    slots: Slots
    unsettled: int

    @property
    def total(self) -> int:
        """Number of charges."""
        return self.slots.total()

    @property
    def doubled(self) -> int:
        """Number of charges for a slot that was charged before."""
        return self.total - len(self.slots)

    def error(self, expected: Slots) -> int:
        """Number of charges too many, and too few, against those of an undisturbed campaign."""
        return (self.slots - expected).total() + (expected - self.slots).total()


def charges_of(federation: Federation, campaign: str) -> list[Charges]:
    """Read every site's charges of a campaign; each ledger is checked whole when it opens."""
    found = []
    for site in federation.cohorts:
        with Office.open(SiteHome(federation.site(site)), clock=utc_now) as office:
            keys = [charge.slot_key.split("|") for charge in office.ledger.charges()]
            mine = [(key[0], f"{key[2]}|{key[3]}") for key in keys if key[1] == campaign]
            settled = sum(len(office.ledger.receipts(study)) for study in {s for s, _ in mine})
        found.append(Charges(site, Counter(slot for _, slot in mine), len(mine) - settled))
    return found


def missing_receipts(federation: Federation) -> tuple[int, int]:
    """Count the coordinator's receipts that the site's ledger does not give again, and all."""
    with open_coordinator(federation.coordinator) as coordinator:
        received = [b for b in coordinator.log.bodies_from(0) if isinstance(b, ReleaseReceived)]
    missing = 0
    for site in federation.cohorts:
        held = [body for body in received if body.site == site]
        with Office.open(SiteHome(federation.site(site)), clock=utc_now) as office:
            studies = {body.slot.study for body in held}
            given = {r.digest for study in studies for r in office.ledger.receipts(study)}
        missing += sum(body.receipt.digest not in given for body in held)
    return missing, len(received)


def broken_links(federation: Federation, campaigns: Sequence[str]) -> tuple[int, int]:
    """Follow each campaign's weights from round to round into the model file.

    Returns the number of places where they do not fit, and of places looked at.
    """
    broken = looked_at = 0
    with open_coordinator(federation.coordinator) as coordinator:
        bodies = coordinator.log.bodies_from(0)
        for campaign in campaigns:
            fits = _links(coordinator, campaign, bodies)
            broken += fits.count(False)
            looked_at += len(fits)
    return broken, looked_at


def _links(coordinator: Coordinator, campaign: str, bodies: Sequence[Body]) -> list[bool]:
    mine = [body for body in bodies if getattr(body, "run", "") == campaign]
    rounds = [body for body in mine if isinstance(body, RoundAggregated)]
    evaluated = [body.weights for body in mine if isinstance(body, EvaluationDone)]
    closed = [b.weights for b in mine if isinstance(b, CampaignClosed) and b.outcome == "finished"]
    (state,) = (s for s in coordinator.store.campaigns() if s.campaign == campaign)
    stored = coordinator.store.find_study(state.study)
    study = open_study(stored.envelope, (coordinator.home.signing_key().public,))
    return [
        [body.round for body in rounds] == list(range(study.training.rounds)),
        *(after.weights_in == before.weights_out for before, after in pairwise(rounds)),
        evaluated == closed == [_digest_of_model(coordinator, campaign, study)],
    ]


def _digest_of_model(coordinator: Coordinator, campaign: str, study: Study) -> str:
    parameters = load_file(coordinator.home.results_dir(campaign) / "model.safetensors")
    names = parameter_shapes(study.model, len(input_columns(study.cohort)))
    flat = np.concatenate([parameters[name].ravel() for name in names])
    return arrays_digest({"weights": flat})


def _entries(path: Path) -> list[bytes]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
    try:
        rows = connection.execute("SELECT entry FROM entry ORDER BY seq")
        return [bytes(row[0]) for row in rows]
    finally:
        connection.close()
