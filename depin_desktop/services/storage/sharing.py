"""What the owner shares: folders are added, resized and given up while the service runs."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

from depin_desktop.api.models import FolderState
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import MIB, format_size
from depin_desktop.services.storage import policy
from depin_desktop.services.storage.files import Marker, PieceFiles
from depin_desktop.services.storage.folders import Folder, FolderConfig, Folders, check_place
from depin_desktop.services.storage.pieces import Pieces

MIN_SHARE_BYTES = 16 * MIB


class Sharing:
    """Adds, changes and gives up shared folders; every change is on disk before it is announced."""

    def __init__(self, pieces: Pieces, folders: Folders, node_id: str) -> None:
        self._pieces = pieces
        self._store = pieces.store
        self._folders = folders
        self._node_id = node_id

    async def load(self) -> None:
        """Takes up the folders that were shared before."""
        for config in await self._store.folders():
            self._folders.add(config)

    async def share(self, path: str, size: int, keep_free: int | None) -> Folder:
        """Shares `size` bytes at `path`, or changes what is shared there.

        Raises:
            UserFacingError: not a folder, another node's, not writable, overlapping, too small, or more than is free.
        """
        if size < MIN_SHARE_BYTES:
            raise UserFacingError(
                f"{format_size(size)} is too little to share.",
                f"Share at least {format_size(MIN_SHARE_BYTES)}.",
                code="share-too-small",
            )
        known = self._folders.at(path)
        if known is not None:
            return await self._resize(known, size, keep_free)
        place = check_place(path, self._folders)
        files = PieceFiles(place)
        marker = await asyncio.to_thread(lambda: self._claim(files, size, keep_free))
        if (moved := self._folders.get(marker.folder_id)) is not None:
            raise UserFacingError(
                f"{place} is the folder that is shared as {moved.config.path} already.",
                "Stop sharing that one first.",
                code="already-shared",
            )
        total = (await asyncio.to_thread(lambda: shutil.disk_usage(place))).total
        keep = policy.default_keep_free(total) if keep_free is None else keep_free
        config = FolderConfig(marker.folder_id, str(place), size, keep)
        await self._store.save_folder(config)
        folder = self._folders.add(config)
        await self.look_after(folder, first=True, force_write=True)
        return folder

    def _claim(self, files: PieceFiles, size: int, keep_free: int | None) -> Marker:
        """Makes the place ours; blocks."""
        try:
            marker = files.read_marker()
        except FileNotFoundError:
            marker = None
        except (OSError, ValueError) as error:
            raise _unusable(files.shared, f"its marker cannot be read: {error}") from error
        if marker is not None and marker.node_id != self._node_id:
            raise UserFacingError(
                f"{files.shared} belongs to another node.",
                f"Choose another folder, or remove {files.root} if that node is gone for good.",
                code="foreign-folder",
                status=409,
            )
        usage = shutil.disk_usage(files.shared)
        keep = policy.default_keep_free(usage.total) if keep_free is None else keep_free
        if marker is None:
            _check_free(size, usage.free, keep)
            marker = Marker(self._node_id, uuid.uuid4().hex)
        try:
            files.prepare(marker)
        except OSError as error:
            raise _unusable(files.shared, error.strerror or str(error)) from error
        return marker

    async def _resize(self, folder: Folder, size: int, keep_free: int | None) -> Folder:
        keep = folder.config.keep_free if keep_free is None else keep_free
        if size > max(folder.config.allocated, folder.stored):
            free = await folder.run(folder.files.disk_free)
            _check_free(size - folder.stored, free, keep)
        config = replace(folder.config, allocated=size, keep_free=keep, leaving=False)
        await self._store.save_folder(config)
        folder.config = config
        return folder

    async def unshare(self, path: str | None) -> None:
        """Gives up one folder, or all: at once where nothing is stored, else when the customers' deals have ended.

        Raises:
            UserFacingError: nothing is shared at `path`.
        """
        chosen = list(self._folders) if path is None else [self._folders.at(path)]
        for folder in chosen:
            if folder is None:
                raise UserFacingError(
                    f"{path} is not shared.", "`depin status` lists what is.", code="not-shared", status=404
                )
            folder.config = replace(folder.config, leaving=True)
            await self._store.save_folder(folder.config)
        await self.let_go()

    async def let_go(self) -> None:
        """Drops the folders that are leaving and empty."""
        for folder in self._folders:
            empty = folder.counted and folder.usable and not folder.pieces and not folder.reserved
            if folder.config.leaving and empty and not await self._store.pieces_in(folder.id):
                await self._store.drop_folder(folder.id)
                await folder.run(folder.files.dissolve)
                self._folders.drop(folder.id)

    async def look_after(self, folder: Folder, *, first: bool = False, force_write: bool = False) -> bool:
        """Probes one folder, and counts its pieces when it has come (back). Returns whether its state changed."""
        before, was_usable = folder.state, folder.usable
        await folder.check(self._node_id, force_write=force_write)
        if folder.usable and (not folder.counted or not was_usable):
            try:
                if folder.last.fault is None:
                    await folder.run(lambda: folder.files.prepare(folder.files.read_marker()))
                await self._pieces.reconcile(folder, first=first)
            except OSError as error:
                folder.report(FolderState.MISSING, f"The folder cannot be read ({error.strerror}).")
        return folder.state is not before


def _check_free(growth: int, free: int, keep_free: int) -> None:
    if growth > free - keep_free:
        available = max(0, free - keep_free)
        raise UserFacingError(
            f"Only {format_size(available)} can be shared on this disk: {format_size(free)} are free and "
            f"{format_size(keep_free)} stay so.",
            "Share less, or free some space first.",
            code="not-enough-space",
        )


def _unusable(place: Path, reason: str) -> UserFacingError:
    return UserFacingError(
        f"{place} cannot be used ({reason}).", "Choose a folder that you may write to.", code="folder-unusable"
    )
