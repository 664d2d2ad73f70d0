"""Hospitals for the coordinator's tests: honest ones over real ledgers, and ways to be dishonest.

A fake hospital speaks the wire contract for real (real keys, real ledger, real receipts) and holds
a tiny synthetic cohort. Its noise is a function of its name and the slot, so that two campaigns can
be compared bit for bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cordon_client.vault.masking import Masking
from cordon_client.vault.sum_keys import SumKeys
from cordon_common.canonical import canonical_bytes
from cordon_common.enrolment import REQUEST_TYPE, EnrolmentRequest
from cordon_common.errors import CordonError, error_for
from cordon_common.ledger.receipt import make_receipt
from cordon_common.ledger.site import SiteLedger, StoredReply
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.protocol.layout import dimension
from cordon_common.protocol.parse import STUDY_TYPE
from cordon_common.protocol.study import Study
from cordon_common.qc import summary
from cordon_common.qc.verdict import CohortVerdict, Severity
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import (
    DescribeReply,
    DescribeRequest,
    ReceiptsReply,
    ReceiptsRequest,
    ReleaseReply,
    ReleaseRequest,
    SumRequest,
    arrays_digest,
    decode,
    encode,
    request_digest,
    with_cosignature,
)
from cordon_server import campaign as campaign_module
from cordon_server.context import Waiting
from cordon_server.coordinator import Coordinator
from cordon_server.home import CoordinatorSettings, create_home, open_log
from cordon_server.network import Answer
from cordon_server.store import open_store

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
NAMES = ("north", "south", "east", "west")


def clock():
    return NOW


def study_value(roster, *, min_sites=3, rounds=4, **changes):
    value = {
        "cordon": 1,
        "name": "tiny",
        "purpose": "Predict an outcome from three measurements.",
        "permit": {"id": "permit-1", "end_date": "2027-12-31"},
        "cohort": {
            "patient_id": "pid",
            "features": [
                {"name": "age", "type": "number", "unit": "years", "range": [0, 120]},
                {"name": "dose", "type": "number", "unit": "mg", "range": [0, 50]},
                {"name": "sex", "type": "category", "categories": ["f", "m"]},
            ],
            "label": {"name": "outcome", "positive": ["1"], "negative": ["0"]},
        },
        "qc": {"gate": {"min_patients": 20, "min_sites": min_sites}},
        "model": {"family": "logistic"},
        "training": {
            "algorithm": "dp-fedsgd",
            "rounds": rounds,
            "clip_norm": 1.0,
            "divisor": 300,
            "optimizer": {"name": "sgd", "learning_rate": 1.0, "momentum": 0.5},
        },
        "privacy": {
            "epsilon": 3.0,
            "delta": 1e-5,
            "unprotected": ["participation", "qc_verdict"],
        },
        "timing": {"round_timeout_s": 2, "max_attempts": 3},
        "roster": roster,
    }
    return value | changes


class FakeHospital:
    """One hospital: 120 synthetic patients, a real ledger, a real identity."""

    def __init__(self, name, folder, *, patients=120):
        self.name = name
        self.key = SigningKey.generate()
        self.node_key = ec.generate_private_key(ec.SECP384R1())
        self.ledger = SiteLedger.open(
            folder / f"{name}.db", key=self.key, site=name, dataset="main", clock=clock, create=True
        )
        rng = np.random.default_rng(int.from_bytes(name.encode()[:4]))
        self.inputs = rng.uniform(-1, 1, (patients, 4))
        chance = 1 / (1 + np.exp(-3 * self.inputs[:, 0]))
        self.labels = (rng.uniform(size=patients) < chance).astype(float)
        self.studies = {}
        policy = SimpleNamespace(study=SimpleNamespace(min_sites=2))
        policy.now = lambda: policy
        self.masking = Masking(self.key, name, policy, SumKeys(folder / f"{name}-sums"))
        self.verdict = CohortVerdict(
            profile="clinical-table.v1",
            severity=Severity.PASS,
            checks=dict.fromkeys(
                ("cohort.patients", "cohort.classes", "cohort.excluded", "cohort.identifiers"),
                Severity.PASS,
            ),
            reasons=(),
            may_train=True,
        )

    @property
    def node_line(self):
        return (
            self.node_key.public_key()
            .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            .decode()
        )

    def enrolment(self):
        request = EnrolmentRequest(
            site=self.name, identity_key=str(self.key.public), supernode_key=self.node_line
        )
        envelope = seal(self.key, REQUEST_TYPE, request.model_dump(mode="json"))
        return canonical_bytes(envelope.model_dump(mode="json"))

    def roster_entry(self):
        return {"site": self.name, "key": str(self.key.public), "expected_patients": 120}

    def approve(self, envelope):
        self.studies[envelope.digest] = Study.model_validate(envelope.payload, strict=False)
        self.ledger.approve(envelope, {})

    def answer(self, data):
        message, arrays = decode(data)
        if isinstance(message, DescribeRequest):
            return self.describe(message)
        if isinstance(message, ReceiptsRequest):
            cosignature = self.ledger.witness.see(message.study, message.run, message.witness, None)
            return encode(
                ReceiptsReply(
                    site=self.name,
                    study=message.study,
                    receipts=tuple(self.ledger.receipts(message.study)),
                    checkpoint=self.ledger.log.checkpoint(),
                    cosignature=cosignature,
                )
            )
        assert isinstance(message, ReleaseRequest | SumRequest)
        slot = message.slot
        cosignature = self.ledger.witness.see(slot.study, slot.run, message.witness, slot)
        asked = request_digest(message, arrays_digest(arrays))
        return with_cosignature(self.release(message, arrays, asked), cosignature)

    def describe(self, message):
        if message.study not in self.studies:
            raise error_for("PO111")
        cosignature = self.ledger.witness.see(message.study, message.run, message.witness, None)
        weights = {"weights": self.initial_weights(self.studies[message.study])}
        reply = DescribeReply(
            site=self.name,
            study=message.study,
            run=message.run,
            weights_digest=arrays_digest(weights),
            software={"cordon-client": "0.1.0"},
            cosignature=cosignature,
            sum_key=self.masking.announce(self.studies[message.study], message.run),
        )
        return encode(reply, weights)

    def initial_weights(self, study):
        return np.linspace(-0.1, 0.1, dimension(study))

    def release(self, message, arrays, asked):
        slot = message.slot
        study = self.studies[slot.study]
        plan = planned_events(study)
        share = self.masking.share_of(study, message)
        training = plan.training if share is None else plan.training_among(share.sites)
        event = {"qc": plan.qc, "train": training, "evaluate": plan.evaluation}[slot.phase]
        ticket = self.ledger.reserve(slot, asked, event, lambda charges: None)
        if isinstance(ticket, StoredReply):
            return ticket.reply
        values = self.noised(study, slot, event, self.exact(study, slot, arrays))
        released = {"release": values}
        if share is not None:
            released = self.masking.mask(share, values, asked, study.training.ring_bits)
        return self.ledger.settle(
            ticket, arrays_digest(released), lambda at: self.reply(ticket, released, at)
        )

    def reply(self, ticket, released, position):
        release_digest = arrays_digest(released)
        receipt = make_receipt(
            self.key,
            site=self.name,
            ticket=ticket,
            release_digest=release_digest,
            position=position,
        )
        verdict = self.verdict.as_json() if ticket.slot.phase == "qc" else None
        reply = ReleaseReply(
            site=self.name,
            slot=ticket.slot,
            release_digest=release_digest,
            receipt=receipt,
            verdict=verdict,
        )
        return encode(reply, released)

    def exact(self, study, slot, arrays):
        if slot.phase == "qc":
            return self.quality(study)
        scores = 1 / (1 + np.exp(-(self.inputs @ arrays["weights"][:4] + arrays["weights"][4])))
        if slot.phase == "evaluate":
            bins = study.evaluation.bins
            cells = np.minimum((scores * bins).astype(int), bins - 1)
            return np.concatenate(
                [np.bincount(cells[self.labels == y], minlength=bins) for y in (0.0, 1.0)]
            ).astype(float)
        rows = (scores - self.labels)[:, None] * np.column_stack(
            [self.inputs, np.ones(len(self.inputs))]
        )
        norms = np.maximum(1, np.linalg.norm(rows, axis=1, keepdims=True))
        return (rows / norms).sum(axis=0)

    def quality(self, study):
        layout = summary.qc_layout(study)
        counts = {}
        for spec in layout.histograms:
            cells = np.zeros(len(spec.cells), dtype=np.int64)
            if spec.kind == "number":
                cells[: len(spec.edges) - 1] = len(self.inputs) // (len(spec.edges) - 1)
            elif spec.kind == "label":
                cells[0] = int(self.labels.sum())
                cells[1] = len(self.labels) - cells[0]
            elif spec.kind == "category":
                cells[:2] = len(self.inputs) // 2
            else:
                cells[0] = len(self.inputs)
            counts[spec.name] = cells * summary.SHARE
        values = self.inputs[:, : len(layout.moments.features)]
        sums = np.concatenate([values.sum(axis=0), (values**2 - 0.5).sum(axis=0)])
        return summary.encode(layout, counts, None, np.rint(sums * summary.SHARE).astype(np.int64))

    def noised(self, study, slot, event, exact):
        grid = release_grid(study)
        gamma = {"qc": grid.qc, "train": grid.training, "evaluate": grid.evaluation}[slot.phase]
        text = f"{self.name}|{slot.phase}|{slot.round}" + (f"|{slot.attempt}" * (slot.attempt > 0))
        seed = hashlib.sha256(text.encode()).digest()
        noise = np.random.default_rng(int.from_bytes(seed)).normal(size=exact.size)
        return np.rint(exact * gamma).astype(np.int64) + np.rint(
            noise * event.noise_std_grid
        ).astype(np.int64)


@dataclass
class FakeNetwork:
    """Hospitals at the end of a wire; `faults` says what goes wrong, by site.

    A fault takes (rpc, request, honest answer) and returns reply bytes, or a code as str.
    `before` runs before every exchange with its number, to kill or revive things.
    """

    hospitals: dict
    offline: set = field(default_factory=set)
    faults: dict = field(default_factory=dict)
    before: object = None
    asked: list = field(default_factory=list)

    def online(self):
        return frozenset(self.hospitals) - self.offline

    def ask(self, rpc, requests, timeout_s, shared=b""):
        if self.before is not None:
            self.before(len(self.asked), rpc)
        self.asked.append((rpc, tuple(requests)))
        return {site: self.one(rpc, site, data + shared) for site, data in requests.items()}

    def one(self, rpc, site, data):
        if site in self.offline:
            return Answer(code="TR003")
        try:
            reply = self.hospitals[site].answer(data)
        except CordonError as error:
            return Answer(code=error.code)
        if site in self.faults:
            reply = self.faults[site](rpc, data, reply)
        return Answer(code=reply) if isinstance(reply, str) else Answer(data=reply)


class FakeTime:
    """A monotonic clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0

    def waiting(self):
        return Waiting(lambda: self.now, self.sleep)

    def sleep(self, seconds):
        self.now += seconds


