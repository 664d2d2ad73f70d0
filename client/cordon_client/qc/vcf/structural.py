"""Structural alleles of VCF 4.4: what a record must say about them (sections 1.6.1, 3 and 4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cordon_client.qc.vcf.spec import INTEGER_DIGITS, is_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Values = Mapping[bytes, list[bytes]]

_NEED_LENGTH = {b"DEL", b"INS", b"DUP", b"INV", b"CNV"}
_CLAIMS = {
    b"DEL": {b"D", b"J", b"DJ"},
    b"DUP": {b"D", b"J", b"DJ"},
    b"CNV": {b"D", b"."},
    b"INS": {b"J", b"DJ", b"."},
    b"INV": {b"J", b"DJ", b"."},
}
"""D: abundance, J: adjacency; deletions and duplications must say which one was seen."""
_COPIES = {b"CNV", b"DEL", b"DUP"}
_REPEAT_LISTS = (b"RUS", b"RUL", b"RUC", b"RB")
_REPEAT_INTERVALS = (b"CIRUC", b"CIRB")
_AROUND_ZERO = (b"CIPOS", b"CIEND", *_REPEAT_INTERVALS)
_UNIT = re.compile(rb"[ACGTURYSWKMBDHVNacgturyswkmbdhvn]+")
_WHOLE = re.compile(rb"([0-9]{1,%d})(?:\.0*)?" % INTEGER_DIGITS)
_MISSING = b"."


def structural_ok(alternatives: Sequence[bytes], rest: Sequence[bytes]) -> bool:
    """Whether lengths, claims, intervals and repeats fit the symbolic alleles of a record.

    rest: the INFO column, and FORMAT where the file has it.
    """
    values = {}
    for part in rest[0].split(b";"):
        key, _, value = part.partition(b"=")
        values[key] = value.split(b",")
    kinds = [each[1:-1] if each.startswith(b"<") else b"" for each in alternatives]
    firsts = [kind.split(b":")[0] for kind in kinds]
    lengths = [_at(values, b"SVLEN", i) for i in range(len(kinds))]
    return (
        all(
            _allele_ok(first, lengths[i], _at(values, b"SVCLAIM", i))
            for i, first in enumerate(firsts)
            if first
        )
        and all(_spans_zero(values[key]) for key in _AROUND_ZERO if key in values)
        and _one_region(firsts, lengths, rest[1:])
        and _repeats_ok(kinds, values)
    )


def _at(values: Values, key: bytes, index: int) -> bytes:
    found = values.get(key, [])
    return found[index] if index < len(found) else _MISSING


def _allele_ok(kind: bytes, length: bytes, claim: bytes) -> bool:
    if kind in _NEED_LENGTH and length == _MISSING:
        return False
    allowed = _CLAIMS.get(kind)
    return allowed is None or claim in allowed


def _spans_zero(bounds: list[bytes]) -> bool:
    """Whether lower bounds are at most 0 and upper ones at least 0; what is no number is no bound."""
    lower, upper = map(_numbers, (bounds[::2], bounds[1::2]))
    return all(bound <= 0 for bound in lower) and all(bound >= 0 for bound in upper)


def _numbers(values: list[bytes]) -> list[float]:
    found = []
    for value in values:
        try:
            found.append(float(value))
        except ValueError:
            continue
    return found


def _one_region(firsts: list[bytes], lengths: list[bytes], format_column: Sequence[bytes]) -> bool:
    """A sample's copy number (FORMAT CN) is that of one region: its alleles have one length."""
    if not format_column or b"CN" not in format_column[0].split(b":"):
        return True
    return len({n for first, n in zip(firsts, lengths, strict=True) if first in _COPIES}) <= 1


def _repeats_ok(kinds: list[bytes], values: Values) -> bool:
    """A tandem repeat names its unit (RUS) or the unit's length (RUL), once for each of RN."""
    repeats = [i for i, kind in enumerate(kinds) if kind == b"CNV:TR"]
    if not repeats:
        return True
    if b"RUS" not in values and b"RUL" not in values:
        return False
    counts = [_at(values, b"RN", i) if b"RN" in values else b"1" for i in repeats]
    if not all(is_whole(count) or count == _MISSING for count in counts):
        return True
    units = sum(int(count) for count in counts if count != _MISSING)
    return (
        all(len(values[key]) == units for key in _REPEAT_LISTS if key in values)
        and all(len(values[key]) == 2 * units for key in _REPEAT_INTERVALS if key in values)
        and _units_ok(values)
        and _unit_lengths_ok(values)
    )


def _units_ok(values: Values) -> bool:
    """Units are bases, as many as their lengths say."""
    names = values.get(b"RUS", [])
    if not all(name == _MISSING or _UNIT.fullmatch(name) for name in names):
        return False
    pairs = zip(names, values.get(b"RUL", []), strict=False)
    return all(
        name == _MISSING or not is_whole(length) or len(name) == int(length)
        for name, length in pairs
    )


def _unit_lengths_ok(values: Values) -> bool:
    """Lengths of single units (RUB) come with whole numbers of units, one length for each."""
    if b"RUB" not in values or values[b"RUB"] == [_MISSING]:
        return True
    counts = [_WHOLE.fullmatch(count) for count in values.get(b"RUC", [])]
    whole = [int(count[1]) for count in counts if count]
    return 0 < len(whole) == len(counts) and len(values[b"RUB"]) == sum(whole)
