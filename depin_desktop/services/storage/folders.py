"""The shared folders: how much each may hold, what is promised, and where the next piece goes.

Room is reserved before a byte is written, in one step of the event loop, so that uploads at the same time never exceed
an allocation. Counters are what a scan of the disk found, plus what was stored and removed since.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from depin_desktop.api.models import FolderState, SharedFolder
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_size
from depin_desktop.services.storage import guard, policy
from depin_desktop.services.storage.files import PieceFiles

THREADS = 4

Result = TypeVar("Result")


@dataclass(frozen=True)
class FolderConfig:
    """What the owner decided about one folder; sizes in bytes."""

    id: str
    path: str
    allocated: int
    keep_free: int
    leaving: bool = False


class Folder:
    """One shared folder at run time.

    Attributes:
        counted: whether a scan of the disk stands behind the counters; nothing new is taken before.
    """

    def __init__(self, config: FolderConfig) -> None:
        self.config = config
        self.files = PieceFiles(Path(config.path))
        self.stored = 0
        self.reserved = 0
        self.pieces = 0
        self.counted = False
        self.checked_at: float | None = None
        self.written_at: float | None = None
        self.last = guard.ProbeResult(FolderState.SLOW, "It is being checked.")
        self._watch: guard.Watch[guard.ProbeResult] = guard.Watch(f"probe-{config.id[:8]}")
        # Threads of its own: a disk that hangs holds up its own pieces only.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"folder-{config.id[:8]}")

    @property
    def id(self) -> str:
        return self.config.id

    async def run(self, work: Callable[[], Result]) -> Result:
        """Runs blocking file work in this folder's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def facts(self) -> policy.FolderFacts:
        return policy.FolderFacts(
            allocated=self.config.allocated,
            stored=self.stored,
            reserved=self.reserved,
            disk_free=self.last.disk_free,
            keep_free=self.config.keep_free,
            leaving=self.config.leaving,
            fault=self.last.fault,
        )

    @property
    def room(self) -> int:
        return policy.room(self.facts) if self.counted else 0

    @property
    def usable(self) -> bool:
        """Whether its pieces can be read."""
        return self.last.fault in (None, FolderState.FULL, FolderState.READ_ONLY)

    @property
    def state(self) -> FolderState:
        return policy.folder_state(self.facts)

    def count(self, sizes: dict[str, int]) -> None:
        """Sets the counters to what a scan found."""
        self.stored = sum(policy.footprint(size) for size in sizes.values())
        self.pieces = len(sizes)
        self.counted = True

    def forget(self, size: int) -> None:
        """Takes a removed piece out of the counters."""
        self.stored -= policy.footprint(size)
        self.pieces -= 1
        self._disk_changed(policy.footprint(size))

    def _disk_changed(self, by: int) -> None:
        """Carries our own writes into the last probe's free space until the next probe."""
        last = self.last
        self.last = guard.ProbeResult(
            last.fault, last.detail, last.disk_total, max(0, last.disk_free + by), last.mount, last.filesystem
        )

    async def check(self, node_id: str, *, force_write: bool = False, timeout_s: float = guard.PROBE_TIMEOUT_S) -> bool:
        """Probes the disk; the test write comes every five minutes, or now. Returns whether the state changed."""
        before, now = self.last.fault, time.monotonic()
        write = force_write or self.written_at is None or now - self.written_at >= guard.WRITE_EVERY_S
        # A fault that only writing shows would be forgotten by a look that does not write.
        write = write or before in (FolderState.READ_ONLY, FolderState.FULL)
        try:
            result = await self._watch.look(lambda: guard.probe(self.files, node_id, write=write), timeout_s)
        except TimeoutError:
            result = self._like_last(FolderState.SLOW, f"The disk has not answered for {timeout_s:.0f} s.")
        self.last = result
        self.checked_at = time.time()
        if write and result.fault is not FolderState.SLOW:
            self.written_at = now
        return result.fault is not before

    def report(self, fault: FolderState, detail: str) -> None:
        """Takes note of a fault that an upload or a read ran into; the next probe confirms or clears it."""
        self.last = self._like_last(fault, detail)

    def _like_last(self, fault: FolderState, detail: str) -> guard.ProbeResult:
        last = self.last
        return guard.ProbeResult(fault, detail, last.disk_total, last.disk_free, last.mount, last.filesystem)

    def snapshot(self) -> SharedFolder:
        return SharedFolder(
            id=self.config.id,
            path=self.config.path,
            mount=self.last.mount,
            filesystem=self.last.filesystem,
            allocated_bytes=self.config.allocated,
            stored_bytes=self.stored,
            reserved_bytes=self.reserved,
            disk_total_bytes=self.last.disk_total,
            disk_free_bytes=self.last.disk_free,
            keep_free_bytes=self.config.keep_free,
            pieces=self.pieces,
            state=self.state,
            detail=self.last.detail or policy.folder_detail(self.facts),
            checked_at=self.checked_at,
        )


