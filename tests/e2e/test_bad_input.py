"""Every ordinary mistake: one clear message, its own code, the next command, nothing lost."""

import contextlib
import http.server
import os
import re
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_site import clock, make_site, write_cohort

from cordon_client.vault.airlock import Airlock
from cordon_common.cli.main import main as cordon
from cordon_common.clock import utc_now
from cordon_common.errors import CordonError
from cordon_common.ledger.site import SiteLedger
from cordon_common.probe import check_coordinator
from cordon_common.signing import SigningKey
from cordon_server.home import open_home

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
GOOD = "patient_id,age,marker,sex,outcome\n" + "".join(
    f"P{i},{40 + i % 30},{i % 5},f,{i % 2}\n" for i in range(60)
)


def replaced(old, new):
    return lambda path: path.write_text(GOOD.replace(old, new))


def sparse_10_gb(path):
    with path.open("wb") as file:
        file.write(GOOD.encode())
        file.truncate(10 * 1024**3)


BAD_COHORTS = {
    "a missing column": (replaced("marker", "makrer"), "DA007"),
    "text in a numeric column": (replaced(",0,f", ",high,f"), "DA008"),
    "an outcome that is not binary": (replaced("f,1\n", "f,maybe\n"), "DA009"),
    "an empty file": (lambda path: path.write_bytes(b""), "DA002"),
    "a web page instead of a table": (
        lambda path: path.write_text("<!DOCTYPE html><html><body>Please log in</body></html>"),
        "DA003",
    ),
    "one class only": (replaced("f,1\n", "f,0\n"), "CK103"),
    "three patients": (
        lambda path: path.write_text("".join(GOOD.splitlines(keepends=True)[:4])),
        "CK101",
    ),
    "text that is not UTF-8": (
        lambda path: path.write_bytes(GOOD.replace("P7", "Pé7").encode("latin-1")),
        "DA004",
    ),
    "10 GB by mistake": (sparse_10_gb, "DA010"),
    "no file": (lambda path: path.unlink(), "DA001"),
}


@pytest.fixture
def site(tmp_path):
    """A site that has already released one QC summary."""
    made = make_site(tmp_path / "north", write_cohort(tmp_path / "cohort.csv"))
    state = made.open_vault()
    Airlock(state).answer("qc", made.request("qc"))
    state.ledger.close()
    return made


@pytest.fixture
def weights():
    return np.zeros(5)


@pytest.fixture
def tls_coordinator(tmp_path):
    """A real TLS server with the coordinator's own certificates; it sends a Date header."""
    port_probe = socket.create_server(("127.0.0.1", 0))
    port = port_probe.getsockname()[1]
    port_probe.close()
    home = tmp_path / "c"
    address = f"127.0.0.1:{port}"
    assert cordon(["coordinator", "init", str(home), "--name", "c", "--address", address]) == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls = open_home(home).tls
    context.load_cert_chain(tls.server_certificate, tls.server_key)
    server = http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(address=address, ca=tls.ca_certificate)
    server.shutdown()
    server.server_close()


def ledger_entries(site):
    ledger = SiteLedger.open(
        site.home.ledger,
        key=SigningKey.load(site.home.identity_key),
        site="north",
        dataset="main",
        clock=clock,
    )
    try:
        return ledger.log.entries()
    finally:
        ledger.close()


def check_message(text, code):
    assert f"error {code}:" in text
    assert re.search(r"next: \S+", text)
    assert "Traceback" not in text
    assert f"| {code} |" in DOCUMENTED


@pytest.mark.parametrize("name", BAD_COHORTS)
def test_a_bad_cohort_gets_one_clear_message_and_costs_nothing(name, site, tmp_path, capsys):
    spoil, code = BAD_COHORTS[name]
    before = ledger_entries(site)
    file = Path(site.home.config().dataset.file)
    spoil(file)
    study = tmp_path / "study.yaml"
    study.write_bytes(site.signed_study_bytes())
    status = cordon(
        ["site", "qc", str(site.home.root), "--study", str(study), "-o", str(tmp_path / "report")]
    )
    told = capsys.readouterr().err
    assert status == 1
    check_message(told, code)
    assert str(file) not in told
    assert ledger_entries(site) == before


