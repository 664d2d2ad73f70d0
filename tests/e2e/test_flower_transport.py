"""A real federation on loopback: SuperLink with TLS and node authentication, four gateways.

The vaults are echo servers, real gRPC servers over unix sockets: only the transport is tested.
"""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from flwr.cli.build import build_fab_from_files

from cordon_client.gateway.node_key import create_node_key
from cordon_client.gateway.settings import GatewaySettings
from cordon_common.errors import UnreachableError
from cordon_common.rpc.chunks import join, split
from cordon_common.rpc.vault_pb2_grpc import VaultServicer, add_VaultServicer_to_server
from cordon_server.transport.control import Control, ControlRefused
from cordon_server.transport.job import build_job
from cordon_server.transport.superlink import SuperLink, SuperLinkSettings
from cordon_server.transport.tls import TlsFiles, create_ca, create_server_certificate

pytestmark = [pytest.mark.federation, pytest.mark.slow]

HERE = Path(__file__).parent
JOB = HERE.parents[1] / "configs" / "job"
SITES = 4
ROUND_LIMIT_S = 3.0


class EchoVault(VaultServicer):
    """Answers every call with what it was asked."""

    def Train(self, request_iterator, context):  # noqa: N802 - gRPC's name
        yield from split(join(request_iterator))

    Describe = Qc = Evaluate = Receipts = Train


class Hospital:
    """An echo vault and a gateway process."""

    def __init__(self, name, folder, port, ca_certificate):
        self.home = folder / name
        self.home.mkdir()
        self.public_line = create_node_key(self.home / "key")
        self._log_path = self.home / "gateway.log"
        self.settings = GatewaySettings(
            site=name,
            coordinator=f"127.0.0.1:{port}",
            ca_certificate=ca_certificate,
            node_key=self.home / "key",
            vault_socket=self.home / "v.sock",
            home=self.home / "gateway",
            vault_timeout_s=60.0,
            enrolment_wait_s=60.0,
        )
        self._vault = grpc.server(futures.ThreadPoolExecutor(2))
        add_VaultServicer_to_server(EchoVault(), self._vault)
        self._vault.add_insecure_port(f"unix:{self.settings.vault_socket}")
        self._vault.start()
        self.gateway = None

    def start(self, **changes):
        settings = self.settings.model_copy(update=changes)
        with self._log_path.open("ab") as log:
            self.gateway = subprocess.Popen(
                [sys.executable, HERE / "gateway_main.py", settings.model_dump_json()], stderr=log
            )

    def stop(self):
        if self.gateway is not None:
            self.gateway.terminate()
            self.gateway.wait(15)
        self._vault.stop(None).wait()

    @property
    def log(self):
        return self._log_path.read_text()

    def working_process(self):
        """The pid of the process that the gateway's supervisor watches."""
        children = Path(f"/proc/{self.gateway.pid}/task/{self.gateway.pid}/children")
        return int(children.read_text().split()[0])


class Federation:
    def __init__(self, folder):
        self.folder = folder
        tls = TlsFiles.at(folder / "tls")
        create_ca(tls, name="test")
        create_server_certificate(tls, ["127.0.0.1"])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.settings = SuperLinkSettings(
            home=folder / "coordinator", tls=tls, port=port, server_app="transport_server_app:app"
        )
        self.hospitals = [
            Hospital(f"h{number}", folder, port, tls.ca_certificate) for number in range(SITES)
        ]
        self.superlink = SuperLink(self.settings)
        self._stopping = threading.Event()
        self._watching = threading.Thread(target=self.superlink.supervise, args=(self._stopping,))

    def start_coordinator(self):
        self.superlink.start()
        self._watching.start()
        with self.control() as control:
            for hospital in self.hospitals:
                control.enrol(hospital.public_line, hospital.settings.site)

    def stop(self):
        self._stopping.set()
        if self._watching.is_alive():
            self._watching.join()
        self.superlink.stop()
        for hospital in self.hospitals:
            hospital.stop()

    def control(self, token=None):
        return Control(
            self.settings.local_address,
            self.settings.tls.ca_certificate,
            token if token is not None else self.settings.control_token(),
        )

    def wait_online(self, count=SITES, timeout_s=60.0):
        with self.control() as control:
            wait_until(lambda: sum(node.online for node in control.nodes()) == count, timeout_s)

    def submit(self, *, bundle=None, **plan):
        plan = {
            "sites": SITES,
            "rounds": 1,
            "request_bytes": 8000,
            "rpc": "train",
            "timeout_s": 120,
        } | plan
        for name in ("plan.json", "progress.json", "result.json"):
            (self.settings.home / name).unlink(missing_ok=True)
        (self.settings.home / "plan.json").write_text(json.dumps(plan))
        with self.control() as control:
            return control.submit(bundle or build_job(JOB), {"campaign": "test"})

    def finish(self, run_id, timeout_s=120.0):
        """Wait for a run; gives its state and what the ServerApp wrote."""
        with self.control() as control:
            wait_until(lambda: self._finished(control, run_id), timeout_s)
            state = control.run(run_id)
        result = self.settings.home / "result.json"
        return state, json.loads(result.read_text()) if result.exists() else None

    @staticmethod
    def _finished(control, run_id):
        try:
            return control.run(run_id).finished
        except UnreachableError:
            return False  # the SuperLink is starting again

    def rounds_done(self):
        progress = self.settings.home / "progress.json"
        try:
            return len(json.loads(progress.read_text()))
        except (FileNotFoundError, ValueError):
            return 0


