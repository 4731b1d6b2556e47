"""The tree itself, in plain Python: shapes, padding and verification.

A leaf's hash is SHA-256 of its 256 bytes (the last leaf is filled up with zero bytes). Leaf hashes are padded with
32 zero bytes to the next power of two; a node is SHA-256(left ‖ right); the root over one leaf is that leaf's hash.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256

LEAF = 256
"""Bytes in a leaf."""

HASH = 32
"""Bytes in a hash."""

SPAN_LEVELS = 8
SPAN_LEAVES = 1 << SPAN_LEVELS
SPAN = SPAN_LEAVES * LEAF
"""Bytes under one node of the cached layer (64 KiB): what one challenge has to read of a piece."""


def leaf_count(size: int) -> int:
    """Leaves in a piece of `size` bytes."""
    return -(-size // LEAF)


def depth(leaves: int) -> int:
    """Levels of nodes above the leaves of a tree, which is also how many siblings a path has.

    Raises:
        ValueError: a tree has at least one leaf.
    """
    if leaves < 1:
        raise ValueError("a tree has at least one leaf")
    return (leaves - 1).bit_length()


@cache
def empty_node(level: int) -> bytes:
    """The node at `level` above nothing but padding; level 0 is the padding itself."""
    if level == 0:
        return bytes(HASH)
    below = empty_node(level - 1)
    return sha256(below + below).digest()


def proof_size(leaves: int) -> int:
    """Bytes of one leaf's proof: the leaf, then its siblings from the leaf upwards."""
    return LEAF + HASH * depth(leaves)


def layer_size(leaves: int) -> int:
    """Bytes of the cached layer: one hash for each 64 KiB, none for a piece that has at most one of them."""
    return 0 if leaves <= SPAN_LEAVES else HASH * -(-leaves // SPAN_LEAVES)


def verify_leaf(root: bytes, leaves: int, index: int, proof: bytes) -> bool:
    """Whether `proof` (leaf ‖ siblings upwards) shows that leaf `index` of `leaves` belongs to `root`."""
    if not 0 <= index < leaves or len(proof) != proof_size(leaves):
        return False
    node = sha256(proof[:LEAF]).digest()
    for offset in range(LEAF, len(proof), HASH):
        sibling = proof[offset : offset + HASH]
        node = sha256(sibling + node if index & 1 else node + sibling).digest()
        index >>= 1
    return node == root
