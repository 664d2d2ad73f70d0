"""Patterns of INFO and sample values, compiled from a key's number and type, once per shape."""

from __future__ import annotations

import re
from functools import lru_cache
from math import comb
from typing import TYPE_CHECKING

from cordon_client.qc.vcf.spec import INTEGER_DIGITS, NOT_NEGATIVE, is_whole

if TYPE_CHECKING:
    from cordon_client.qc.vcf.spec import FieldType

_INTEGER = rf"-?[0-9]{{1,{INTEGER_DIGITS}}}"
_NATURAL = rf"\+?[0-9]{{1,{INTEGER_DIGITS}}}"
_EXPONENT = r"(?:[eE][-+]?[0-9]+)?"
_SPECIAL = r"[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN]"
_FLOAT = rf"[-+]?(?:[0-9]+\.?[0-9]*{_EXPONENT}|\.[0-9]+{_EXPONENT}|{_SPECIAL})"
_POSITIVE = rf"\+?(?:[0-9]+\.?[0-9]*{_EXPONENT}|\.[0-9]+{_EXPONENT}|{_SPECIAL})"
_CIGAR = r"(?:[0-9]*[MIDNSHPX=])+"
_MANY = 10_000

QUAL = re.compile(rf"\.|{_POSITIVE}".encode())


def _one(key: str, kind: str, inside: str) -> str:
    """Pattern of one value; inside: characters that end a value where it stands."""
    free = key in NOT_NEGATIVE
    if kind == "Integer":
        return _NATURAL if free else _INTEGER
    if kind == "Float":
        return _POSITIVE if free else _FLOAT
    if kind == "Character":
        return rf"[^\s,{inside}]"
    return _CIGAR if key == "CIGAR" else rf"[^\s,{inside}]+"


def expected(number: str, alternatives: int, ploidy: int) -> int | None:
    """How many values; None where any number is allowed.

    ploidy: chromosome copies of the sample. Number G means one value for each genotype:
    choose(alleles + ploidy - 1, ploidy).
    """
    if is_whole(number):
        return int(number)
    if number in {"A", "R"}:
        return alternatives + (number == "R")
    if number == "G":
        return comb(alternatives + ploidy, ploidy)
    return ploidy if number == "P" else None


def _list(one: str, count: int | None) -> str:
    value = rf"(?:{one}|\.)"
    if count is None or count > _MANY:
        return rf"{value}(?:,{value})*+"
    if count <= 0:
        return r"\."
    return rf"(?:{value}(?:,{value}){{{count - 1}}}+|\.)"


@lru_cache(maxsize=4096)
def info_pattern(key: str, field: FieldType, alternatives: int) -> re.Pattern[bytes]:
    """Pattern of the text behind `key=`."""
    if field.type == "Flag" or field.number == "0":
        return re.compile(rb"[01]")
    # A genotype has no ploidy in INFO, so Number=G allows any number of values there.
    count = None if field.number == "G" else expected(field.number, alternatives, 2)
    return re.compile(_list(_one(key, field.type, ";="), count).encode())


@lru_cache(maxsize=4096)
def genotype_pattern(alternatives: int, *, prefix: bool) -> re.Pattern[bytes]:
    """Pattern of GT: allele numbers up to the number of ALT alleles."""
    return re.compile(_genotype(alternatives, prefix=prefix).encode())


def _genotype(alternatives: int, *, prefix: bool) -> str:
    numbers = "|".join(str(number) for number in range(alternatives, -1, -1))
    allele = rf"(?:{numbers}|\.)"
    return rf"{'[/|]?' if prefix else ''}{allele}(?:[/|]{allele})*+"


@lru_cache(maxsize=4096)
def sample_pattern(key: str, field: FieldType, alternatives: int, ploidy: int) -> re.Pattern[bytes]:
    """Pattern of one sample's value of a key."""
    return re.compile(_sample(key, field, alternatives, ploidy).encode())


def _sample(key: str, field: FieldType, alternatives: int, ploidy: int) -> str:
    return _list(_one(key, field.type, ":"), expected(field.number, alternatives, ploidy))


@lru_cache(maxsize=1024)
def diploid_samples(
    keys: tuple[tuple[str, FieldType], ...], alternatives: int, samples: int
) -> re.Pattern[bytes]:
    """Pattern of all samples of a record at once, for diploid genotypes of one digit.

    What it does not match is not wrong yet: the exact check decides.
    """
    digits = "".join(str(number) for number in range(alternatives + 1))
    parts = [
        rf"[{digits}.][/|][{digits}.]" if key == "GT" else _sample(key, field, alternatives, 2)
        for key, field in keys
    ]
    cell = parts[-1]
    for part in reversed(parts[:-1]):
        cell = rf"{part}(?::{cell})?+"
    # The innermost field stands alone; every other one may be followed by the rest, or by nothing.
    return re.compile(rf"{cell}(?:\t{cell}){{{samples - 1}}}+".encode())