class Federation:
    """A coordinator's real folder and store, with fake hospitals enrolled in it."""

    def __init__(self, folder, names=NAMES, **study):
        settings = CoordinatorSettings(name="consortium", address="127.0.0.1:18443", site_wait_s=3)
        self.home = create_home(folder / "coordinator", settings, clock)
        (folder / "sites").mkdir()
        self.hospitals = {name: FakeHospital(name, folder / "sites") for name in names}
        self.network = FakeNetwork(self.hospitals)
        self.time = FakeTime()
        self.store = open_store(self.home.store_url)
        self.log = open_log(self.home, clock)
        self.coordinator = Coordinator(self.home, self.store, self.log, clock)
        for hospital in self.hospitals.values():
            self.store.add_site(
                EnrolmentRequest(
                    site=hospital.name,
                    identity_key=str(hospital.key.public),
                    supernode_key=hospital.node_line,
                ),
                clock,
            )
        roster = [hospital.roster_entry() for hospital in self.hospitals.values()]
        draft = Study.model_validate(study_value(roster, **study), strict=False)
        self.study = resolve(draft)
        self.envelope = seal(self.home.signing_key(), STUDY_TYPE, self.study.as_json())
        self.store.add_study(self.study, self.envelope, clock)
        for hospital in self.hospitals.values():
            hospital.approve(self.envelope)
        self.campaign_id = self.store.add_campaign(self.store.find_study("tiny"), clock)

    def open(self, network=None):
        return campaign_module.open_campaign(
            self.coordinator, self.campaign_id, network or self.network, self.time.waiting()
        )

    def run(self, network=None):
        running = self.open(network)
        campaign_module.drive(running)
        return running

    def events(self, name):
        events = self.store.progress_after(self.campaign_id, 0)
        return [event for event in events if event.event == name]

    def log_bodies(self, kind):
        return [body for body in self.log.bodies_from(0) if kind == body.KIND]

    def close(self):
        self.store.close()
        self.log.close()
        for hospital in self.hospitals.values():
            hospital.ledger.close()
