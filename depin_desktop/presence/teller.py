"""Looks at the session every second, and tells the engine what has changed, else every few seconds that it holds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from depin_desktop.api.controls import Presence
from depin_desktop.core.tasks import Cycle
from depin_desktop.presence.seen import Seen

LOOK_EVERY_S = 1.0
TELL_EVERY_S = 4.0
LOOK_TIMEOUT_S = 2.0
_BACK_S = 2.0  # an idle time that shrank by more than a pause between two keys: somebody has come back


class Session(Protocol):
    """A desktop session of one operating system."""

    def look(self) -> Seen:
        """What is to be seen now; blocks shortly."""

    def close(self) -> None:
        """Lets connections go."""


def this_session() -> Session:
    """The session of this process, by the operating system."""
    if sys.platform == "win32":
        from depin_desktop.presence import windows

        return windows.Session()
    if sys.platform == "darwin":
        from depin_desktop.presence import macos

        return macos.Session()
    from depin_desktop.presence import linux

    return linux.Session()


class Teller:
    """Tells `tell` about one session; errors of `tell` end `run`, so that its caller can connect anew."""

    def __init__(self, tell: Callable[[Presence], Awaitable[None]], session: Session | None = None) -> None:
        self.cycle = Cycle("presence", LOOK_EVERY_S, self._round)
        self._tell = tell
        self._session = session or this_session()
        self._name = os.environ.get("XDG_SESSION_ID") or f"process {os.getpid()}"
        # A thread of its own, and one only: a desktop that hangs must not take the others', nor gather threads.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="presence")
        self._looking: asyncio.Future[Seen] | None = None
        self._told: Seen | None = None
        self._told_at = float("-inf")
        self._failed: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Until cancelled, or until telling fails."""
        self._failed = asyncio.get_running_loop().create_future()
        loop = asyncio.create_task(self.cycle.run(), name="presence/look")
        try:
            await self._failed
        finally:
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop
            self._thread.submit(self._session.close)
            self._thread.shutdown(wait=False)

    async def _round(self) -> None:
        seen = await self._look()
        if seen is None or not seen.anything:
            return
        now = time.monotonic()
        if self._told is not None and now - self._told_at < TELL_EVERY_S and not changed(self._told, seen):
            return
        try:
            await self._tell(presence_of(self._name, seen))
        except Exception as error:
            if self._failed is None or self._failed.done():
                raise
            self._failed.set_exception(error)
        else:
            self._told, self._told_at = seen, now

    async def _look(self) -> Seen | None:
        if self._looking is None or self._looking.done():
            loop = asyncio.get_running_loop()
            self._looking = loop.run_in_executor(self._thread, self._session.look)
        done, _ = await asyncio.wait({self._looking}, timeout=LOOK_TIMEOUT_S)
        return self._looking.result() if done else None


def changed(told: Seen, seen: Seen) -> bool:
    """Whether the engine should know at once: somebody is back, or the screen is filled, or is not any more."""
    if (told.full_screen, told.pid) != (seen.full_screen, seen.pid):
        return True
    if told.idle_s is None or seen.idle_s is None:
        return told.idle_s is not seen.idle_s
    return seen.idle_s < told.idle_s - _BACK_S


def presence_of(session: str, seen: Seen) -> Presence:
    """What is told of a look."""
    return Presence(
        session=session,
        idle_s=seen.idle_s,
        full_screen=seen.full_screen,
        app=seen.app,
        pid=seen.pid,
        source=seen.source,
    )
