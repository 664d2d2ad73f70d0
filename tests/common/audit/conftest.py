"""A small consortium: three hospitals and a coordinator that ran one campaign for real.

Ledgers and logs are the real ones; only data and network are absent, so releases are digests of
made-up bytes. `Consortium.forge` rewrites a bundle as its owner could, who holds the signing key.
"""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pytest

from cordon_common.audit.verify import verify_bundles
from cordon_common.canonical import canonical_bytes, digest
from cordon_common.errors import IntegrityError
from cordon_common.ledger import merkle
from cordon_common.ledger.bundle import (
    Manifest,
    envelope_bytes,
    export_coordinator_bundle,
    export_site_bundle,
    named_keys,
    study_file,
)
from cordon_common.ledger.checkpoint import Checkpoint, sign_checkpoint
from cordon_common.ledger.coordinator import CoordinatorLog
from cordon_common.ledger.entries import (
    CampaignClosed,
    CampaignStarted,
    EvaluationDone,
    GateDecided,
    PolicySet,
    ReleaseReceived,
    RoundAggregated,
    RoundStarted,
    SiteDescribed,
    SiteEnrolled,
    SiteOpened,
    StudyApproved,
    StudySigned,
    UsedRelease,
    parse_entry,
)
from cordon_common.ledger.offers import cosigned_entry
from cordon_common.ledger.receipt import make_receipt
from cordon_common.ledger.site import SiteLedger
from cordon_common.privacy.schedule import planned_events
from cordon_common.protocol.parse import STUDY_TYPE, load_study
from cordon_common.protocol.study import Noise, RosterEntry
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import ReleaseRequest, Slot, arrays_digest, request_digest

ROOT = Path(__file__).parents[3]
START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
SITES = ("east", "north", "west")
ROUNDS = 4


def ticking_clock():
    seconds = itertools.count()
    return lambda: START + timedelta(seconds=next(seconds))


class Verdict:
    """An audit's result, asked for what failed and what is not proven: (title, check) pairs."""

    def __init__(self, result):
        self.result = result
        self.verdict = result.verdict
        self.failed = self.rows("FAIL")
        self.unproven = self.rows("NOT PROVEN")

    def rows(self, status):
        return {
            (part.title.split(",")[0], row.check)
            for part in self.result.parts
            for row in part.rows
            if row.status == status
        }

    def together(self, check):
        """The row of this check in the comparison of all bundles."""
        (row,) = [row for row in self.result.parts[-1].rows if row.check == check]
        return row


