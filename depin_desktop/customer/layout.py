"""Where the bytes of a file are: file → segments → chunks → shares. Pure arithmetic.

A segment's ciphertext is its chunks one after the other, each followed by its tag. With k of n, k shares hold the
chunks in order, and no chunk crosses from one share into the next: so a range is read from one share, and a chunk that
does not verify names the share, and the provider, that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from depin_desktop.core.units import MIB

SEGMENT_BYTES = 32 * MIB
MAX_CHUNK_BYTES = 256 * 1024
TAG_BYTES = 16


def segments_of(size: int, segment_bytes: int = SEGMENT_BYTES) -> int:
    """How many segments a file of `size` bytes has; none when it is empty."""
    return -(-size // segment_bytes)


def segment_size(size: int, index: int, segment_bytes: int = SEGMENT_BYTES) -> int:
    """Plaintext bytes of one segment."""
    return min(segment_bytes, size - index * segment_bytes)


@dataclass(frozen=True)
class Geometry:
    """One segment of `size` plaintext bytes, coded so that `needed` shares give it back."""

    size: int
    needed: int
    tag: int = TAG_BYTES

    @cached_property
    def _per_share(self) -> int:
        share = -(-self.size // self.needed)
        return -(-share // MAX_CHUNK_BYTES)

    @cached_property
    def chunk(self) -> int:
        """Plaintext bytes of a full chunk: near the maximum, and such that shares come out almost even."""
        share = -(-self.size // self.needed)
        return -(-share // self._per_share)

    @cached_property
    def chunks(self) -> int:
        return -(-self.size // self.chunk)

    @cached_property
    def sealed(self) -> int:
        """Bytes of the segment's ciphertext."""
        return self.size + self.chunks * self.tag

    @cached_property
    def share(self) -> int:
        """Bytes of one share; with several, the last is padded with zeros."""
        return self.sealed if self.needed == 1 else self._per_share * (self.chunk + self.tag)

    def plain_span(self, chunk: int) -> tuple[int, int]:
        """Begin and end of a chunk in the segment's plaintext."""
        start = chunk * self.chunk
        return start, min(start + self.chunk, self.size)

    def sealed_offset(self, chunk: int) -> int:
        """Where a chunk's ciphertext begins in the segment's."""
        return chunk * (self.chunk + self.tag)

    def chunks_of(self, start: int, end: int) -> range:
        """The chunks that hold the plaintext bytes from `start` up to `end`."""
        return range(start // self.chunk, -(-end // self.chunk))

    @staticmethod
    def groups(chunks: range, size: int) -> Iterator[range]:
        """`chunks` cut into runs of at most `size`."""
        for first in range(chunks.start, chunks.stop, size):
            yield range(first, min(first + size, chunks.stop))

    def spans(self, chunks: range) -> Iterator[ShareSpan]:
        """Where consecutive chunks lie: one span in each share that holds some of them."""
        for share in range(self.needed):
            own = range(share * self._per_share, (share + 1) * self._per_share) if self.needed > 1 else chunks
            first, last = max(chunks.start, own.start), min(chunks.stop, own.stop, self.chunks)
            if first < last:
                base = share * self.share
                start = self.sealed_offset(first) - base
                end = min(self.sealed_offset(last), self.sealed) - base
                yield ShareSpan(share, start, end, range(first, last))


@dataclass(frozen=True)
class ShareSpan:
    """Bytes `start` up to `end` of one share, holding these chunks."""

    share: int
    start: int
    end: int
    chunks: range


def share_bytes(size: int, needed: int, segment_bytes: int = SEGMENT_BYTES) -> tuple[int, int]:
    """The largest share of a file, and all the shares that one provider gets of it, in bytes."""
    count = segments_of(size, segment_bytes)
    if count == 0:
        return 0, 0
    first, last = (Geometry(segment_size(size, at, segment_bytes), needed).share for at in (0, count - 1))
    return first, first * (count - 1) + last
