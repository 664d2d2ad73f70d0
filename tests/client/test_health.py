"""Readiness without a port: a file's age for the gateway, the socket's own answer for the vault."""

import os
import threading
import urllib.request

import pytest
from small_site import make_site, write_cohort

from cordon_client.gateway import heartbeat
from cordon_client.gateway.metrics import Calls
from cordon_client.health import check
from cordon_client.vault.airlock import Airlock
from cordon_client.vault.service import start_server
from cordon_common.cli.main import main as cordon
from cordon_common.errors import CordonError


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "north", write_cohort(tmp_path / "cohort.csv"))


def code_of(home, part):
    with pytest.raises(CordonError) as caught:
        check(home, part)
    return caught.value.code


def test_a_vault_is_ready_while_it_answers_that_it_can_serve(site):
    assert code_of(site.home, "vault") == "CK070"
    state = site.open_vault()
    ready = threading.Event()
    ready.set()
    server = start_server(site.home.socket, Airlock(state), ready.is_set, cap_bytes=1 << 20)
    try:
        assert check(site.home, "vault") == "the vault is ready"
        ready.clear()
        assert code_of(site.home, "vault") == "CK070"
    finally:
        server.stop(None).wait()
        state.ledger.close()


def test_a_gateway_is_ready_while_its_loop_came_round_lately(site):
    assert code_of(site.home, "gateway") == "CK070"
    heartbeat.Heartbeat(site.home.gateway).beat()
    assert check(site.home, "gateway") == "the gateway is ready"
    file = site.home.gateway / heartbeat.FILE
    old = file.stat().st_mtime - heartbeat.STALE_S - 1
    os.utime(file, (old, old))
    assert code_of(site.home, "gateway") == "CK070"


def test_the_heart_beats_at_most_every_few_seconds(site):
    heart = heartbeat.Heartbeat(site.home.gateway)
    heart.beat()
    file = site.home.gateway / heartbeat.FILE
    file.unlink()
    heart.beat()
    assert not file.exists()


def test_the_command_answers_by_its_exit_status(site):
    assert cordon(["site", "health", str(site.home.root), "--part", "gateway"]) == 1
    assert cordon(["site", "health", str(site.home.root), "--part", "other"]) == 2
    heartbeat.Heartbeat(site.home.gateway).beat()
    assert cordon(["site", "health", str(site.home.root), "--part", "gateway"]) == 0


def test_a_gateways_metrics_hold_calls_and_codes(tmp_path, monkeypatch):
    monkeypatch.setattr("cordon_client.gateway.metrics.is_beating", lambda _home: True)
    started = []
    import prometheus_client

    real = prometheus_client.start_http_server
    monkeypatch.setattr(
        prometheus_client,
        "start_http_server",
        lambda port, address, registry: started.append(real(0, address, registry)),
    )
    calls = Calls()
    calls.count("train", "ok", 1.0)  # before a port is open nothing is counted
    calls.expose(tmp_path, 1, "127.0.0.1")
    calls.count("train", "ok", 0.3)
    calls.count("train", "PO106", 0.1)
    server, thread = started[0]
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert 'cordon_gateway_calls_total{code="ok",rpc="train"} 1.0' in text
    assert 'cordon_gateway_calls_total{code="PO106",rpc="train"} 1.0' in text
    assert "cordon_gateway_connected 1.0" in text
