"""Cosignatures: the published formats, and what exactly is signed."""

import base64

import pytest
from pair import START, Pair

from cordon_common.errors import IntegrityError
from cordon_common.ledger.checkpoint import (
    Checkpoint,
    cosignature_time,
    cosigner_name,
    key_id,
    open_checkpoint,
    open_cosignature,
)
from cordon_common.ledger.coordinator import coordinator_origin
from cordon_common.signing import PublicKey, SigningKey


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


def test_the_cosignature_key_id_is_the_published_one():
    """The key of a public witness, as the tests of transparency.dev's note library give it."""
    raw = base64.b64decode("BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")
    assert raw[0] == 4
    assert key_id("remora.n621.de", PublicKey(raw[1:]), b"\x04").hex() == "da77ade7"


@pytest.mark.parametrize(
    ("line", "name", "time_s"),
    [
        (
            "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJ"
            "sX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n",
            "witness.example.com/w1",
            1679315147,
        ),
        (
            "— TEST ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWW"
            "OworDcFiEBYJXORmnFBOBA==\n",
            "TEST",
            1727964367,
        ),
    ],
)
def test_the_time_of_published_cosignatures_is_read(line, name, time_s):
    """The example of the C2SP tlog-cosignature page, and one of transparency.dev's test vectors."""
    assert cosignature_time(line) == time_s
    point = Checkpoint("example.com/behind-the-sofa", 20852163, bytes(32))
    with pytest.raises(IntegrityError, match="IN001"):
        open_cosignature(line, point, name, SigningKey.generate().public)


def test_a_cosignature_is_over_the_time_and_the_whole_checkpoint(pair):
    """The message of the specification, signed by hand a second time."""
    offer = pair.offer()
    line = pair.see(offer)
    text = offer.checkpoint.rpartition("\n\n")[0] + "\n"
    signed = base64.b64decode(line.rstrip("\n").split(" ")[2])
    time_s = int.from_bytes(signed[4:12])
    message = f"cosignature/v1\ntime {time_s}\n{text}".encode()
    assert signed[12:] == pair.site_key.sign(message)
    assert START.timestamp() <= time_s < START.timestamp() + 60
    point = open_checkpoint(
        offer.checkpoint, coordinator_origin("consortium"), pair.coordinator.public
    )
    name = cosigner_name("north")
    assert open_cosignature(line, point, name, pair.site_key.public) == time_s
    for other in (
        Checkpoint(point.origin, point.size + 1, point.root),
        Checkpoint(point.origin, point.size, bytes(32)),
        Checkpoint("cordon/coordinator/other", point.size, point.root),
    ):
        with pytest.raises(IntegrityError, match="IN001"):
            open_cosignature(line, other, name, pair.site_key.public)
    with pytest.raises(IntegrityError, match="IN001"):
        open_cosignature(line, point, cosigner_name("south"), pair.site_key.public)
