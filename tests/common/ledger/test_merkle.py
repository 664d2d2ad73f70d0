"""The tree against published vectors, and against the definition written out a second time."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.ledger import merkle

# Test vectors of the Certificate Transparency reference implementation (merkletree tests).
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"

leaf_lists = st.lists(st.binary(max_size=4), min_size=1, max_size=40).map(
    lambda entries: [merkle.leaf_hash(entry) for entry in entries]
)


def leaves(count):
    return [merkle.leaf_hash(entry) for entry in INPUTS[:count]]


def hexes(proof):
    return [part.hex() for part in proof]


def mth(entries):
    """RFC 9162 §2.1.1, word by word: the hash of a list of leaf hashes."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return entries[0]
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m, entries):
    """RFC 9162 §2.1.3.1, word by word."""
    if len(entries) == 1:
        return []
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m, entries, complete):
    """RFC 9162 §2.1.4.1, word by word."""
    n = len(entries)
    if m == n:
        return [] if complete else [mth(entries)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*subproof(m, entries[:k], complete), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_equal_the_published_vectors(size):
    assert merkle.root(leaves(size)).hex() == ROOTS[size - 1]


def test_the_empty_tree_hashes_nothing():
    assert merkle.root([]) == hashlib.sha256(b"").digest() == merkle.EMPTY_ROOT


@pytest.mark.parametrize(
    ("size", "index", "expected"),
    [
        (1, 0, []),
        (8, 0, [A, B, C]),
        (8, 5, [D, E, ROOTS[3]]),
        (3, 2, [ROOTS[1]]),
        (5, 1, [ROOTS[0], B, D]),
    ],
)
def test_inclusion_proofs_equal_the_published_vectors(size, index, expected):
    assert hexes(merkle.inclusion_proof(leaves(size), index)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1, 1, []),
        (1, 8, [A, B, C]),
        (6, 8, [F, E, ROOTS[3]]),
        (2, 5, [B, D]),
    ],
)
def test_consistency_proofs_equal_the_published_vectors(old, new, expected):
    assert hexes(merkle.consistency_proof(leaves(new), old)) == expected


@given(leaf_lists)
def test_the_frontier_gives_the_root_of_the_definition_at_every_size(hashes):
    frontier = merkle.Frontier()
    for size, leaf in enumerate(hashes, start=1):
        frontier.append(leaf)
        assert frontier.size == size
        assert len(frontier.peaks) == size.bit_count()
        assert frontier.root() == mth(hashes[:size])


@given(leaf_lists, st.data())
def test_every_leaf_is_provably_included_and_no_other_is(hashes, data):
    index = data.draw(st.integers(0, len(hashes) - 1))
    root, proof = merkle.root(hashes), merkle.inclusion_proof(hashes, index)
    assert proof == path(index, hashes)
    assert merkle.verify_inclusion(hashes[index], index, len(hashes), proof, root)
    wrong = merkle.leaf_hash(b"something else entirely")
    assert not merkle.verify_inclusion(wrong, index, len(hashes), proof, root)
    assert not merkle.verify_inclusion(hashes[index], len(hashes), len(hashes), proof, root)
    assert not merkle.verify_inclusion(hashes[index], index, len(hashes), [*proof, wrong], root)
    if proof:
        assert not merkle.verify_inclusion(hashes[index], index, len(hashes), proof[:-1], root)


@given(leaf_lists, st.data())
def test_every_older_tree_is_provably_a_beginning_of_the_newer(hashes, data):
    size = len(hashes)
    old = data.draw(st.integers(1, size))
    old_root, root = merkle.root(hashes[:old]), merkle.root(hashes)
    proof = merkle.consistency_proof(hashes, old)
    assert proof == subproof(old, hashes, True)
    assert merkle.verify_consistency(old, size, old_root, root, proof)
    other = merkle.leaf_hash(b"another history")
    assert not merkle.verify_consistency(old, size, other, root, proof)
    assert not merkle.verify_consistency(old, size, old_root, other, proof)
    assert not merkle.verify_consistency(old, size, old_root, root, [*proof, other])


def test_a_fork_has_no_consistency_proof():
    trunk, fork = leaves(6), [*leaves(5), merkle.leaf_hash(b"forked")]
    proof = merkle.consistency_proof([*fork, *leaves(2)], 6)
    new_root = merkle.root([*fork, *leaves(2)])
    assert merkle.verify_consistency(6, 8, merkle.root(fork), new_root, proof)
    assert not merkle.verify_consistency(6, 8, merkle.root(trunk), new_root, proof)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_leaf_outside_the_tree_has_no_proof(index):
    with pytest.raises(ValueError, match="no such leaf"):
        merkle.inclusion_proof(leaves(3), index)


@pytest.mark.parametrize("old", [0, 4])
def test_a_size_the_tree_never_had_has_no_proof(old):
    with pytest.raises(ValueError, match="never had"):
        merkle.consistency_proof(leaves(3), old)
    assert not merkle.verify_consistency(old, 3, b"", merkle.root(leaves(3)), [b"\x00" * 32])


@given(st.integers(1, 70), st.data())
def test_the_kept_tree_gives_the_proofs_of_the_definition(count, data):
    leaves = [merkle.leaf_hash(b"%d" % number) for number in range(count)]
    tree = merkle.HashTree()
    for leaf in leaves:
        tree.append(leaf)
    size = data.draw(st.integers(1, count))
    old, index = data.draw(st.integers(1, size)), data.draw(st.integers(0, size - 1))
    assert tree.size == count
    assert tree.root(size) == merkle.root(leaves[:size])
    assert tree.inclusion(index, size) == merkle.inclusion_proof(leaves[:size], index)
    assert tree.consistency(old, size) == merkle.consistency_proof(leaves[:size], old)
