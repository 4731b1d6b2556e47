"""Sealing a piece, whole or as it streams by, and opening single leaves of it later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from depin_desktop.sealing.hashing import Hasher, best_hasher
from depin_desktop.sealing.merkle import (
    HASH,
    LEAF,
    SPAN,
    SPAN_LEAVES,
    SPAN_LEVELS,
    depth,
    empty_node,
    leaf_count,
    split,
)

Buffer = bytes | bytearray | memoryview
Read = Callable[[int, int], bytes]
"""read(offset, length) gives the piece's bytes there, fewer only at its end."""


@dataclass(frozen=True)
class Seal:
    """What identifies a piece on chain, and the layer that makes proving it cheap.

    Attributes:
        root: 32 bytes.
        leaf_count: leaves of 256 bytes.
        layer: the tree's nodes above every 64 KiB, 32 bytes each, unpadded; empty when the piece has at most one.
    """

    root: bytes
    leaf_count: int
    layer: bytes = field(default=b"", repr=False, compare=False)


class Sealer:
    """Seals a piece as its bytes come by, in chunks of any size; hashing runs without the GIL."""

    def __init__(self, hasher: Hasher | None = None) -> None:
        self._hasher = hasher or best_hasher()
        self._rest = bytearray()
        self._layer = bytearray()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes seen so far."""
        return self._size

    def update(self, chunk: Buffer) -> None:
        """Takes the next bytes of the piece."""
        view = memoryview(chunk).cast("B")
        self._size += len(view)
        if self._rest:
            missing = SPAN - len(self._rest)
            self._rest += view[:missing]
            view = view[missing:]
            if len(self._rest) < SPAN:
                return
            self._layer += self._hasher.spans(memoryview(self._rest))
            self._rest = bytearray()
        whole = len(view) // SPAN * SPAN
        if whole:
            self._layer += self._hasher.spans(view[:whole])
        self._rest += view[whole:]

    def finish(self) -> Seal:
        """The seal of everything taken.

        Raises:
            ValueError: there was nothing; an empty piece cannot be challenged.
        """
        leaves = leaf_count(self._size)
        height = depth(leaves)
        if leaves <= SPAN_LEAVES:
            whole_span = bytes(self._layer)
            return Seal(whole_span or _root(self._hasher, _leaf_hashes(self._hasher, self._rest), 0, height), leaves)
        layer = bytes(self._layer)
        if self._rest:
            layer += _root(self._hasher, _leaf_hashes(self._hasher, self._rest), 0, SPAN_LEVELS)
        return Seal(_root(self._hasher, layer, SPAN_LEVELS, height), leaves, layer)


def seal(data: Buffer) -> Seal:
    """Seals a whole piece that is in memory.

    Raises:
        ValueError: `data` is empty.
    """
    sealer = Sealer()
    sealer.update(data)
    return sealer.finish()


def prove_leaves(read: Read, leaves: int, opened: Sequence[int], layer: bytes = b"") -> bytes:
    """The proof of some leaves of a piece, ascending and each once, as `verify_leaves` describes it.

    Reads 64 KiB of the piece for each when `layer` is the one its seal came with, and all of it otherwise. What is
    returned follows from the bytes that are there: check it with `verify_leaves` before relying on it.

    Raises:
        IndexError: there is no such leaf, or they do not ascend.
    """
    if not opened or opened[0] < 0 or opened[-1] >= leaves or any(a >= b for a, b in pairwise(opened)):
        raise IndexError(f"leaves {list(opened)} of {leaves}")
    hasher, height = best_hasher(), depth(leaves)
    spans: dict[int, tuple[bytes, list[bytes]]] = {}
    for span in {index // SPAN_LEAVES for index in opened}:
        data = read(span * SPAN, SPAN)
        spans[span] = data, _rows(hasher, _leaf_hashes(hasher, data), 0, min(height, SPAN_LEVELS))
    upper = _rows(hasher, layer or read_layer(read, leaves), SPAN_LEVELS, height) if height > SPAN_LEVELS else []

    def node(level: int, index: int) -> bytes:
        if level >= SPAN_LEVELS:
            row = upper[level - SPAN_LEVELS]
        else:
            span, index = divmod(index, 1 << (SPAN_LEVELS - level))
            row = spans[span][1][level]
        return row[index * HASH : (index + 1) * HASH] or empty_node(level)

    def shown(level: int, index: int, below: Sequence[int]) -> bytes:
        if level == 0:
            span, within = divmod(index, SPAN_LEAVES)
            return spans[span][0][within * LEAF : (within + 1) * LEAF].ljust(LEAF, b"\0")
        left, right = split(below, level, index)
        first = shown(level - 1, 2 * index, left) if left else b""
        second = shown(level - 1, 2 * index + 1, right) if right else node(level - 1, 2 * index + 1)
        return first + second if left else second + node(level - 1, 2 * index)

    return shown(height, 0, opened)


def read_layer(read: Read, leaves: int) -> bytes:
    """Computes the cached layer of a piece from its bytes: 32 bytes for each 64 KiB, none for a single one."""
    if leaves <= SPAN_LEAVES:
        return b""
    sealer = Sealer()
    for at in range(0, leaves * LEAF, 16 * SPAN):
        sealer.update(read(at, 16 * SPAN))
    return sealer.finish().layer


def _leaf_hashes(hasher: Hasher, data: Buffer) -> bytes:
    """Hashes of the leaves of at most 64 KiB, the last one filled up with zero bytes."""
    padded = bytes(data).ljust(leaf_count(len(data)) * LEAF, b"\0")
    return hasher.leaves(memoryview(padded))


def _above(hasher: Hasher, level: bytes, height: int) -> bytes:
    """The level above `level`, whose nodes are at `height`; padding beyond one node is implied, not stored."""
    return hasher.pairs(level if len(level) % (2 * HASH) == 0 else level + empty_node(height))


def _root(hasher: Hasher, level: bytes, height: int, top: int) -> bytes:
    """Folds the nodes at `height` up to the one node at `top`."""
    for at in range(height, top):
        level = _above(hasher, level, at)
    return level


def _rows(hasher: Hasher, level: bytes, height: int, top: int) -> list[bytes]:
    """The row of nodes at `height` and those above it, to the one below `top`."""
    rows = [level]
    for at in range(height, top - 1):
        rows.append(_above(hasher, rows[-1], at))
    return rows
