"""Structural alleles of VCF 4.4: what INFO must say about them (section 1.6.1 and section 3)."""

from __future__ import annotations

_NEED_LENGTH = {b"DEL", b"INS", b"DUP", b"INV", b"CNV"}
_CLAIMS = {
    b"DEL": {b"D", b"J", b"DJ"},
    b"DUP": {b"D", b"J", b"DJ"},
    b"CNV": {b"D", b"."},
    b"INS": {b"J", b"."},
    b"INV": {b"J", b"."},
}
"""D: abundance, J: adjacency; deletions and duplications must say which one was seen."""
_REPEAT_LISTS = (b"RUS", b"RUL", b"RUC", b"RB")


def structural_ok(alternatives: list[bytes], info: bytes) -> bool:
    """Whether lengths, claims and repeat units fit the symbolic alleles of a record."""
    values = {}
    for part in info.split(b";"):
        key, _, value = part.partition(b"=")
        values[key] = value.split(b",")
    kinds = [each[1:-1] if each.startswith(b"<") else b"" for each in alternatives]
    return all(
        _allele_ok(kind.split(b":")[0], _at(values, b"SVLEN", i), _at(values, b"SVCLAIM", i))
        for i, kind in enumerate(kinds)
        if kind
    ) and _repeats_ok(kinds, values)


def _at(values: dict[bytes, list[bytes]], key: bytes, index: int) -> bytes:
    found = values.get(key, [])
    return found[index] if index < len(found) else b"."


def _allele_ok(kind: bytes, length: bytes, claim: bytes) -> bool:
    if kind in _NEED_LENGTH and length == b".":
        return False
    allowed = _CLAIMS.get(kind)
    return allowed is None or claim in allowed


def _repeats_ok(kinds: list[bytes], values: dict[bytes, list[bytes]]) -> bool:
    """A tandem repeat names its unit (RUS) or the unit's length (RUL), once for each of RN."""
    repeats = [i for i, kind in enumerate(kinds) if kind == b"CNV:TR"]
    if not repeats:
        return True
    if b"RUS" not in values and b"RUL" not in values:
        return False
    counts = [_at(values, b"RN", i) if b"RN" in values else b"1" for i in repeats]
    if not all(count.isdigit() for count in counts):
        return True
    units = sum(map(int, counts))
    return all(len(values[key]) == units for key in _REPEAT_LISTS if key in values)
