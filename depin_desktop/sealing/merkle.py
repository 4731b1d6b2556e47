"""The tree itself, in plain Python: shapes, padding and verification.

A leaf's hash is SHA-256 of its 256 bytes (the last leaf is filled up with zero bytes). Leaf hashes are padded with
32 zero bytes to the next power of two; a node is SHA-256(left ‖ right); the root over one leaf is that leaf's hash.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from itertools import pairwise

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


def layer_size(leaves: int) -> int:
    """Bytes of the cached layer: one hash for each 64 KiB, none for a piece that has at most one of them."""
    return 0 if leaves <= SPAN_LEAVES else HASH * -(-leaves // SPAN_LEAVES)


def split(opened: Sequence[int], level: int, index: int) -> tuple[Sequence[int], Sequence[int]]:
    """The opened leaves below node `index` at `level`, which are below it: its left child's and its right child's."""
    middle = bisect_left(opened, (2 * index + 1) << (level - 1))
    return opened[:middle], opened[middle:]


def verify_leaves(root: bytes, leaves: int, opened: Sequence[int], proof: bytes) -> bool:
    """Whether `proof` shows that the `opened` leaves, ascending and each once, belong to `root` over `leaves`.

    A proof is each leaf followed by the siblings on its way up, without those that follow from another opened leaf.
    """
    if not opened or opened[0] < 0 or opened[-1] >= leaves or any(a >= b for a, b in pairwise(opened)):
        return False
    cursor = 0

    def take(length: int) -> bytes:
        nonlocal cursor
        cursor += length
        return proof[cursor - length : cursor]

    def node(level: int, index: int, below: Sequence[int]) -> bytes:
        if level == 0:
            return sha256(take(LEAF)).digest()
        left, right = split(below, level, index)
        first = node(level - 1, 2 * index, left) if left else b""
        second = node(level - 1, 2 * index + 1, right) if right else take(HASH)
        return sha256((first or take(HASH)) + second).digest()

    return node(depth(leaves), 0, opened) == root and cursor == len(proof)
