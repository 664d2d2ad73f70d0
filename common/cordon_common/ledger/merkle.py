"""The Merkle tree of RFC 9162 (§2.1): roots, inclusion proofs, consistency proofs.

Hashes are 32-byte SHA-256 values. Leaves and inner nodes are hashed under different prefixes, so
that no inner node can pass as an entry.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Subtree = Callable[[int, int], bytes]

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 ‖ entry). Source: RFC 9162 §2.1.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 ‖ left ‖ right). Source: RFC 9162 §2.1.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class Frontier:
    """The right edge of a growing tree: append in O(log n) time with O(log n) hashes kept.

    `peaks` are the roots of the complete subtrees, largest first; their sizes are the binary
    digits of `size`.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        carry, ones = leaf, self.size
        while ones & 1:
            carry = node_hash(self.peaks.pop(), carry)
            ones >>= 1
        self.peaks.append(carry)
        self.size += 1

    def root(self) -> bytes:
        """Return the tree's root; SHA-256 of nothing for the empty tree."""
        if not self.peaks:
            return EMPTY_ROOT
        result = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            result = node_hash(peak, result)
        return result

    def copy(self) -> Frontier:
        """Return an independent copy, to try an append on."""
        return Frontier(self.size, list(self.peaks))


@dataclass
class HashTree:
    """A growing tree that keeps its complete subtrees: any proof takes O(log² n) hashes.

    Holds 64 bytes a leaf; `_levels[k]` are the roots of the complete subtrees of 2^k leaves.
    """

    _levels: list[list[bytes]] = field(default_factory=lambda: [[]])

    @property
    def size(self) -> int:
        """The number of leaves."""
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        node, height = leaf, 0
        self._levels[0].append(node)
        while len(self._levels[height]) % 2 == 0:
            node = node_hash(self._levels[height][-2], node)
            height += 1
            if height == len(self._levels):
                self._levels.append([])
            self._levels[height].append(node)

    def root(self, size: int) -> bytes:
        """Return the root that the tree had with `size` leaves."""
        return self._subtree(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return what `inclusion_proof` gives for the first `size` leaves."""
        return _inclusion(index, size, self._subtree)

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """Return what `consistency_proof` gives for the first `size` leaves."""
        return _consistency(old_size, size, self._subtree)

    def _subtree(self, start: int, stop: int) -> bytes:
        count = stop - start
        if count & (count - 1) == 0:  # `start` is a multiple of it in every proof
            height = count.bit_length() - 1
            return self._levels[height][start >> height]
        middle = start + _split(count)
        return node_hash(self._subtree(start, middle), self._subtree(middle, stop))


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes. Source: RFC 9162 §2.1.1."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree. Source: RFC 9162 §2.1.3.1.

    Raises:
        ValueError: when the tree has no such leaf.
    """
    return _inclusion(index, len(leaves), lambda start, stop: root(leaves[start:stop]))


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], tree_root: bytes
) -> bool:
    """Tell whether a proof shows that `leaf` is entry `index` of the tree (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and result == tree_root


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the tree only grew since `old_size`. Source: RFC 9162 §2.1.4.1.

    Raises:
        ValueError: when the tree was never of that size.
    """
    return _consistency(old_size, len(leaves), lambda start, stop: root(leaves[start:stop]))


def verify_consistency(
    old_size: int, size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether a proof shows that the new tree extends the old one (RFC 9162 §2.1.4.2)."""
    if old_size == size:
        return not proof and old_root == new_root
    if not 0 < old_size < size or not proof:
        return False
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    position, last = old_size - 1, size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    return _climb(path, position, last, old_root, new_root)


def _inclusion(index: int, size: int, subtree: Subtree) -> list[bytes]:
    if not 0 <= index < size:
        raise ValueError("the tree has no such leaf")
    proof: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            proof.append(subtree(middle, stop))
            stop = middle
        else:
            proof.append(subtree(start, middle))
            start = middle
    return proof[::-1]


def _consistency(old_size: int, size: int, subtree: Subtree) -> list[bytes]:
    if not 0 < old_size <= size:
        raise ValueError("the tree never had that size")
    proof: list[bytes] = []
    start, stop, complete = 0, size, True
    while old_size != stop:
        middle = start + _split(stop - start)
        if old_size <= middle:
            proof.append(subtree(middle, stop))
            stop = middle
        else:
            proof.append(subtree(start, middle))
            start, complete = middle, False
    if not complete:
        proof.append(subtree(start, stop))
    return proof[::-1]


def _climb(path: list[bytes], position: int, last: int, old_root: bytes, new_root: bytes) -> bool:
    """Rebuild both roots along a consistency path."""
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == new_root


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
