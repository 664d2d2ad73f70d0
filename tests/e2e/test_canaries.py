"""Nothing of a patient leaves: canaries in a cohort, then a search through every byte that left.

Searched: all that crossed every vault's socket in both directions, the gateways' and the
coordinator's folders, every log, the ledgers and the audit bundles. The canaries are looked for as
text, as raw numbers in both widths, as the scaled numbers that the model sees, and as patient
hashes, which only the site's key can make.
"""

import contextlib
import csv
import hashlib
import socket
import struct
import threading
import time
import zipfile
from pathlib import Path

import pytest

from cordon_client.enrol import load_split_key
from cordon_client.home import SiteHome
from cordon_client.qc.identity import patient_hashes
from cordon_common.protocol.parse import load_study
from cordon_server.cli.progress import watch_campaign
from cordon_server.coordinator import open_coordinator
from cordon_server.demo.data import write_breast_cancer_cohorts
from cordon_server.demo.federation import Federation

CONFIGS = Path(__file__).parents[2] / "configs"
STUDY = CONFIGS / "studies" / "breast-cancer.yaml"
PATIENT = "ZANZIBAR-CANARY-0815"
TEXT = "Ottilie Kanarienvogel"
NUMBERS = {"mean radius": 13.370815471, "worst area": 815.470815471}

pytestmark = [pytest.mark.federation, pytest.mark.slow]


class Tap:
    """Sits between a gateway and its vault's socket and keeps every byte, both ways."""

    def __init__(self, path):
        self.heard = bytearray()
        self._real = path.with_name("v.sock")
        path.rename(self._real)  # a listening socket keeps answering under its new name
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._open = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                gateway, _ = self._listener.accept()
                vault = socket.socket(socket.AF_UNIX)
                vault.connect(str(self._real))
                self._open += [gateway, vault]
                for source, target in ((gateway, vault), (vault, gateway)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.heard += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def plant(path):
    """Give one ordinary patient of the cohort a telling id, telling values, and an extra column."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["note"] = ""
    rows[3] |= {"patient_id": PATIENT, "note": TEXT}
    rows[3] |= {name: repr(value) for name, value in NUMBERS.items()}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def needles(sites):
    study = load_study(STUDY)
    features = {feature.name: feature for feature in study.cohort.features}
    found = {"id": PATIENT.encode(), "note": TEXT.encode(), "surname": b"Kanarienvogel"}
    for name, value in NUMBERS.items():
        scaled = (value - features[name].centre) / features[name].half_width
        found[f"{name} as text"] = repr(value).encode()[:11]
        for kind, number in (("value", value), ("scaled", scaled)):
            found[f"{name} {kind} float64"] = struct.pack("<d", number)
            found[f"{name} {kind} big-endian"] = struct.pack(">d", number)
    for site in sites:
        digest = patient_hashes(load_split_key(SiteHome(site)), [PATIENT])[0]
        found[f"patient hash at {site.name}"] = digest
        found[f"patient hash at {site.name} in hex"] = digest.hex().encode()
    found["hash of the id"] = hashlib.sha256(PATIENT.encode()).hexdigest().encode()
    return found


def files_that_left(federation):
    """Everything on disk but the cohorts, and what is meant to stay inside the vault."""
    for path in federation.root.rglob("*"):
        parts = path.relative_to(federation.root).parts
        stays = parts[0] == "cohorts" or ("vault" in parts and parts[-1] != "ledger.db")
        if path.is_file() and not stays:
            yield path


@pytest.fixture
def finished(tmp_path):
    cohorts = write_breast_cancer_cohorts(tmp_path / "f" / "cohorts")
    for path in cohorts.values():
        plant(path)
    federation = Federation(tmp_path / "f", cohorts, STUDY, CONFIGS / "policies" / "standard.yaml")
    taps = []
    with federation.processes as processes:
        federation.found()
        federation.agree()
        federation.start()
        sockets = [federation.site(name) / "run" / "vault.sock" for name in cohorts]
        processes.wait_until(lambda: all(s.exists() for s in sockets), what="vaults", timeout_s=90)
        time.sleep(1)
        taps = [Tap(path) for path in sockets]
        with open_coordinator(federation.coordinator) as coordinator:
            launch(federation, processes)
            watch_campaign(coordinator, coordinator.store.campaigns()[-1].campaign, as_json=False)
        federation.export()
        federation.run(
            "study",
            "report",
            federation.study,
            "--home",
            str(federation.coordinator),
            "-o",
            str(federation.root / "report.html"),
        )
    for tap in taps:
        tap.close()
    return federation, taps


def launch(federation, processes):
    log = processes.logs / "coordinator.log"
    processes.wait_until(lambda: "serving at" in log.read_text(), what="serve", timeout_s=90)
    federation.launch()


def test_no_canary_leaves_a_hospital_in_a_whole_study(finished):
    federation, taps = finished
    wanted = needles([federation.site(name) for name in federation.cohorts])
    for tap in taps:
        assert len(tap.heard) > 30 * 500, "the tap heard too little to prove anything"
        assert b"released.v1" in tap.heard
        assert [name for name, needle in wanted.items() if needle in tap.heard] == []
    searched = 0
    for path in files_that_left(federation):
        data = path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as bundle:
                data += b"".join(bundle.read(name) for name in bundle.namelist())
        assert [(path.name, name) for name, needle in wanted.items() if needle in data] == []
        searched += 1
    assert searched > 40


def test_the_search_finds_what_it_looks_for(tmp_path):
    """The needles are right: they are in the cohort, in the encoded tensors, in the hashes."""
    cohorts = write_breast_cancer_cohorts(tmp_path / "cohorts")
    plant(cohorts["north"])
    data = cohorts["north"].read_bytes()
    assert PATIENT.encode() in data
    assert all(repr(value).encode()[:11] in data for value in NUMBERS.values())
    study = load_study(STUDY)
    from cordon_client.qc.tabular import run_table_qc
    from cordon_client.tensors.tabular import encode

    key = bytes(32)
    result = run_table_qc(study, cohorts["north"], key)
    tensors = encode(result.clean, study.cohort)
    features = {feature.name: feature for feature in study.cohort.features}
    for name, value in NUMBERS.items():
        scaled = (value - features[name].centre) / features[name].half_width
        assert struct.pack("<d", scaled) in tensors.inputs.tobytes()
    assert patient_hashes(key, [PATIENT])[0] in result.clean.patients
