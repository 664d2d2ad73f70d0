"""The one byte form: RFC 8785's own examples, and what it refuses."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.canonical import canonical_bytes, digest, digest_of, parse_json
from cordon_common.errors import ProtocolError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_the_example_of_rfc_8785_section_3_2_3_sorts_by_utf_16_units():
    value = {
        "€": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "😀": "Emoji: Grinning Face",
        "\x80": "Control",
        "ö": "Latin Small Letter O With Diaeresis",
    }
    keys = list(json.loads(canonical_bytes(value)))
    assert keys == ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (333333333.33333329, b"333333333.3333333"),
        (1e30, b"1e+30"),
        (4.50, b"4.5"),
        (2e-3, b"0.002"),
        (0.000000000000000000000000001, b"1e-27"),
        (-0.0, b"0"),
        (1e21, b"1e+21"),
    ],
)
def test_numbers_are_written_as_rfc_8785_appendix_b_says(number, text):
    assert canonical_bytes(number) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, object(), {1: 2}])
def test_values_without_a_canonical_form_are_refused(value):
    with pytest.raises(ProtocolError) as caught:
        canonical_bytes(value)
    assert caught.value.code == "PR010"


@pytest.mark.parametrize(
    "data",
    [b"{", b'{"a":1,"a":2}', b"NaN", b"[Infinity]", b"1e999", b"1" * 400, b"\xff", b"[" * 9999],
)
def test_bytes_that_are_not_strict_json_are_refused(data):
    with pytest.raises(ProtocolError) as caught:
        parse_json(data)
    assert caught.value.code == "PR011"


@given(VALUES)
def test_reading_and_writing_again_gives_the_same_bytes(value):
    data = canonical_bytes(value)
    assert canonical_bytes(parse_json(data)) == data
    assert digest_of(value) == digest(data)


@given(st.dictionaries(st.text(), st.integers(0, 9), min_size=2))
def test_the_order_of_keys_does_not_matter(value):
    turned = dict(reversed(value.items()))
    assert canonical_bytes(turned) == canonical_bytes(value)


def test_a_large_double_survives_although_it_is_written_like_an_integer():
    data = canonical_bytes({"x": 1e17})
    assert data == b'{"x":100000000000000000}'
    assert canonical_bytes(parse_json(data)) == data


def test_the_digest_is_sha_256_of_fips_180_4():
    assert digest(b"abc") == (
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
