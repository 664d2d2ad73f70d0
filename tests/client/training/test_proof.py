"""The proof note names code that exists, and its constants are the code's."""

import importlib
import re
from pathlib import Path

import pytest

from cordon_client.training import clipping, noise, noise_loops, strips
from cordon_common.privacy import sensitivity

PROOF = Path(noise.__file__).with_name("PROOF.md").read_text(encoding="utf-8")
BESIDE = re.findall(r"`([a-z_]+)\.([A-Za-z_.]+)`", PROOF)
ELSEWHERE = re.findall(r"`(cordon_[a-z_.]+):([A-Za-z_.]+)`", PROOF)
ANCHORS = sorted({(f"cordon_client.training.{m}", name) for m, name in BESIDE} | set(ELSEWHERE))


def test_the_note_has_anchors():
    assert len(ANCHORS) >= 15


@pytest.mark.parametrize(("module", "path"), ANCHORS)
def test_every_anchor_exists(module, path):
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    assert found.__doc__


def test_the_notes_constants_are_the_codes():
    assert clipping.CANCELLATION_LIMIT == 128
    assert clipping._ROUND_DOWN == 1 - 2.0**-48
    assert sensitivity.FLOAT_SLACK == 2.0**-11
    assert (noise_loops._MARGIN, noise_loops._UNSEEN) == (2.0**-40, 2.0**-46)
    assert 64 * (noise._MORE_WORDS + 1) == 320
    assert (strips.SLOT_BITS, strips.REACH) == (16, 18.5)
    widest = max(float(strips.strips_for(2.0**k).open.max()) for k in (0, 10, 27, 57))
    assert widest * 2.0**-64 <= 2.0**-48
    slack = clipping.float_slack(patients=2**20, records=2**20, rows=256)
    assert slack == pytest.approx(2.6e-4, rel=0.05)
