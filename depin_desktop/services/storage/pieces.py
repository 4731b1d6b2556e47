"""The catalogue of pieces: which are held and where, how they are taken out, and how rows and disk are reconciled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from depin_desktop.sealing import leaf_count
from depin_desktop.services.storage import policy
from depin_desktop.services.storage.folders import Folder, Folders
from depin_desktop.services.storage.store import Piece, PieceState, PieceStore

log = logging.getLogger(__name__)

Alert = Callable[[str, str, str], None]
"""alert(kind, title, detail): tells the owner; kinds as in `api.models.Activity`."""


class Pieces:
    """All pieces in all folders. Changes to one piece happen one after the other (`changing`)."""

    def __init__(self, store: PieceStore, folders: Folders, alert: Alert, clock: Callable[[], float]) -> None:
        self.store = store
        self.folders = folders
        self._alert = alert
        self._clock = clock
        self._changing: dict[str, tuple[asyncio.Lock, int]] = {}
        self._upkeep = asyncio.Lock()  # counting and removing see the same disk

    @asynccontextmanager
    async def changing(self, root: str) -> AsyncIterator[None]:
        """Only one task at a time stores or removes the piece `root`."""
        lock, waiting = self._changing.get(root, (asyncio.Lock(), 0))
        self._changing[root] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._changing[root]
            if waiting == 1:
                del self._changing[root]
            else:
                self._changing[root] = (lock, waiting - 1)

    async def held(self, root: str) -> tuple[Piece, Folder] | None:
        """A piece that can be read now, and where; None when there is none or its disk is away."""
        piece = await self.store.piece(root)
        if piece is None or piece.state is not PieceState.HELD:
            return None
        folder = self.folders.get(piece.folder)
        return (piece, folder) if folder is not None and folder.usable else None

    async def unfit(self, piece: Piece, state: PieceState, detail: str) -> None:
        """Takes a lost or damaged piece out of service and tells the owner, once."""
        folder = self.folders.get(piece.folder)
        async with self.changing(piece.root):
            if await self.store.piece(piece.root) != piece:
                return  # found before, or replaced meanwhile
            await self.store.set_state([piece.root], state)
            if folder is not None and folder.counted:
                folder.forget(piece.size)
            if folder is not None and state is PieceState.DAMAGED:
                try:
                    await folder.run(lambda: folder.files.quarantine(piece.root))
                except OSError as error:
                    log.warning("piece %s cannot be moved to quarantine: %s", piece.root, error)
        where = piece.folder if folder is None else folder.config.path
        self._alert("fault", f"A stored piece is {state.value}", f"{piece.root[:12]}… in {where}: {detail}")

    async def remove_unclaimed(self) -> int:
        """Deletes what nobody pays for any more; returns how many pieces."""
        removed = 0
        async with self._upkeep:
            for piece in await self.store.unclaimed(self._clock()):
                folder = self.folders.get(piece.folder)
                if folder is None or folder.usable:  # else its disk is away: later
                    removed += await self._remove(piece, folder)
        return removed

    async def _remove(self, piece: Piece, folder: Folder | None) -> bool:
        async with self.changing(piece.root):
            if not await self.store.forget(piece.root):
                return False
            if folder is not None:
                try:
                    await folder.run(lambda: folder.files.remove(piece.root))
                except OSError as error:
                    # The row is gone: the next count of this folder adopts what stayed, and it comes here again.
                    log.warning("piece %s cannot be deleted: %s", piece.root, error)
                    return False
                if piece.state is PieceState.HELD:
                    folder.forget(piece.size)
        return True

    async def reconcile(self, folder: Folder, *, first: bool) -> None:
        """Counts a folder's pieces on the disk, and brings the rows into line with them.

        A piece without a row is adopted for an hour: it was being acknowledged when the machine died, or the database
        was lost, and then its data set claims it. A row without its piece is an alert. No whole piece is deleted here.

        Args:
            first: nothing is being uploaded yet, so what lies in tmp/ is left over from before.

        Raises:
            OSError: the disk cannot be read.
        """
        async with self._upkeep:
            if folder.reserved:
                return  # an upload is under way; its counters are right as they are
            folder.counted = False  # takes nothing new until the count is done
            if first:
                await folder.run(folder.files.clean)
            sizes = await folder.run(folder.files.scan)
            rows = {piece.root: piece for piece in await self.store.pieces_in(folder.id)}
            gone = [p for p in rows.values() if p.state is PieceState.HELD and sizes.get(p.root) != p.size]
            back = [p.root for p in rows.values() if p.state is PieceState.LOST and sizes.get(p.root) == p.size]
            await self._adopt({root: size for root, size in sizes.items() if root not in rows and size > 0}, folder)
            await self.store.set_state(back, PieceState.HELD)
            for piece in gone:
                there = sizes.pop(piece.root, None)
                if there is None:
                    await self.unfit(piece, PieceState.LOST, "its file is gone")
                else:
                    await self.unfit(piece, PieceState.DAMAGED, f"it has {there} bytes instead of {piece.size}")
            folder.count(sizes)

    async def _adopt(self, sizes: dict[str, int], folder: Folder) -> None:
        now = self._clock()
        found = [Piece(root, folder.id, size, leaf_count(size), PieceState.HELD, now) for root, size in sizes.items()]
        await self.store.adopt(found, int(now) + policy.RECEIPT_LIFE_S)
