"""Checkpoints: published signed notes verify, and nothing altered does."""

import base64

import pytest

from cordon_common.errors import IntegrityError
from cordon_common.ledger import checkpoint
from cordon_common.signing import PublicKey, SigningKey

# The example of the signed-note documentation (golang.org/x/mod/sumdb/note).
NAME = "PeterNeumann"
KEY = PublicKey(base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:])
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    TEXT + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg"
    "KvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
POINT = checkpoint.Checkpoint("cordon/site/a/b", 7, b"\x07" * 32)


def test_a_published_note_verifies():
    assert checkpoint.key_id(NAME, KEY).hex() == "c74f20a3"
    assert checkpoint.open_note(NOTE, NAME, KEY) == TEXT


def test_the_key_id_of_the_go_checksum_database_is_the_published_one():
    raw = base64.b64decode("Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    assert raw[0] == 1
    assert checkpoint.key_id("sum.golang.org", PublicKey(raw[1:])).hex() == "033de0ae"


def test_an_altered_note_does_not_verify():
    with pytest.raises(IntegrityError, match="IN001"):
        checkpoint.open_note(NOTE.replace("answer", "Answer"), NAME, KEY)


def test_a_checkpoint_survives_signing_and_reading():
    key = SigningKey.generate()
    note = checkpoint.sign_checkpoint(POINT, key)
    assert note.startswith("cordon/site/a/b\n7\nBwcH")
    assert checkpoint.open_checkpoint(note, POINT.origin, key.public) == POINT


def test_signatures_of_others_are_ignored():
    key, witness = SigningKey.generate(), SigningKey.generate()
    note = checkpoint.sign_checkpoint(POINT, key)
    other = checkpoint.sign_note(POINT.text, "witness", witness).rpartition("\n\n")[2]
    assert checkpoint.open_checkpoint(note + other, POINT.origin, key.public) == POINT
    cosigned = f"{POINT.text}\n{other}{note.rpartition(chr(10) * 2)[2]}"
    assert checkpoint.open_checkpoint(cosigned, POINT.origin, key.public) == POINT


def test_another_key_or_origin_is_refused():
    key = SigningKey.generate()
    note = checkpoint.sign_checkpoint(POINT, key)
    with pytest.raises(IntegrityError, match="IN001"):
        checkpoint.open_checkpoint(note, POINT.origin, SigningKey.generate().public)
    with pytest.raises(IntegrityError, match="IN001"):
        checkpoint.open_checkpoint(note, "cordon/site/a/c", key.public)


@pytest.mark.parametrize(
    "text",
    [
        "cordon/site/a/b\n07\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
        "cordon/site/a/b\n-1\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
        "cordon/site/a/b\n7\nBwcH\n",
        "cordon/site/a/b\n7\nno base64\n",
        "cordon/site/a/c\n7\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
        "cordon/site/a/b\n7\n",
    ],
)
def test_a_malformed_checkpoint_is_refused_even_when_signed(text):
    key = SigningKey.generate()
    note = checkpoint.sign_note(text, POINT.origin, key)
    with pytest.raises(IntegrityError, match="IN105"):
        checkpoint.open_checkpoint(note, POINT.origin, key.public)


@pytest.mark.parametrize("note", ["", "text\n", "text\n\nno mark\n", "text\n\n— name\n", NOTE[:-1]])
def test_a_malformed_note_is_refused(note):
    with pytest.raises(IntegrityError, match="IN105"):
        checkpoint.open_note(note, NAME, KEY)