class Consortium:
    """Three sites and a coordinator, their keys, logs and exported bundles."""

    def __init__(self, folder, coordinator_key=None, keys=None):
        self.folder = folder
        self.coordinator_key = coordinator_key or SigningKey.generate()
        self.keys = keys or {site: SigningKey.generate() for site in SITES}
        self.study = self.make_study()
        self.envelope = self.sign(self.study)
        self.policy = {
            "trusted_coordinators": [str(self.coordinator_key.public)],
            "lifetime": {"epsilon": 8.0, "delta": 1e-4},
        }

    @cached_property
    def ledgers(self):
        return {site: self.open_site(site) for site in SITES}

    @cached_property
    def log(self):
        return CoordinatorLog.open(
            self.folder / "log.db",
            key=self.coordinator_key,
            name="consortium",
            clock=ticking_clock(),
            create=True,
        )

    def make_study(self, **changes):
        study = load_study(ROOT / "configs" / "studies" / "breast-cancer.yaml")
        roster = tuple(
            RosterEntry(site=site, key=str(key.public), expected_patients=150)
            for site, key in self.keys.items()
        )
        return study.model_copy(
            update={
                "roster": roster,
                "training": study.training.model_copy(update={"rounds": ROUNDS}),
                "privacy": study.privacy.model_copy(
                    update={"noise": Noise(qc=20.0, training=6.0, evaluation=3.0)}
                ),
                **changes,
            }
        )

    def sign(self, study):
        return seal(self.coordinator_key, STUDY_TYPE, study.as_json())

    def open_site(self, site):
        ledger = SiteLedger.open(
            self.folder / f"{site}.db",
            key=self.keys[site],
            site=site,
            dataset="breast",
            clock=ticking_clock(),
            create=True,
        )
        ledger.record(SiteOpened(software={"cordon-common": "0.1.0"}))
        ledger.record(
            PolicySet(
                policy=digest(canonical_bytes(self.policy)),
                lifetime_epsilon=8.0,
                lifetime_delta=1e-4,
                lifetime_trust_model="local",
                trusted_coordinators=(str(self.coordinator_key.public),),
            )
        )
        ledger.approve(self.envelope, {}, approved_by="data-office")
        return ledger

    def slot(self, phase, number=0, run="run-1", study=None):
        return Slot(
            study=(study or self.study).digest, run=run, phase=phase, round=number, attempt=0
        )

    def release(self, site, slot, weights=None, study=None):
        """Make one release at a site as the vault's airlock does."""
        plan = planned_events(study or self.study)
        event = {"qc": plan.qc, "train": plan.training, "evaluate": plan.evaluation}[slot.phase]
        asked = request_digest(ReleaseRequest(slot=slot), weights or arrays_digest({}))
        ledger = self.ledgers[site]
        self.look(site, slot)
        ticket = ledger.reserve(slot, asked, event, lambda _charges: None)
        released = digest(f"{site} {slot.key}".encode())
        receipts = []

        def reply(position):
            receipts.append(
                make_receipt(
                    self.keys[site],
                    site=site,
                    ticket=ticket,
                    release_digest=released,
                    position=position,
                )
            )
            return b"reply"

        ledger.settle(ticket, released, reply)
        return ReleaseReceived(site=site, slot=slot, release=released, receipt=receipts[0])

    def look(self, site, slot):
        """Show the site the coordinator's log, and keep its cosignature there."""
        offer = self.log.offers.make(slot.study, slot.run, [site])[site]
        line = self.ledgers[site].witness.see(slot.study, slot.run, offer, slot)
        self.log.append(cosigned_entry(site, self.keys[site].public, offer, line))

    def campaign(self, run="run-1", sites=SITES):
        """Run a whole campaign; weights are digests of their round's number."""
        study = {"study": self.study.digest, "run": run}
        self.log.append_all(
            [
                StudySigned(study=self.study.digest, envelope=self.envelope),
                *(SiteEnrolled(site=s, identity_key=str(k.public)) for s, k in self.keys.items()),
                CampaignStarted(**study, software={}),
                *(SiteDescribed(**study, site=s, weights=w(0), software={}) for s in sites),
                *(self.release(s, self.slot("qc", run=run)) for s in sites),
                GateDecided(**study, passed=True, included=sites, excluded={}),
            ]
        )
        for number in range(ROUNDS):
            received = [self.release(s, self.slot("train", number, run), w(number)) for s in sites]
            self.log.append_all(
                [
                    RoundStarted(**study, round=number, attempt=0, weights=w(number), sites=sites),
                    *received,
                    RoundAggregated(
                        **study,
                        round=number,
                        weights_in=w(number),
                        weights_out=w(number + 1),
                        used=used(received),
                    ),
                ]
            )
        received = [self.release(s, self.slot("evaluate", run=run), w(99)) for s in sites]
        self.log.append_all(
            [
                *received,
                EvaluationDone(**study, weights=w(99), used=used(received)),
                CampaignClosed(**study, outcome="finished", weights=w(99)),
            ]
        )
        return self

    def export(self):
        """Write all bundles; return their paths by owner's name."""
        bundles = {}
        for site, ledger in self.ledgers.items():
            bundles[site] = self.folder / f"{site}.zip"
            export_site_bundle(ledger, bundles[site], policy=self.policy)
        bundles["coordinator"] = self.folder / "coordinator.zip"
        export_coordinator_bundle(self.log, bundles["coordinator"])
        return bundles

    @staticmethod
    def audit(*paths, trusted=()):
        """Verify bundles: paths, or a dict of them."""
        found = []
        for item in paths:
            found += item.values() if isinstance(item, dict) else [item]
        return Verdict(verify_bundles(found, trusted=trusted))

    @staticmethod
    def of_kind(entries, kind):
        """The positions of a kind's entries."""
        return [i for i, entry in enumerate(entries) if entry["kind"] == kind]

    @staticmethod
    def unpack(path):
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    @staticmethod
    def pack(path, files):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(files):
                archive.writestr(zipfile.ZipInfo(name), files[name])
        path.write_bytes(buffer.getvalue())

    def entries_of(self, name):
        lines = self.unpack(self.folder / f"{name}.zip")["entries.jsonl"].splitlines()
        return [json.loads(line) for line in lines]

    @staticmethod
    def derived(lines, manifest):
        """The files that follow from the entries, if all of these can be read."""
        try:
            bodies = [parse_entry(line, manifest.kinds).body for line in lines]
        except IntegrityError:
            return {}
        studies = [b for b in bodies if isinstance(b, StudyApproved | StudySigned)]
        files = {study_file(body.study): envelope_bytes(body.envelope) for body in studies}
        return {**files, "keys.json": canonical_bytes(named_keys(bodies))}

    def forge(self, name, change, key=None, path=None):
        """Rewrite a bundle's entries and make everything fit again: tree, signature, manifest.

        change: takes the list of entries (JSON values) and returns the new list; they are numbered
        again. This is what a log's owner can do, and more than anybody else can.
        """
        path = path or self.folder / f"{name}.zip"
        files = self.unpack(path)
        entries = change([json.loads(line) for line in files["entries.jsonl"].splitlines()])
        lines = [canonical_bytes({**entry, "seq": seq}) for seq, entry in enumerate(entries)]
        manifest = Manifest.model_validate_json(files.pop("manifest.json"))
        root = merkle.root([merkle.leaf_hash(line) for line in lines])
        point = Checkpoint(manifest.origin, len(lines), root)
        files["entries.jsonl"] = b"".join(line + b"\n" for line in lines)
        files |= self.derived(lines, manifest)
        owner = key or self.keys.get(name, self.coordinator_key)
        files["checkpoint"] = sign_checkpoint(point, owner).encode()
        stated = manifest.model_copy(update={"files": {n: digest(d) for n, d in files.items()}})
        manifest_bytes = canonical_bytes(stated.model_dump(mode="json"))
        self.pack(path, {**files, "manifest.json": manifest_bytes})


def w(number):
    """The digest of the weights after `number` rounds."""
    return digest(b"weights %d" % number)


def used(received):
    return tuple(UsedRelease(site=body.site, release=body.release) for body in received)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A consortium that ran one campaign and exported its bundles; not to be changed."""
    consortium = Consortium(tmp_path_factory.mktemp("finished")).campaign()
    consortium.export()
    return consortium


@pytest.fixture
def consortium(tmp_path, finished):
    """A consortium with the same keys and its own empty folder."""
    return Consortium(tmp_path, finished.coordinator_key, finished.keys)


@pytest.fixture
def bundles(consortium, finished):
    """The four bundles of one honest campaign, to be tampered with."""
    copies = {}
    for path in sorted(finished.folder.glob("*.zip")):
        copies[path.stem] = consortium.folder / path.name
        copies[path.stem].write_bytes(path.read_bytes())
    return copies
