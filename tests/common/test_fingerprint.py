"""Fingerprints as words: the same bits, and words that nobody mistakes for one another."""

import hashlib
from importlib.resources import files

from hypothesis import given
from hypothesis import strategies as st

from cordon_common.fingerprint import fingerprint, spoken
from cordon_common.signing import SigningKey

WORDS = files("cordon_common").joinpath("fingerprint_words.txt").read_text().split()


def test_the_list_has_a_different_word_for_every_byte():
    assert len(set(WORDS)) == 256
    assert sorted(WORDS) == WORDS
    assert all(word.isalpha() and word.islower() and 4 <= len(word) <= 8 for word in WORDS)


def test_the_first_four_letters_tell_the_words_apart():
    assert len({word[:4] for word in WORDS}) == 256


@given(st.binary(min_size=32, max_size=32))
def test_the_words_say_the_same_bits_as_the_digits(key):
    said = spoken(key).replace(",", "").split()
    assert bytes(WORDS.index(word) for word in said).hex() == fingerprint(key)
    assert fingerprint(key) == hashlib.sha256(key).hexdigest()[:16]


def test_a_key_says_its_words():
    key = SigningKey.generate().public
    assert key.words == spoken(key.raw)
    assert len(key.words.replace(",", "").split()) == 8
