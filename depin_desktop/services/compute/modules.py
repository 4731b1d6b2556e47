"""Customers' WASM modules on disk, by hash: bounded, the ones not used for longest leave first."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically
from depin_desktop.services.compute import policy

CACHE_BYTES = 256 << 20
MAGIC = b"\0asm"


def unknown_module() -> UserFacingError:
    """The module of a job is not here."""
    return UserFacingError(
        "This provider does not have that module.", "Send it first.", code="unknown-module", status=404
    )


class Modules:
    """Only the hash is trusted: a file's name is what its bytes hash to, or it is not there.

    Args:
        folder: holds nothing else.
        limit: bytes that all modules together may take.
    """

    def __init__(self, folder: Path, limit: int = CACHE_BYTES) -> None:
        self._folder = folder
        self._limit = limit
        self._sizes: dict[str, int] = {}  # the one used last comes last
        self._in_use: Counter[str] = Counter()

    async def open(self) -> None:
        """Takes up what is there from before; what was being written then is removed."""
        self._sizes = await asyncio.to_thread(self._look)

    def _look(self) -> dict[str, int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob(".*"):  # of a write that was cut short
            left.unlink(missing_ok=True)
        found = sorted(self._folder.glob("*.wasm"), key=lambda path: path.stat().st_mtime)
        return {path.stem: path.stat().st_size for path in found}

    @contextlib.contextmanager
    def using(self, sha256: str) -> Iterator[Path]:
        """The module's file, which stays while this lasts; UserFacingError ("unknown-module") where it is not here."""
        if sha256 not in self._sizes:
            raise unknown_module()
        self._sizes[sha256] = self._sizes.pop(sha256)
        self._in_use[sha256] += 1
        try:
            yield self._path(sha256)
        finally:
            self._in_use[sha256] -= 1
            if not self._in_use[sha256]:
                del self._in_use[sha256]

    async def put(self, sha256: str, content: AsyncIterator[bytes]) -> bool:
        """Takes a module in; true where it is new.

        Raises:
            UserFacingError: it is too large, no WASM module, not what its name says, or there is no room for it.
        """
        data = bytearray()
        async for chunk in content:
            data += chunk
            if len(data) > policy.MAX_MODULE_BYTES:
                raise UserFacingError(
                    f"A module may have {policy.MAX_MODULE_BYTES >> 20} MiB at most.", code="too-large", status=413
                )
        if not data.startswith(MAGIC):
            raise UserFacingError("This is not a WASM module.", "Send a binary module.", code="bad-module")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise UserFacingError("The module does not hash to its name.", "Send it again.", code="bad-module")
        if sha256 in self._sizes:
            return False
        await self._make_room(len(data))
        await asyncio.to_thread(write_atomically, self._path(sha256), bytes(data))
        self._sizes[sha256] = len(data)
        return True

    async def _make_room(self, size: int) -> None:
        idle = [sha256 for sha256 in self._sizes if not self._in_use[sha256]]
        for oldest in idle:
            if sum(self._sizes.values()) + size <= self._limit:
                return
            del self._sizes[oldest]
            await asyncio.to_thread(self._path(oldest).unlink, missing_ok=True)
        if sum(self._sizes.values()) + size > self._limit:
            raise UserFacingError(
                "All modules that this provider can keep are in use.", "Try again later.", code="busy", status=503
            )

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.wasm"
