"""Phase sets of VCF 4.4: a list of one for each allele (section 1.6.2, PSL)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MISSING = b"."
_INDICATOR = re.compile(rb"[/|]")


def phased(genotype: bytes) -> list[bool]:
    """Say for each allele of GT whether it is phased; an omitted first indicator is implied."""
    marks = _INDICATOR.findall(genotype)
    if not genotype.startswith((b"/", b"|")):
        marks.insert(0, b"/" if b"/" in marks else b"|")
    return [mark == b"|" for mark in marks]


def phase_sets_ok(sample: Mapping[str, bytes]) -> bool:
    """Whether unphased alleles have no phase set, and PS and PSL are not both given."""
    sets = sample.get("PSL", _MISSING)
    if sets == _MISSING or "GT" not in sample:
        return True
    if sample.get("PS", _MISSING) != _MISSING:
        return False
    pairs = zip(phased(sample["GT"]), sets.split(b","), strict=False)
    return all(name == _MISSING or is_phased for is_phased, name in pairs)
