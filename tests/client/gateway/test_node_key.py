"""The node key is made at the hospital, private, of the kind that Flower accepts."""

import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from cordon_client.gateway.node_key import create_node_key, load_node_key, public_line
from cordon_common.enrolment import EnrolmentRequest
from cordon_common.errors import IntegrityError


def test_a_new_key_is_private_and_reads_back_with_the_same_public_line(tmp_path):
    line = create_node_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert public_line(load_node_key(tmp_path / "key")) == line


def test_the_public_line_is_what_an_enrolment_request_carries(tmp_path):
    line = create_node_key(tmp_path / "key")
    request = EnrolmentRequest(
        site="north", identity_key=f"ed25519:{'A' * 43}=", supernode_key=line
    )
    assert request.supernode_key == line


def test_an_existing_key_is_never_replaced(tmp_path):
    create_node_key(tmp_path / "key")
    with pytest.raises(FileExistsError):
        create_node_key(tmp_path / "key")


def test_a_key_of_another_kind_is_refused(tmp_path):
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    (tmp_path / "key").write_bytes(other)
    with pytest.raises(IntegrityError, match="IN002"):
        load_node_key(tmp_path / "key")


@pytest.mark.parametrize("content", [b"", b"<html>not a key</html>", b"\xff\xfe\x00"])
def test_a_file_that_is_no_key_is_a_coded_error(content, tmp_path):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(IntegrityError) as failed:
        load_node_key(tmp_path / "key")
    assert failed.value.code == "IN002"
    assert str(tmp_path) not in f"{failed.value} {failed.value.why}"


def test_a_missing_key_is_a_coded_error(tmp_path):
    with pytest.raises(IntegrityError, match="IN002"):
        load_node_key(tmp_path / "none")
