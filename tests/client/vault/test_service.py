"""The vault as a real process behind a real socket."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_site import kept

from cordon_client.gateway.vault_client import VaultClient
from cordon_common.errors import CordonError
from cordon_common.wire import DescribeRequest, decode

READY_S = 60


class RunningVault:
    """`cordon site vault` in a subprocess, with its log."""

    def __init__(self, home, log, prefix=()):
        self.home, self.log = home, log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *prefix,
                    sys.executable,
                    "-m",
                    "cordon_common.cli.main",
                    "site",
                    "vault",
                    str(home.root),
                ],
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def client(self):
        client = VaultClient(self.home.socket, timeout_s=30)
        deadline = time.monotonic() + READY_S
        while not (self.home.socket.exists() and client.ready()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return client

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self.process.wait(15)


@pytest.fixture
def start(site, tmp_path):
    running = []

    def begin(prefix=()):
        running.append(RunningVault(site.home, tmp_path / "vault.log", prefix))
        return running[-1]

    yield begin
    for vault in running:
        vault.stop(signal.SIGKILL)


def describe(site):
    return site.ask(DescribeRequest(study=site.study.digest, run="run-1"))


def test_the_socket_is_private_answers_and_goes_away_when_the_vault_stops(site, start):
    vault = start()
    client = vault.client()
    assert stat.S_IMODE(site.home.socket.stat().st_mode) == 0o600
    assert decode(client.call("describe", describe(site)))[0].site == "north"
    client.close()
    assert vault.stop() == 0
    assert not site.home.socket.exists()


def test_a_killed_vault_starts_again_over_its_stale_socket_and_repeats_its_answers(
    site, start, weights
):
    vault = start()
    client = vault.client()
    client.call("qc", site.request("qc"))
    first = kept(client.call("train", site.request("train", weights=weights)))
    client.close()
    vault.stop(signal.SIGKILL)
    assert site.home.socket.exists()
    again = start().client()
    assert kept(again.call("train", site.request("train", weights=weights))) == first
    again.close()


def test_a_second_vault_on_the_same_folder_refuses_to_start(start, tmp_path):
    first = start()
    first.client().close()
    second = start()
    assert second.process.wait(READY_S) == 1
    assert "SY003" in (tmp_path / "vault.log").read_text()
    assert first.process.poll() is None


def test_a_message_over_the_cap_is_refused_with_a_clear_code(site, start):
    text = site.home.config_file.read_text().replace(
        "message_bytes: 268435456", "message_bytes: 1000"
    )
    site.home.config_file.write_text(text)
    client = start().client()
    with pytest.raises(CordonError) as caught:
        client.call("train", b"x" * 5000)
    assert caught.value.code == "PR006"
    client.close()


def test_the_vault_is_not_ready_when_its_data_is_gone(site, start):
    vault = start()
    client = vault.client()
    Path(site.home.config().dataset.file).unlink()
    assert not client.ready()
    client.close()


def test_an_unexpected_failure_leaves_and_logs_no_text_of_its_own(site, start, tmp_path):
    """The study's file is replaced by one whose cells would show up in any careless message."""
    vault = start()
    client = vault.client()
    Path(site.home.config().dataset.file).write_text(
        "patient_id,age,marker,sex,outcome\nCANARY-7,CANARY-8,1,f,1\n"
    )
    with pytest.raises(CordonError) as caught:
        client.call("qc", site.request("qc"))
    assert caught.value.code.startswith("DA")
    assert "CANARY" not in str(caught.value) + caught.value.why
    client.close()
    vault.stop()
    assert "CANARY" not in (tmp_path / "vault.log").read_text()


@pytest.mark.netns
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="making a network namespace needs root and unshare (util-linux)",
)
def test_the_vault_does_its_whole_work_in_an_empty_network_namespace(site, start, weights):
    vault = start(prefix=("unshare", "--net"))
    client = vault.client()
    seen_by_it = Path(f"/proc/{vault.process.pid}/net")
    interfaces = (seen_by_it / "dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    assert (seen_by_it / "route").read_text().splitlines()[1:] == []
    client.call("describe", describe(site))
    client.call("qc", site.request("qc"))
    client.call("train", site.request("train", weights=weights))
    client.call("evaluate", site.request("evaluate", weights=weights))
    client.close()
    assert len(site.charges()) == 3
