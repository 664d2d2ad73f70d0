"""Enrolling a site's key at the SuperLink: once, whoever else enrols it at the same time."""

from types import SimpleNamespace

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cordon_server.transport.control import Control, ControlRefused
from cordon_server.transport.tls import TlsFiles, create_ca


class FakeClient:
    """Knows keys; refuses a key that it knows, as the SuperLink does."""

    def __init__(self):
        self.nodes = []
        self.before_register = lambda: None

    def ListNodes(self, request):  # noqa: N802 - Flower's name
        return SimpleNamespace(nodes_info=list(self.nodes))

    def RegisterNode(self, request):  # noqa: N802
        self.before_register()
        if request.public_key in [node.public_key for node in self.nodes]:
            raise httpx.HTTPStatusError("", request=None, response=SimpleNamespace(status_code=412))
        return self.add(request.public_key)

    def add(self, public_key, status="online"):
        node = SimpleNamespace(
            public_key=public_key, node_id=len(self.nodes) + 1, status=status, name=""
        )
        self.nodes.append(node)
        return node

    def close(self):
        pass


@pytest.fixture
def key():
    return ec.generate_private_key(ec.SECP384R1()).public_key()


@pytest.fixture
def line(key):
    formats = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_bytes(*formats).decode()


@pytest.fixture
def pem(key):
    formats = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(*formats)


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def control(client, tmp_path):
    create_ca(TlsFiles.at(tmp_path), name="test")
    with Control("127.0.0.1:1", TlsFiles.at(tmp_path).ca_certificate, "token") as control:
        control._client.close()
        control._client = client
        yield control


def test_a_key_that_is_enrolled_again_keeps_its_node_id(control, line):
    assert control.enrol(line, "north") == control.enrol(line, "north") == 1


def test_a_key_that_another_process_enrols_meanwhile_has_that_id(control, client, line, pem):
    """`coordinator serve` and `study launch` both enrol the sites, perhaps at the same moment."""
    client.before_register = lambda: client.add(pem)
    assert control.enrol(line, "north") == 1
    assert len(client.nodes) == 1


def test_a_withdrawn_key_stays_refused(control, client, line, pem):
    client.add(pem, status="unregistered")
    with pytest.raises(ControlRefused, match="TR011"):
        control.enrol(line, "north")