def wait_until(condition, timeout_s):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def processes_naming(text):
    """Pids whose command line or environment names `text`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in known and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


@pytest.fixture(scope="module")
def federation():
    """Gateways first, the coordinator seconds later: they have to wait for it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="fed") as folder,
    ):
        patch.setenv("PYTHONPATH", str(HERE))
        federation = Federation(Path(folder))
        try:
            for hospital in federation.hospitals:
                hospital.start()
            wait_until(
                lambda: all(
                    hospital._log_path.exists() and "waiting" in hospital.log
                    for hospital in federation.hospitals
                ),
                30.0,
            )
            federation.start_coordinator()
            federation.wait_online()
            yield federation
        finally:
            federation.stop()
        wait_until(lambda: not processes_naming(folder), 10.0)  # nothing is left behind


def test_gateways_that_started_before_the_coordinator_join_when_it_is_up(federation):
    with federation.control() as control:
        nodes = control.nodes()
    assert sorted(node.name for node in nodes) == ["h0", "h1", "h2", "h3"]
    assert all(node.online for node in nodes)


def test_a_round_over_four_sites_takes_less_than_three_seconds(federation, capsys):
    state, result = federation.finish(federation.submit(rounds=12))
    assert (state.outcome, state.details) == ("completed", "")
    assert result["campaign"] == "test"
    assert all(len(done["answered"]) == SITES and done["echoed"] for done in result["rounds"])
    median_s = statistics.median(done["seconds"] for done in result["rounds"])
    with capsys.disabled():
        sys.stdout.write(f"\n{median_s:.2f} s per round of {SITES} sites\n")
    assert median_s <= ROUND_LIMIT_S


def test_a_large_message_goes_both_ways(federation):
    state, result = federation.finish(federation.submit(request_bytes=16_000_000, rpc="evaluate"))
    assert state.outcome == "completed"
    assert result["rounds"][0]["echoed"]


@pytest.mark.parametrize("shadow", ["cordon_client", "another_app"])
def test_a_bundles_own_code_runs_nowhere(shadow, federation, tmp_path):
    """Anybody's bundle, here even one that shadows our package, only lends its settings."""
    marker = tmp_path / "marker"
    hostile = f"open({str(marker)!r}, 'a').write('ran')\n".encode()
    apps = {
        "cordon_client": {
            "client": "cordon_client.gateway.app:app",
            "server": "cordon_server.app:app",
        },
        "another_app": {"client": "another_app.gateway.app:app", "server": "another_app:app"},
    }[shadow]
    bundle, _ = build_fab_from_files(
        {
            "pyproject.toml": (
                '[project]\nname = "evil"\nversion = "1.0.0"\ndescription = "x"\n'
                'license = { file = "LICENSE" }\ndependencies = ["flwr>=1.41.0"]\n'
                '[tool.flwr.app]\npublisher = "evil"\nfab-format-version = 1\n'
                'flwr-version-target = "1.41.0"\n[tool.flwr.app.components]\n'
                f'serverapp = "{apps["server"]}"\nclientapp = "{apps["client"]}"\n'
                '[tool.flwr.app.config]\ncampaign = ""\n'
            ).encode(),
            "LICENSE": b"none",
            **{
                f"{folder}__init__.py": hostile
                for folder in (f"{shadow}/", f"{shadow}/gateway/", "cordon_server/", "numpy/")
            },
            f"{shadow}/gateway/app.py": hostile,
            "cordon_server/app.py": hostile,
            "sitecustomize.py": hostile,
        }
    )
    state, result = federation.finish(federation.submit(bundle=bundle, rounds=2))
    assert state.outcome == "completed"
    assert all(done["echoed"] and len(done["answered"]) == SITES for done in result["rounds"])
    assert not marker.exists()
    assert not list(federation.folder.rglob("sitecustomize.py"))


