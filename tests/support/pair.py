"""One site's ledger and one coordinator's log, both real, and the offers between them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from cordon_common.canonical import digest
from cordon_common.errors import CordonError
from cordon_common.ledger.coordinator import CoordinatorLog
from cordon_common.ledger.entries import (
    SITE_KINDS,
    CampaignStarted,
    ReleaseReceived,
    SiteFailed,
    parse_entry,
)
from cordon_common.ledger.offers import cosigned_entry
from cordon_common.ledger.receipt import Receipt
from cordon_common.ledger.site import SiteLedger
from cordon_common.privacy.events import GaussianRelease
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import Slot

START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
RUN = "run-1"
EVENT = GaussianRelease(
    purpose="training",
    population="train",
    noise_multiplier=15.0,
    sensitivity_grid=2.0**32,
    stability=1,
    dimension=31,
)


def ticking():
    seconds = itertools.count()
    return lambda: START + timedelta(seconds=next(seconds))


class Pair:
    """One site's ledger and the coordinator's log, both real, and the messages between them."""

    def __init__(self, folder, key=None):
        self.folder = folder
        self.coordinator = key or SigningKey.generate()
        self.site_key = SigningKey.generate()
        self.study = seal(self.coordinator, "cordon.study.v1", {"name": "breast-cancer"})
        self.ledger = self.open_site(create=True)
        self.ledger.approve(self.study, {})
        self.log = self.open_log("log.db")
        self.filler = itertools.count()

    def open_site(self, create=False):
        return SiteLedger.open(
            self.folder / "site.db",
            key=self.site_key,
            site="north",
            dataset="breast",
            clock=ticking(),
            create=create,
        )

    def open_log(self, name, key=None):
        return CoordinatorLog.open(
            self.folder / name,
            key=key or self.coordinator,
            name="consortium",
            clock=ticking(),
            create=True,
        )

    def slot(self, number=0, phase="train", run=RUN):
        return Slot(study=self.study.digest, run=run, phase=phase, round=number)

    def grow(self, count=1, log=None):
        for _ in range(count):
            body = CampaignStarted(
                study=digest(b"other"), run=f"other-{next(self.filler)}", software={}
            )
            (log or self.log).append(body)

    def offer(self, log=None, run=RUN):
        return (log or self.log).offers.make(self.study.digest, run, ["north"])["north"]

    def see(self, offer, slot=None, run=RUN):
        return self.ledger.witness.see(self.study.digest, run, offer, slot)

    def exchange(self, slot=None, log=None, run=RUN):
        """Show the log, take the cosignature back into it; return the size that was cosigned."""
        log = log or self.log
        offer = self.offer(log, run)
        line = self.see(offer, slot, run)
        entry = cosigned_entry("north", self.site_key.public, offer, line)
        log.append(entry)
        return entry.size

    def release(self, slot):
        """A release at the site; returns its receipt."""
        ticket = self.ledger.reserve(slot, digest(b"request"), EVENT, lambda _charges: None)
        self.ledger.settle(ticket, digest(b"release"), lambda _position: b"reply")
        return self.ledger.receipts(self.study.digest)[-1]

    def received(self, receipt):
        facts = Receipt.model_validate(receipt.payload)
        return ReleaseReceived(
            site="north", slot=facts.slot, release=facts.release_digest, receipt=receipt
        )

    def failed(self, slot, code="TR002"):
        number = slot.round if slot.phase == "train" else 7
        return SiteFailed(
            study=slot.study, run=slot.run, site="north", code=code, phase=slot.phase, round=number
        )

    def refused(self, offer, slot=None, run=RUN):
        with pytest.raises(CordonError) as caught:
            self.see(offer, slot, run)
        return caught.value.code

    def noted(self, kind):
        bodies = [parse_entry(data, SITE_KINDS).body for data in self.ledger.log.entries()]
        return [body for body in bodies if isinstance(body, kind)]
