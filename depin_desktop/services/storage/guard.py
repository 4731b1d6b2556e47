"""Looks after shared folders: is the disk there, ours, writable and quick enough to answer?

Each probe runs in a thread of its own with a time-out: a hung disk costs one waiting thread and never a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import psutil

from depin_desktop.api.models import FolderState
from depin_desktop.services.storage.files import PieceFiles

PROBE_TIMEOUT_S = 20.0
READ_EVERY_S = 60.0
WRITE_EVERY_S = 300.0
TEST_BYTES = os.urandom(4096)

Result = TypeVar("Result")


@dataclass(frozen=True)
class ProbeResult:
    """What one look at a folder found.

    Attributes:
        fault: None when all is well.
        detail: a sentence for the owner; empty when all is well.
    """

    fault: FolderState | None = None
    detail: str = ""
    disk_total: int = 0
    disk_free: int = 0
    mount: str = ""
    filesystem: str = ""


def probe(files: PieceFiles, node_id: str, *, write: bool) -> ProbeResult:
    """Reads the marker, and writes and reads back a test file if asked to; blocks, possibly for ever on a bad disk."""
    try:
        marker = files.read_marker()
        usage = shutil.disk_usage(files.root)
    except FileNotFoundError:
        return ProbeResult(FolderState.MISSING, "The folder or its marker is not there. Is the disk connected?")
    except ValueError:
        return ProbeResult(FolderState.FOREIGN, f"{files.marker.name} inside it is not readable as this node's marker.")
    except OSError as error:
        return ProbeResult(FolderState.MISSING, f"The folder cannot be read ({error.strerror}).")
    if marker.node_id != node_id:
        return ProbeResult(FolderState.FOREIGN, "It belongs to another node; only that one may use it.")
    mount, filesystem = _mount_of(files)
    fault, detail = _test_write(files) if write else (None, "")
    return ProbeResult(fault, detail, usage.total, usage.free, mount, filesystem)


def _test_write(files: PieceFiles) -> tuple[FolderState | None, str]:
    path = files.temporary / f"{uuid.uuid4().hex}.part"
    try:
        with open(path, "xb") as file:
            file.write(TEST_BYTES)
            file.flush()
            os.fsync(file.fileno())
        if path.read_bytes() != TEST_BYTES:
            return FolderState.READ_ONLY, "What is written to the disk does not come back the same."
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return FolderState.FULL, "The disk is full."
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return FolderState.READ_ONLY, f"Nothing can be written there ({error.strerror})."
        if error.errno == errno.ENOENT:
            return FolderState.MISSING, "The folder has lost its insides. Is the disk connected?"
        return FolderState.READ_ONLY, f"Writing fails ({error.strerror})."
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    return None, ""


def _mount_of(files: PieceFiles) -> tuple[str, str]:
    """Mount point and file system type of the folder, empty where the system does not tell."""
    path = os.path.realpath(files.root)
    best = ("", "")
    with contextlib.suppress(OSError):
        for part in psutil.disk_partitions(all=True):
            inside = path == part.mountpoint or path.startswith(os.path.join(part.mountpoint, ""))
            if inside and len(part.mountpoint) >= len(best[0]):
                best = (part.mountpoint, part.fstype)
    return best


class Watch(Generic[Result]):
    """Runs one blocking look at a time in a thread of its own; while one hangs, no other is started."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pending: asyncio.Future[Result] | None = None

    async def look(self, work: Callable[[], Result], timeout_s: float) -> Result:
        """The result of `work`.

        Raises:
            TimeoutError: this look, or the one that still hangs, ran out of time.
        """
        if self._pending is None:
            self._pending = self._start(work)
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(self._pending)

    def _start(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def finish(result: Result | None, error: BaseException | None) -> None:
            self._pending = None
            if error is not None:
                future.set_exception(error)
                future.exception()  # a look that nobody waits for any more is no unreported failure
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 (handed to the waiting task)
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(finish, result, failure)

        threading.Thread(target=run, name=self._name, daemon=True).start()
        return future
