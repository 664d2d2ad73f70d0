"""Keys and envelopes: who said what, and under which type."""

import base64
import stat

import pytest

from cordon_common.errors import IntegrityError
from cordon_common.signing import Envelope, PublicKey, SigningKey, seal

# RFC 8032, section 7.1, test 2
RFC_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
RFC_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def refused(code):
    return pytest.raises(IntegrityError, match=code)


def test_the_published_signature_verifies_and_a_changed_one_does_not():
    key = PublicKey(RFC_PUBLIC)
    key.verify(b"\x72", RFC_SIGNATURE)
    with refused("IN001"):
        key.verify(b"\x73", RFC_SIGNATURE)


def test_an_envelope_verifies_under_its_own_type_only():
    key = SigningKey.generate()
    envelope = seal(key, "cordon.a.v1", {"x": 1})
    assert envelope.verify("cordon.a.v1") == key.public
    with refused("IN001"):
        envelope.verify("cordon.b.v1")
    with refused("IN001"):
        envelope.model_copy(update={"type": "cordon.b.v1"}).verify("cordon.b.v1")


@pytest.mark.parametrize(
    "change", [{"payload": {"x": 2}}, {"signature": "AAAA"}, {"signature": "not base64!"}]
)
def test_a_changed_envelope_does_not_verify(change):
    envelope = seal(SigningKey.generate(), "cordon.a.v1", {"x": 1})
    with refused("IN001"):
        envelope.model_copy(update=change).verify("cordon.a.v1")


def test_another_key_on_the_envelope_does_not_verify():
    envelope = seal(SigningKey.generate(), "cordon.a.v1", {"x": 1})
    other = str(SigningKey.generate().public)
    with refused("IN001"):
        envelope.model_copy(update={"key": other}).verify("cordon.a.v1")


def test_a_key_file_is_private_and_never_overwritten(tmp_path):
    key, path = SigningKey.generate(), tmp_path / "k.pem"
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.load(path).public == key.public
    with pytest.raises(FileExistsError):
        SigningKey.generate().save(path)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN " + b"PRIVATE KEY-----\nAAAA\n", b"\0" * 32])
def test_a_broken_key_file_is_named(tmp_path, content):
    path = tmp_path / "identity.pem"
    path.write_bytes(content)
    with refused("IN002") as caught:
        SigningKey.load(path)
    assert "identity.pem" in caught.value.what


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:AAAA", "rsa:" + "A" * 44])
def test_a_text_that_is_no_public_key_is_refused(text):
    with refused("IN002"):
        PublicKey.parse(text)


def test_a_public_key_survives_its_text_form():
    key = SigningKey.generate().public
    assert PublicKey.parse(str(key)) == key
    assert base64.b64decode(str(key).split(":")[1]) == key.raw


def test_an_envelope_refuses_unknown_fields():
    value = seal(SigningKey.generate(), "t", {}).model_dump() | {"extra": 1}
    with pytest.raises(ValueError, match="extra"):
        Envelope.model_validate(value)


def test_a_key_has_one_text_only():
    text = str(PublicKey(RFC_PUBLIC))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = text[:-2] + alphabet[alphabet.index(text[-2]) ^ 1] + "="
    assert base64.b64decode(other.removeprefix("ed25519:")) == RFC_PUBLIC
    with refused("IN002"):
        PublicKey.parse(other)
