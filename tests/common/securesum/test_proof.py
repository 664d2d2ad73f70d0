"""The proof note names code that exists, and its constants are the code's."""

import importlib
import re
from pathlib import Path

import pytest

from cordon_common.privacy.sensitivity import SUM_REACH, sum_log_ratio
from cordon_common.securesum import masks

PROOF = Path(masks.__file__).with_name("PROOF.md").read_text(encoding="utf-8")
BESIDE = re.findall(r"`([a-z_]+)\.([A-Za-z_.]+)`", PROOF)
ELSEWHERE = re.findall(r"`(cordon_[a-z_.]+):([A-Za-z_.]+)`", PROOF)
ANCHORS = sorted({(f"cordon_common.securesum.{m}", name) for m, name in BESIDE} | set(ELSEWHERE))


@pytest.mark.parametrize(("module", "path"), ANCHORS)
def test_every_anchor_exists(module, path):
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    assert found.__doc__


def test_the_notes_constants_are_the_codes():
    assert len(ANCHORS) >= 18
    assert SUM_REACH == 12
    at_scale = 2 * 100 * sum_log_ratio(share_std=2.0**24, shares=9, dimension=10**6)
    assert at_scale == pytest.approx(4e-5, rel=0.1)
