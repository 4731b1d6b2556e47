"""Hashing many small messages: the interface, the plain-Python way, and the choice of the fastest that works here."""

from __future__ import annotations

import logging
import subprocess
from functools import cache
from hashlib import sha256
from typing import Protocol

from depin_desktop.sealing.merkle import HASH, LEAF, SPAN, SPAN_LEAVES, SPAN_LEVELS

log = logging.getLogger(__name__)


class Hasher(Protocol):
    """Hashes whole leaves and pairs of nodes; inputs are any contiguous buffers of the stated sizes."""

    name: str

    def leaves(self, data: memoryview) -> bytes:
        """The hash of every 256-byte leaf of `data`, one after the other."""

    def pairs(self, level: bytes) -> bytes:
        """The level above `level`, which holds an even number of 32-byte nodes."""

    def spans(self, data: memoryview) -> bytes:
        """The root over every 64 KiB of `data`, one after the other."""


class PlainHasher:
    """hashlib and nothing else: works everywhere, at a tenth of flat hashing speed, and holds the GIL."""

    name = "hashlib"

    def leaves(self, data: memoryview) -> bytes:
        return b"".join([sha256(data[at : at + LEAF]).digest() for at in range(0, len(data), LEAF)])

    def pairs(self, level: bytes) -> bytes:
        return b"".join([sha256(level[at : at + 2 * HASH]).digest() for at in range(0, len(level), 2 * HASH)])

    def spans(self, data: memoryview) -> bytes:
        level = self.leaves(data)
        for _ in range(SPAN_LEVELS):
            level = self.pairs(level)
        return level


def agrees(candidate: Hasher) -> bool:
    """Whether `candidate` gives what hashlib gives, over odd and even counts and every entry point."""
    plain = PlainHasher()
    pattern = bytes((at * 167 + (at >> 8) * 13) & 0xFF for at in range(2 * SPAN))
    counts = (1, 2, 3, 4, 7, SPAN_LEAVES)
    return (
        all(
            candidate.leaves(memoryview(pattern)[: n * LEAF]) == plain.leaves(memoryview(pattern)[: n * LEAF])
            for n in counts
        )
        and all(candidate.pairs(pattern[: n * 2 * HASH]) == plain.pairs(pattern[: n * 2 * HASH]) for n in counts)
        and candidate.spans(memoryview(pattern)) == plain.spans(memoryview(pattern))
    )


@cache
def best_hasher() -> Hasher:
    """The fastest hasher that works on this machine; found, compared with hashlib and kept on the first call."""
    from depin_desktop.sealing import native  # only when something is really sealed

    try:
        for candidate in native.usable():
            if agrees(candidate):
                return candidate
            log.error("sealing with %s disagrees with hashlib; it is not used", candidate.name)
    except (OSError, subprocess.SubprocessError) as error:  # an optimisation must never keep a node from working
        log.warning("no sealing kernel can be used (%s); sealing with hashlib", error)
    return PlainHasher()
