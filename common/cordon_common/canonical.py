"""The one byte form that is hashed, signed and compared (RFC 8785), and its digest."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import rfc8785

from cordon_common.errors import ProtocolError

_DOUBLE_LIMIT = 2**53

Json = Any
"""A JSON value: dict, list, str, int, float, bool or None."""


def canonical_bytes(value: Json) -> bytes:
    """Serialise a JSON value to its RFC 8785 canonical bytes.

    Guarantee: equal values give equal bytes on every platform. Source: RFC 8785.

    Raises:
        ProtocolError: PR010 for NaN, infinities, integers beyond 2^53 and non-JSON types.
    """
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise ProtocolError("PR010", "a value has no canonical JSON form", why=str(error)) from None


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes as `sha256:<64 hex digits>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: Json) -> str:
    """Return the digest of a JSON value's canonical bytes."""
    return digest(canonical_bytes(value))


def parse_json(data: bytes) -> Json:
    """Parse JSON bytes, refusing NaN, infinities and repeated keys.

    Raises:
        ProtocolError: PR011 when the bytes are not strict JSON.
    """
    try:
        return json.loads(
            data,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_double,
        )
    except (ValueError, RecursionError) as error:
        raise ProtocolError("PR011", "the bytes are not strict JSON", why=str(error)) from None


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return result


def _integer(text: str) -> int | float:
    """Read an integer; from 2^53 on it is a double, as every JSON number is for RFC 8785."""
    value = int(text)
    return value if abs(value) < _DOUBLE_LIMIT else _double(text)


def _double(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large for a double")
    return value


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not allowed")
