"""Decrypting a segment while it arrives, where one share is the whole segment (1 of n): no piece is ever in memory.

A chunk is verified before its plaintext is given on; it is still in the processor's cache then, so this costs less than
decrypting a piece after it has arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from depin_desktop.customer.buffers import Buffers
from depin_desktop.customer.crypto import SegmentCipher
from depin_desktop.customer.layout import Geometry

CHUNKS_AT_ONCE = 16

Sink = Callable[[int, memoryview], None]
"""sink(offset in the segment, plaintext), called in a thread; the memory is used again after it returns."""


class SegmentStream:
    """Takes the ciphertext of one segment in parts of any size.

    Args:
        buffers: where memory for plaintext comes from, and goes back to at the end.

    Attributes:
        chunk: the first chunk that is not complete yet; a transfer that broke goes on from there.
    """

    def __init__(self, cipher: SegmentCipher, geometry: Geometry, sink: Sink, buffers: Buffers) -> None:
        self._cipher = cipher
        self._geometry = geometry
        self._sink = sink
        self.chunk = 0
        self._staged = 0
        self._stage = memoryview(bytearray(geometry.chunk + geometry.tag))
        at_once = min(CHUNKS_AT_ONCE, geometry.chunks) * geometry.chunk
        self._buffers = buffers
        self._plain, self._spare = buffers.take(at_once), buffers.take(at_once)
        self._begin = 0  # where the plaintext in `_plain` begins in the segment
        self._writing: asyncio.Future[None] | None = None

    @property
    def offset(self) -> int:
        """Where the next part begins in the ciphertext, after `restart`."""
        return self._geometry.sealed_offset(self.chunk)

    def restart(self) -> None:
        """Forgets the begin of a chunk whose rest did not come."""
        self._staged = 0

    async def feed(self, part: bytes) -> None:
        """Takes the next part.

        Raises:
            Tampered: a chunk does not verify.
            OSError: the sink cannot take more.
        """
        view = memoryview(part)
        while len(view):
            start, end = self._geometry.plain_span(self.chunk)
            wanted = end - start + self._geometry.tag
            if not self._staged and len(view) >= wanted:
                sealed, view = view[:wanted], view[wanted:]
            else:
                count = min(wanted - self._staged, len(view))
                self._stage[self._staged : self._staged + count] = view[:count]
                self._staged, view = self._staged + count, view[count:]
                if self._staged < wanted:
                    return
                sealed = self._stage[:wanted]
            self._cipher.decrypt(self.chunk, sealed, self._plain[start - self._begin : end - self._begin])
            self._staged, self.chunk = 0, self.chunk + 1
            if end - self._begin == len(self._plain) or self.chunk == self._geometry.chunks:
                await self._give_on(end)

    async def _give_on(self, end: int) -> None:
        """Hands the plaintext over while the next is being decrypted into the other buffer."""
        await self._written()
        full = self._plain[: end - self._begin]
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._sink, self._begin, full))
        self._plain, self._spare, self._begin = self._spare, self._plain, end

    async def finish(self) -> None:
        """Returns when the sink has taken everything; nothing may be fed any more."""
        await self._written()
        self._buffers.give(self._plain)
        self._buffers.give(self._spare)

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing
            self._writing = None
