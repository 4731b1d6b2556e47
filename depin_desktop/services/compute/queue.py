"""Who works next: customers take turns, however many jobs each has waiting.

A lane belongs to one model (or to WASM) and lets as many jobs run at once as that has slots. Everything here happens at
once, between two awaits; only `Lane.turn` waits.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.compute import policy

Item = TypeVar("Item")

MEMORY = 0.2  # the weight of the newest job in the mean time that a job takes
FIRST_GUESS_S = 1.0


class Busy(UserFacingError):
    """No place is free; `retry_after_s` says when one should be."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            "This provider has as much work as it can take.",
            f"Try again in {retry_after_s} s, or choose another provider.",
            code="busy",
            status=429,
        )
        self.retry_after_s = retry_after_s


class Rotation(Generic[Item]):
    """Items of several owners, given out one owner after the other, each owner's own in their order."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, deque[Item]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def waiting_of(self, owner: str) -> int:
        return len(self._of.get(owner, ()))

    def put(self, owner: str, item: Item) -> None:
        self._of.setdefault(owner, deque()).append(item)
        self._count += 1

    def take(self) -> Item | None:
        """The first item of the owner whose turn it is; then every other owner's turn comes before its next one."""
        if not self._of:
            return None
        owner, items = self._of.popitem(last=False)
        item = items.popleft()
        self._count -= 1
        if items:
            self._of[owner] = items
        return item

    def remove(self, owner: str, item: Item) -> bool:
        """Takes an item out of its turn; false where it is not there."""
        items = self._of.get(owner)
        if items is None or item not in items:
            return False
        items.remove(item)
        self._count -= 1
        if not items:
            del self._of[owner]
        return True


class Waiters:
    """How many jobs wait in all lanes together."""

    def __init__(self) -> None:
        self.count = 0
        self.of: dict[str, int] = {}

    def add(self, customer: str, change: int) -> None:
        self.count += change
        left = self.of.get(customer, 0) + change
        if left:
            self.of[customer] = left
        else:
            self.of.pop(customer, None)


class Lane:
    """The queue before one model.

    Args:
        slots: how many jobs may run at once; asked anew whenever a place may be free.
        waiters: shared by all lanes.
    """

    def __init__(self, slots: Callable[[], int], waiters: Waiters) -> None:
        self._slots = slots
        self._waiters = waiters
        self._waiting: Rotation[asyncio.Future[None]] = Rotation()
        self.running = 0
        self.mean_s = FIRST_GUESS_S

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def retry_after_s(self) -> int:
        """When somebody who is turned away had better come again."""
        return policy.retry_after_s(len(self), self._slots(), self.mean_s)

    def check(self, customer: str = "") -> None:
        """Raises Busy where another job, of that customer, would find no place to wait."""
        if self.running < self._slots() and not len(self):
            return
        if not policy.admitted(self._waiters.count, self._waiters.of.get(customer, 0), self._slots(), self.mean_s):
            raise Busy(self.retry_after_s)

    @asynccontextmanager
    async def turn(self, customer: str) -> AsyncIterator[None]:
        """Waits for a slot and holds it; raises Busy where there is no place to wait, or the wait becomes too long."""
        self.check(customer)
        if self.running < self._slots() and not len(self):
            self.running += 1
        else:
            await self._wait(customer)
        began = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self.running -= 1
            self.mean_s += MEMORY * (asyncio.get_running_loop().time() - began - self.mean_s)
            self.advance()

    async def _wait(self, customer: str) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put(customer, mine)
        self._waiters.add(customer, 1)
        try:
            async with asyncio.timeout(policy.LONGEST_WAIT_S):
                await mine
        except BaseException as error:
            if not self._waiting.remove(customer, mine):  # the turn came at the same moment: it goes to the next one
                self.running -= 1
                self.advance()
            if isinstance(error, TimeoutError):
                raise Busy(self.retry_after_s) from error
            raise
        finally:
            self._waiters.add(customer, -1)

    def advance(self) -> None:
        """Gives free slots to those who wait; to be called too when there are more slots than before."""
        while self.running < self._slots() and (ready := self._waiting.take()) is not None:
            if not ready.done():
                self.running += 1
                ready.set_result(None)
