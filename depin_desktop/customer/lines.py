"""One large transfer at a time with each provider, the next beginning as the last bytes of the one before leave.

Two at once share the same link and end together, so that nothing is under way while the next ones are prepared; in a
row the link stays busy while pieces are encrypted, acknowledged or decrypted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

NEXT_BYTES = 8 << 20
"""With so much of a transfer still to come the next one begins: what it asks and pays beforehand then costs no time.

Measured with 32 MiB pieces: from the request to the first byte 25 to 30 ms pass, in which a fast link moves 8 MiB.
"""

UNDER_WAY = 2
"""Transfers with one provider that have no end yet: one whose bytes move, one that begins or waits for its receipt."""


class Turn:
    """The right to use a provider's line; `over` passes it on, at the latest when the turn's context ends."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock: asyncio.Lock | None = lock

    def over(self) -> None:
        """Lets the next one begin. A second call does nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


class Lines:
    """The lines to all providers."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._under_way: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[Turn]:
        """Waits for the line to a provider, in the order of asking; small transfers do not pile up behind it either."""
        lock = self._locks.setdefault(owner, asyncio.Lock())
        async with self._under_way.setdefault(owner, asyncio.Semaphore(UNDER_WAY)):
            await lock.acquire()
            turn = Turn(lock)
            try:
                yield turn
            finally:
                turn.over()
