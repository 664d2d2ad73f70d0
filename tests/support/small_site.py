"""A small real site: keys, ledger, policy, 120 synthetic patients, one signed and approved study."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cordon_client.enrol import create_site
from cordon_client.home import Dataset, SiteConfig, SiteHome
from cordon_client.office import Office
from cordon_client.vault.policy import trust_coordinator
from cordon_client.vault.state import VaultState
from cordon_common.canonical import canonical_bytes
from cordon_common.ledger.coordinator import CoordinatorLog
from cordon_common.ledger.entries import ReleaseReceived
from cordon_common.ledger.receipt import Receipt
from cordon_common.privacy.calibrate import resolve
from cordon_common.protocol.parse import STUDY_TYPE, parse_model
from cordon_common.protocol.study import Study
from cordon_common.securesum.keys import announce, key_of_run
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import ReleaseRequest, Slot, SumRequest, decode_head, encode, split

POLICY = Path(__file__).parents[2] / "configs" / "policies" / "standard.yaml"
RUN = "run-1"


def clock():
    return datetime(2026, 6, 1, 12, tzinfo=UTC)


def write_cohort(path, patients=120, seed=7, **extra):
    """Synthetic patients: `marker` rises with the outcome, `sex` does not, `age` a little."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient_id", "age", "marker", "sex", "outcome", *extra])
        for i in range(patients):
            sick = int(rng.random() < 0.45)
            row = [f"P{i:05d}", round(50 + 8 * rng.normal() + 5 * sick, 1)]
            row += [round(float(rng.normal() + 1.5 * sick), 4), "fm"[rng.integers(2)], sick]
            writer.writerow([*row, *(values[i] for values in extra.values())])
    return path


def study_value(roster, **changes):
    value = {
        "cordon": 1,
        "name": "toy-study",
        "purpose": "Show what a vault does with a small table",
        "permit": {"id": "permit-1", "end_date": "2027-12-31"},
        "cohort": {
            "patient_id": "patient_id",
            "features": [
                {
                    "name": "age",
                    "type": "number",
                    "unit": "years",
                    "range": [0, 120],
                    "typical": [30, 80],
                },
                {
                    "name": "marker",
                    "type": "number",
                    "unit": "1",
                    "range": [-9, 9],
                    "typical": [-3, 3],
                },
                {"name": "sex", "type": "category", "categories": ["f", "m"]},
            ],
            "label": {"name": "outcome", "positive": ["1"], "negative": ["0"]},
        },
        "qc": {"gate": {"min_patients": 20, "min_sites": 2}},
        "model": {"family": "logistic"},
        "training": {
            "algorithm": "dp-fedsgd",
            "rounds": 4,
            "clip_norm": 1.0,
            "divisor": 200,
            "optimizer": {"name": "sgd", "learning_rate": 1.0},
        },
        "privacy": {"epsilon": 3.0, "delta": 1e-5, "unprotected": ["participation", "qc_verdict"]},
        "roster": roster,
    }
    return value | changes


@dataclass
class Site:
    """A site's folder, the coordinator's key, and a study that both know."""

    home: SiteHome
    coordinator: SigningKey
    study: Study
    peers: dict

    def sign(self, **changes):
        """Sign a variation of the study; noise is computed for it."""
        value = self.study.as_json() | changes
        value["privacy"] = value["privacy"] | {"noise": None}
        study = resolve(parse_model(Study, value, code="PR001", what="test study"))
        return study, seal(self.coordinator, STUDY_TYPE, study.as_json())

    def approve(self, envelope):
        with Office.open(self.home, clock=clock) as office:
            return office.approve(envelope, by="tester")

    def open_vault(self):
        return VaultState(self.home, clock=clock)

    def request(self, phase, round_=0, weights=None, study=None, run=RUN, attempt=0):
        digest = (study or self.study).digest
        slot = Slot(study=digest, run=run, phase=phase, round=round_, attempt=attempt)
        return self.ask(ReleaseRequest(slot=slot), weights)

    def ask(self, message, weights=None):
        """The bytes of a request as an honest coordinator sends them, its log shown."""
        slot = getattr(message, "slot", message)
        offer = self.offer(slot.study, slot.run)
        arrays = {} if weights is None else {"weights": weights}
        return encode(message.model_copy(update={"witness": offer}), arrays)

    def offer(self, study, run):
        """What a coordinator shows that received every release of the site."""
        with Office.open(self.home, clock=clock) as office:
            receipts = office.ledger.receipts(study)
        log = CoordinatorLog.open(
            self.home.root.parent / f"{self.home.root.name}-coordinator.db",
            key=self.coordinator,
            name="consortium",
            clock=clock,
            create=True,
        )
        known = [body.receipt for body in log.bodies_from(0) if isinstance(body, ReleaseReceived)]
        for receipt in (item for item in receipts if item not in known):
            facts = Receipt.model_validate(receipt.payload)
            log.append(
                ReleaseReceived(
                    site="north", slot=facts.slot, release=facts.release_digest, receipt=receipt
                )
            )
        offer = log.offers.make(study, run, ["north"])["north"]
        log.close()
        return offer

    def announcement(self, peer, **changes):
        """The signed key of another hospital for masked sums; `changes` replace what it says."""
        place = {"study": self.study.digest, "run": RUN, "site": peer} | changes
        own = key_of_run(peer.encode() * 4, study=place["study"], run=place["run"])
        return announce(self.peers[peer], own, **place)

    def sum_request(self, roster, round_=0, weights=None, study=None, run=RUN, attempt=0):
        digest = (study or self.study).digest
        slot = Slot(study=digest, run=run, phase="train", round=round_, attempt=attempt)
        return self.ask(SumRequest(slot=slot, roster=tuple(roster)), weights)

    def signed_study_bytes(self):
        """The study as a file in YAML (JSON is YAML)."""
        return canonical_bytes(self.study.as_json())

    def charges(self):
        with Office.open(self.home, clock=clock) as office:
            return office.ledger.charges()


def kept(reply):
    """An answer as the ledger keeps it, without the cosignature of the log that was shown."""
    head, arrays = split(reply)
    return encode(decode_head(head).model_copy(update={"cosignature": None})) + arrays


def make_site(root, table, approve=True, peers=("south",), policy=POLICY, **changes):
    home = SiteHome(root)
    config = SiteConfig(name="north", dataset=Dataset(id="main", file=str(table)))
    create_site(home, config, policy, clock=clock)
    coordinator = SigningKey.generate()
    trust_coordinator(home.policy_file, coordinator.public, "test coordinator")
    peers = {name: SigningKey.generate() for name in peers}
    roster = [
        {"site": name, "key": str(key.public), "expected_patients": 120}
        for name, key in {"north": SigningKey.load(home.identity_key), **peers}.items()
    ]
    value = study_value(roster, **changes)
    study = resolve(parse_model(Study, value, code="PR001", what="test study"))
    site = Site(home, coordinator, study, peers)
    if approve:
        site.approve(seal(coordinator, STUDY_TYPE, study.as_json()))
    return site