def test_every_bad_cohort_has_its_own_code():
    codes = [code for _, code in BAD_COHORTS.values()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("name", ["no file", "10 GB by mistake"])
def test_a_vault_does_not_start_on_a_file_that_it_cannot_use(name, site):
    spoil, code = BAD_COHORTS[name]
    before = ledger_entries(site)
    spoil(Path(site.home.config().dataset.file))
    with pytest.raises(CordonError) as caught:
        site.open_vault()
    assert caught.value.code == code
    assert ledger_entries(site)[: len(before)] == before


@pytest.mark.parametrize(
    "name", [name for name in BAD_COHORTS if name not in {"no file", "10 GB by mistake"}]
)
def test_a_vault_refuses_a_bad_cohort_with_a_code_and_keeps_its_ledger(name, site, weights):
    spoil, _ = BAD_COHORTS[name]
    before = ledger_entries(site)
    spoil(Path(site.home.config().dataset.file))
    state = site.open_vault()
    with pytest.raises(CordonError) as caught:
        Airlock(state).answer("train", site.request("train", weights=weights))
    assert caught.value.code[:2] in {"DA", "CK"}
    charges = state.ledger.charges()
    state.ledger.close()
    assert len(charges) == 1
    assert ledger_entries(site)[: len(before)] == before


def test_an_unreadable_key_is_named_and_the_ledger_is_untouched(site, capsys):
    before = site.home.ledger.read_bytes()
    site.home.identity_key.write_text("not a key")
    assert cordon(["site", "budget", str(site.home.root)]) == 1
    told = capsys.readouterr().err
    check_message(told, "IN002")
    assert "identity.pem" in told
    assert site.home.ledger.read_bytes() == before


def test_a_port_that_is_in_use_is_named(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home = str(tmp_path / "coordinator")
        address = f"127.0.0.1:{port}"
        assert cordon(["coordinator", "init", home, "--name", "c", "--address", address]) == 0
        capsys.readouterr()
        served = subprocess.run(
            [sys.executable, "-m", "cordon_common.cli.main", "coordinator", "serve", home],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    told = served.stderr
    assert served.returncode == 4
    check_message(told, "NE002")
    assert str(port) in told


def test_a_clock_ten_minutes_off_is_told_by_how_much(tls_coordinator):
    """The coordinator's clock is right; this machine's is ten minutes ahead."""
    with pytest.raises(CordonError) as caught:
        check_coordinator(
            tls_coordinator.address,
            tls_coordinator.ca,
            clock=lambda: utc_now() + timedelta(minutes=10),
        )
    assert caught.value.code == "NE004"
    assert re.search(r"(599|600|601) s ahead", caught.value.why)
    assert caught.value.exit_code == 4
    assert "| NE004 |" in DOCUMENTED


def fill(filler):
    """Write until the disk is full."""
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def code_of_four_rounds(airlock, site, weights):
    for round_ in range(4):
        try:
            airlock.answer("train", site.request("train", round_, weights=weights))
        except CordonError as error:
            return error.code
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_reported_and_no_entry_is_lost(tmp_path, weights):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    try:
        site = make_site(disk / "north", write_cohort(tmp_path / "cohort.csv"))
        state = site.open_vault()
        airlock = Airlock(state)
        airlock.answer("qc", site.request("qc"))
        charges = state.ledger.charges()
        filler = disk / "filler"
        fill(filler)
        assert code_of_four_rounds(airlock, site, weights) == "SY001"
        state.ledger.close()
        filler.unlink()
        again = site.open_vault()
        assert again.ledger.charges()[: len(charges)] == charges
        Airlock(again).answer("train", site.request("train", 0, weights=weights))
        again.ledger.close()
        with contextlib.closing(sqlite3.connect(site.home.ledger)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        subprocess.run(["umount", disk], check=True)