class Reservation:
    """Room held for one upload; end it with `keep` once the piece is stored, else with `release`."""

    def __init__(self, folder: Folder, size: int) -> None:
        self.folder = folder
        self._bytes = policy.footprint(size)
        self._open = True
        folder.reserved += self._bytes

    def keep(self) -> None:
        """The piece is on disk: what was reserved is now stored."""
        if self._end():
            self.folder.stored += self._bytes
            self.folder.pieces += 1
            self.folder._disk_changed(-self._bytes)

    def release(self) -> None:
        """Gives the room back; after `keep` it does nothing."""
        self._end()

    def _end(self) -> bool:
        was_open, self._open = self._open, False
        if was_open:
            self.folder.reserved -= self._bytes
        return was_open


class Folders:
    """All shared folders of this node."""

    def __init__(self) -> None:
        self._folders: dict[str, Folder] = {}

    def __iter__(self) -> Iterator[Folder]:
        return iter(list(self._folders.values()))

    def __len__(self) -> int:
        return len(self._folders)

    def __getitem__(self, folder_id: str) -> Folder:
        return self._folders[folder_id]

    def get(self, folder_id: str) -> Folder | None:
        return self._folders.get(folder_id)

    def add(self, config: FolderConfig) -> Folder:
        folder = self._folders[config.id] = Folder(config)
        return folder

    def drop(self, folder_id: str) -> None:
        self._folders.pop(folder_id).close()

    def close(self) -> None:
        """Ends the folders' threads; a disk that hangs keeps its own."""
        for folder in self:
            folder.close()

    def at(self, path: str) -> Folder | None:
        """The folder shared at `path`, however that is written."""
        wanted = os.path.realpath(path)
        return next((folder for folder in self if os.path.realpath(folder.config.path) == wanted), None)

    def reserve(self, size: int) -> Reservation:
        """Room for a piece of `size` bytes.

        Raises:
            UserFacingError: "no-space" (507) when no folder can take it.
        """
        candidates = list(self)
        chosen = policy.choose([folder.room for folder in candidates], policy.footprint(size))
        if chosen is None:
            raise no_space(size)
        return Reservation(candidates[chosen], size)

    @property
    def room(self) -> int:
        """Bytes that can still be promised in all folders together."""
        return sum(folder.room for folder in self)

    @property
    def largest_room(self) -> int:
        return max((folder.room for folder in self), default=0)


def no_space(size: int) -> UserFacingError:
    return UserFacingError(
        f"This provider has no room for {format_size(size)}.", "Choose another provider.", code="no-space", status=507
    )


def check_place(path: str, folders: Folders) -> Path:
    """The real path of a folder that may be shared; made where it does not exist yet.

    Raises:
        UserFacingError: it is and can be no folder, or lies inside a shared one, or holds one.
    """
    place = Path(os.path.realpath(Path(path).expanduser()))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserFacingError(
            f"{path} is not a folder and cannot be made one ({error.strerror}).",
            "Choose a folder that you may write to.",
            code="no-folder",
        ) from error
    for folder in folders:
        other = Path(os.path.realpath(folder.config.path))
        if place != other and (place.is_relative_to(other) or other.is_relative_to(place)):
            raise UserFacingError(
                f"{place} overlaps with {other}, which is shared already.",
                "Choose a folder that is neither inside the other nor around it.",
                code="folders-overlap",
            )
    return place
