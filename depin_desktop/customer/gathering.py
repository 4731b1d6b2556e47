"""Asking several providers for the same thing: as many as are needed, more when one fails or is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar

from depin_desktop.core.errors import UserFacingError

Key = TypeVar("Key")
Answer = TypeVar("Answer")


def lost(reasons: str) -> UserFacingError:
    """A file that cannot be had now."""
    return UserFacingError(
        f"The file cannot be fetched just now. {reasons}".strip(),
        "Try again later, when more of its providers are there.",
        code="file-unavailable",
        status=503,
    )


class Gathering(Generic[Key, Answer]):
    """`needed` answers out of several sources; leave its context to cancel what is still under way.

    Args:
        sources: whom to ask, the best first.
        ask: asks one; a UserFacingError means that it has nothing to give.
        was_slow: told of whoever had not answered when another one was asked in its place.
        patience_s: how long to wait for an answer before another source is asked as well.
    """

    def __init__(
        self,
        sources: Iterable[Key],
        needed: int,
        ask: Callable[[Key], Coroutine[Any, Any, Answer]],
        was_slow: Callable[[Key], object],
        patience_s: float,
    ) -> None:
        self._waiting = list(sources)
        self._needed = needed
        self._ask = ask
        self._was_slow = was_slow
        self._patience_s = patience_s
        self._running: dict[asyncio.Task[Answer], Key] = {}
        self._have: dict[Key, Answer] = {}
        self._reasons: list[str] = []

    async def __aenter__(self) -> Gathering[Key, Answer]:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def drop(self, source: Key, reason: str) -> None:
        """Takes back an answer that turned out to be wrong."""
        del self._have[source]
        self._reasons.append(reason)

    async def enough(self) -> dict[Key, Answer]:
        """Exactly as many answers as are needed, by source.

        Raises:
            UserFacingError: so many cannot be had.
        """
        while len(self._have) < self._needed:
            while self._waiting and len(self._have) + len(self._running) < self._needed:
                self._ask_next()
            if not self._running:
                raise lost(" ".join(self._reasons))
            done, late = await asyncio.wait(
                self._running,
                return_when=asyncio.FIRST_COMPLETED,
                timeout=self._patience_s if self._waiting else None,
            )
            if not done:
                for task in late:
                    self._was_slow(self._running[task])
                self._ask_next()
            for task in done:
                self._take(task)
        return {source: self._have[source] for source in list(self._have)[: self._needed]}

    def _ask_next(self) -> None:
        source = self._waiting.pop(0)
        self._running[asyncio.get_running_loop().create_task(self._ask(source), name=f"ask {source}")] = source

    def _take(self, task: asyncio.Task[Answer]) -> None:
        source = self._running.pop(task)
        try:
            self._have[source] = task.result()
        except UserFacingError as error:
            self._reasons.append(error.message)