def test_nobody_controls_the_superlink_without_its_token(federation):
    for token in ("", "guessed"):
        with federation.control(token) as control:
            for attempt in (
                lambda control=control: control.submit(build_job(JOB), {}),
                lambda control=control: control.enrol(federation.hospitals[0].public_line, "x"),
                lambda control=control: control.nodes(),
            ):
                with pytest.raises(ControlRefused, match="TR011"):
                    attempt()


def test_a_key_that_is_not_enrolled_is_refused_with_a_clear_message(federation):
    stranger = Hospital(
        "stranger",
        federation.folder,
        federation.settings.port,
        federation.settings.tls.ca_certificate,
    )
    stranger.start(enrolment_wait_s=0.0)
    try:
        status = stranger.gateway.wait(30)
    finally:
        stranger.stop()
    last = stranger.log.splitlines()[-1]
    assert status == 4
    assert last.startswith("NE005: the coordinator does not know this site's key.")
    assert "Next: send the enrolment request" in last


def test_a_site_that_is_withdrawn_is_refused_from_then_on(federation):
    guest = Hospital(
        "guest",
        federation.folder,
        federation.settings.port,
        federation.settings.tls.ca_certificate,
    )
    with federation.control() as control:
        node_id = control.enrol(guest.public_line, "guest")
        assert control.enrol(guest.public_line, "guest") == node_id
        guest.start(enrolment_wait_s=0.0)
        try:
            federation.wait_online(SITES + 1)
            control.withdraw(node_id)
            status = guest.gateway.wait(30)
        finally:
            guest.stop()
        assert len(control.nodes()) == SITES
    assert status == 4
    assert guest.log.splitlines()[-1].startswith("NE005")


def test_a_killed_gateway_comes_back_and_the_round_goes_on(federation):
    run_id = federation.submit(rounds=12)
    wait_until(lambda: federation.rounds_done() >= 2, 60.0)
    os.kill(federation.hospitals[0].working_process(), signal.SIGKILL)
    state, result = federation.finish(run_id)
    assert state.outcome == "completed"
    assert all(len(done["answered"]) == SITES for done in result["rounds"])


def test_a_dead_site_is_told_apart_and_the_others_finish(federation):
    run_id = federation.submit(rounds=6)
    wait_until(lambda: federation.rounds_done() >= 2, 60.0)
    hospital = federation.hospitals[0]
    hospital.gateway.kill()
    hospital.gateway.wait()
    state, result = federation.finish(run_id)
    hospital.start()
    federation.wait_online()
    assert state.outcome == "completed"
    failed = [done["codes"] for done in result["rounds"] if done["codes"]]
    assert failed == [["TR003"]]  # once; later rounds ask only those that are online
    assert len(result["rounds"][-1]["answered"]) == SITES - 1


def test_a_killed_superlink_comes_back_on_its_database_and_the_run_goes_on(federation):
    run_id = federation.submit(rounds=12)
    wait_until(lambda: federation.rounds_done() >= 2, 60.0)
    federation.superlink._superlink.kill()
    state, result = federation.finish(run_id)
    federation.wait_online()
    assert (state.outcome, state.details) == ("completed", "")
    assert all(done["echoed"] for done in result["rounds"])


def test_a_killed_serverapp_ends_its_run_and_the_next_one_works(federation):
    run_id = federation.submit(rounds=1000)
    wait_until(lambda: federation.rounds_done() >= 1, 60.0)
    federation.superlink._server_app.kill()
    with federation.control() as control:
        control.stop(run_id)
        assert control.run(run_id).outcome == "stopped"
        control.stop(run_id)  # again: nothing to do
    state, result = federation.finish(federation.submit(rounds=2))
    assert state.outcome == "completed"
    assert all(done["echoed"] for done in result["rounds"])


def test_a_run_can_be_stopped(federation):
    run_id = federation.submit(rounds=1000)
    wait_until(lambda: federation.rounds_done() >= 1, 60.0)
    with federation.control() as control:
        assert [state.run_id for state in control.unfinished_runs()] == [run_id]
        control.stop(run_id)
        assert control.unfinished_runs() == []
    state, _ = federation.finish(federation.submit(rounds=1))
    assert state.outcome == "completed"
