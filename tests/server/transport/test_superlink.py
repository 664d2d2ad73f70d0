"""The SuperLink is started closed: TLS, node authentication, secrets, nothing sent or fetched."""

import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from cordon_common.errors import CordonError, IntegrityError, UnreachableError
from cordon_server.transport import superlink as superlink_module
from cordon_server.transport.superlink import SuperLink, SuperLinkSettings
from cordon_server.transport.tls import TlsFiles, create_ca, create_server_certificate


@pytest.fixture
def settings(tmp_path):
    tls = TlsFiles.at(tmp_path / "tls")
    create_ca(tls, name="test")
    create_server_certificate(tls, ["127.0.0.1"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return SuperLinkSettings(home=tmp_path / "home", tls=tls, port=port)


@pytest.fixture
def children(monkeypatch):
    """Replaces both processes by ones that only wait; gives what was started, in order."""
    started = []

    def start(module, settings, environment, *, log):
        program = "import sys; sys.stdin.buffer.read()"
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
        started.append((module, process))
        return process

    monkeypatch.setattr(superlink_module, "start_child", start)
    return started


def test_the_arguments_close_what_flower_leaves_open(settings):
    arguments = settings.arguments()
    assert "--enable-supernode-auth" in arguments
    assert "--isolation=process" in arguments
    assert "--disable-runtime-dependency-installation" in arguments
    assert f"--superexec-auth-secret-file={settings.executor_secret_file}" in arguments
    assert f"--database={settings.home / 'superlink.db'}" in arguments
    assert "--insecure" not in arguments


def test_the_environment_sends_and_fetches_nothing(settings, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment = settings.environment()
    assert environment["FLWR_TELEMETRY_ENABLED"] == "0"
    assert environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert environment["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert environment["FLWR_HOME"].startswith(str(settings.home))
    assert environment["CORDON_COORDINATOR_HOME"] == str(settings.home)
    assert "PYTHONDONTWRITEBYTECODE" not in environment


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - only a text here
        ("::", "[::1]"),
    ],
)
def test_processes_on_this_machine_use_loopback(host, local, settings):
    listening = SuperLinkSettings(
        home=settings.home, tls=settings.tls, port=settings.port, host=host
    )
    assert listening.local_address == f"{local}:{settings.port}"


def test_a_port_in_use_is_told_before_anything_starts(settings, children):
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        with pytest.raises(UnreachableError) as refused:
            SuperLink(settings).start()
    assert refused.value.code == "NE002"
    assert str(settings.port) in refused.value.why
    assert children == []


def test_another_flower_is_refused_before_anything_starts(settings, children, monkeypatch):
    monkeypatch.setattr(superlink_module, "version", lambda _: "1.42.0")
    with pytest.raises(CordonError, match="TR001"):
        SuperLink(settings).start()
    assert children == []


def test_a_superlink_that_does_not_answer_is_a_coded_error_and_nothing_stays(settings, children):
    superlink = SuperLink(settings)
    with pytest.raises(CordonError, match="TR010"):
        superlink.start(timeout_s=0.3)
    superlink.stop()
    assert all(process.poll() is not None for _, process in children)


def test_the_secrets_are_made_once_and_private(settings, children, monkeypatch):
    monkeypatch.setattr(SuperLink, "_answers", lambda _: True)
    with SuperLink(settings):
        first = settings.control_token()
    with SuperLink(settings):
        assert settings.control_token() == first
    assert len(first) >= 40
    assert first != settings.executor_secret_file.read_text()
    for path in (settings.control_token_file, settings.executor_secret_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_token_is_a_coded_error(settings):
    with pytest.raises(IntegrityError, match="IN002"):
        settings.control_token()


def test_whichever_process_ends_is_started_again(settings, children, monkeypatch):
    monkeypatch.setattr(SuperLink, "_answers", lambda _: True)
    monkeypatch.setattr(superlink_module, "_WATCH_S", 0.02)
    monkeypatch.setattr(superlink_module, "_RESTART_PAUSE_S", 0.02)
    stopping = threading.Event()
    with SuperLink(settings) as superlink:
        watching = threading.Thread(target=superlink.supervise, args=(stopping,))
        watching.start()
        for number in (0, 1):
            children[number][1].kill()
            deadline = time.monotonic() + 10
            while len(children) < 3 + number:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        stopping.set()
        watching.join()
    assert [module.rpartition(".")[2] for module, _ in children] == [
        "superlink_process",
        "serverapp_process",
        "superlink_process",
        "serverapp_process",
    ]
    assert all(process.poll() is not None for _, process in children)


def test_the_supervisor_imports_no_flower():
    program = "import sys, cordon_server.transport.superlink; assert 'flwr' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
