"""The coordinator is probed over real TLS: reachable, trusted, and with a clock like ours."""

import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cordon_common.clock import utc_now
from cordon_common.errors import IntegrityError, UnreachableError
from cordon_common.probe import check_coordinator
from cordon_server.transport.tls import TlsFiles, create_ca, create_server_certificate


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    files = TlsFiles.at(tmp_path_factory.mktemp("tls"))
    create_ca(files, name="test")
    create_server_certificate(files, ["127.0.0.1"])
    return files


@contextlib.contextmanager
def coordinator(tls, *, date=None, status=200):
    """An HTTPS server whose Date header and status a test chooses; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(status)
            if date is not None:
                self.send_header("Date", date)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(HTTPServer):
        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.server_certificate, tls.server_key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def http_date(moment):
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def test_equal_clocks_differ_by_at_most_a_second(tls):
    with coordinator(tls, date=http_date(utc_now())) as address:
        assert abs(check_coordinator(address, tls.ca_certificate)) < timedelta(seconds=2)


def test_any_answer_counts_so_that_a_proxy_may_stand_before_it(tls):
    with coordinator(tls, date=http_date(utc_now()), status=404) as address:
        check_coordinator(address, tls.ca_certificate)


@pytest.mark.parametrize(
    ("minutes", "side"), [(10, "600 s ahead of"), (-10, "600 s behind")], ids=["fast", "slow"]
)
def test_a_clock_ten_minutes_off_is_refused_and_told_by_how_much(minutes, side, tls):
    now = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    ours = now + timedelta(minutes=minutes)
    with (
        coordinator(tls, date=http_date(now)) as address,
        pytest.raises(UnreachableError) as refused,
    ):
        check_coordinator(address, tls.ca_certificate, clock=lambda: ours)
    assert refused.value.code == "NE004"
    assert f"{side} the coordinator" in refused.value.why
    assert refused.value.exit_code == 4


def test_a_clock_two_minutes_off_is_a_warning(tls, caplog):
    now = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
    with coordinator(tls, date=http_date(now)) as address:
        ahead = check_coordinator(
            address, tls.ca_certificate, clock=lambda: now + timedelta(minutes=2)
        )
    assert ahead == timedelta(minutes=2)
    assert "120 s ahead of the coordinator" in caplog.text


def test_a_missing_date_is_a_warning(tls, caplog):
    with coordinator(tls) as address:
        assert check_coordinator(address, tls.ca_certificate) == timedelta(0)
    assert "not compared" in caplog.text


def test_a_certificate_of_another_ca_is_not_trusted(tls, tmp_path):
    other = TlsFiles.at(tmp_path)
    create_ca(other, name="other")
    with (
        coordinator(tls, date=http_date(utc_now())) as address,
        pytest.raises(UnreachableError, match="NE003"),
    ):
        check_coordinator(address, other.ca_certificate)


def test_a_certificate_for_another_host_is_not_trusted(tmp_path, monkeypatch):
    files = TlsFiles.at(tmp_path)
    create_ca(files, name="test")
    create_server_certificate(files, ["coordinator.example"])
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: real(
            "127.0.0.1" if host == "elsewhere.example" else host, *rest, **more
        ),
    )
    with coordinator(files, date=http_date(utc_now())) as address:
        port = address.rpartition(":")[2]
        with pytest.raises(UnreachableError, match="NE003"):
            check_coordinator(f"elsewhere.example:{port}", files.ca_certificate)


def test_nobody_listening_is_told_apart(tls):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnreachableError) as refused:
            check_coordinator(address, tls.ca_certificate)
    assert refused.value.code == "NE001"
    assert "refused" in refused.value.why.lower()


def test_a_server_without_tls_is_no_coordinator(tls):
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    with pytest.raises(UnreachableError, match="NE001"):
        check_coordinator(f"127.0.0.1:{server.server_port}", tls.ca_certificate)
    thread.join()
    server.server_close()


@pytest.mark.parametrize("content", [None, "", "<html>an error page</html>"])
def test_an_unreadable_ca_certificate_is_a_coded_error(content, tmp_path):
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(IntegrityError, match="IN002"):
        check_coordinator("127.0.0.1:9", path)
