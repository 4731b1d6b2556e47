"""Finds bit-rot before a challenge does: re-seals stored pieces one after the other, slowly.

The disk is read and not the page cache, at a rate that nobody at the machine notices.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import BinaryIO

from depin_desktop.sealing import Seal, Sealer
from depin_desktop.services.storage import posix
from depin_desktop.services.storage.folders import Folder
from depin_desktop.services.storage.pieces import Pieces
from depin_desktop.services.storage.store import Piece, PieceState

log = logging.getLogger(__name__)

EVERY_S = 60.0
BYTES_PER_SECOND = 8 << 20
CHUNK_BYTES = 4 << 20
AGAIN_AFTER_S = 7 * 86_400


class Scrubber:
    """One pass over the piece that was longest not looked at, each time it is asked.

    Args:
        bytes_per_second: how fast it may read; 0 for as fast as it can.
    """

    def __init__(
        self,
        pieces: Pieces,
        clock: Callable[[], float] = time.time,
        *,
        bytes_per_second: int = BYTES_PER_SECOND,
        again_after_s: float = AGAIN_AFTER_S,
    ) -> None:
        self._pieces = pieces
        self._clock = clock
        self._bytes_per_second = bytes_per_second
        self._again_after_s = again_after_s

    async def run(self) -> None:
        """Checks all pieces that are due, the oldest first."""
        while await self.check_one():
            pass

    async def check_one(self) -> bool:
        """Checks one piece; false when none is due or its disk is away."""
        piece = await self._pieces.store.next_to_scrub(self._clock() - self._again_after_s)
        if piece is None:
            return False
        folder = self._pieces.folders.get(piece.folder)
        if folder is None or not folder.usable:
            await self._pieces.store.scrubbed(piece.root, self._clock())  # its turn comes again
            return True
        await self._check(piece, folder)
        await self._pieces.store.scrubbed(piece.root, self._clock())
        return True

    async def _check(self, piece: Piece, folder: Folder) -> None:
        try:
            seal = await self._reseal(piece, folder)
        except FileNotFoundError:
            if (now := await self._pieces.store.piece(piece.root)) is not None and now.state is PieceState.HELD:
                await self._pieces.unfit(piece, PieceState.LOST, "its file is gone")
            return
        except (OSError, ValueError) as error:
            await self._pieces.unfit(piece, PieceState.DAMAGED, f"it cannot be read ({error})")
            return
        if seal.root.hex() != piece.root:
            await self._pieces.unfit(piece, PieceState.DAMAGED, "its bytes are not those that came. Check the disk")
        elif seal.layer != await folder.run(lambda: folder.files.read_layer(piece.root)):
            await folder.run(lambda: folder.files.write_layer(piece.root, seal.layer))

    async def _reseal(self, piece: Piece, folder: Folder) -> Seal:
        file = await folder.run(lambda: _open_uncached(folder, piece.root))
        try:
            sealer = await folder.run(Sealer)
            while True:
                started = time.monotonic()
                count = await folder.run(lambda: _take(file, sealer))
                if not count:
                    return await folder.run(sealer.finish)
                if self._bytes_per_second:
                    await asyncio.sleep(max(0.0, count / self._bytes_per_second - (time.monotonic() - started)))
        finally:
            await asyncio.shield(folder.run(file.close))


def _open_uncached(folder: Folder, root: str) -> BinaryIO:
    file = folder.files.open_piece(root)
    posix.forget_cached(file.fileno())
    return file


def _take(file: BinaryIO, sealer: Sealer) -> int:
    chunk = file.read(CHUNK_BYTES)
    sealer.update(chunk)
    return len(chunk)
