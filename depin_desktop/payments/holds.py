"""Work whose price is known only when it is done: the customer signs a ceiling, and what was used is charged.

While a hold is open its channel takes no other payment: the next voucher continues from what this one will have
charged. A hold that nobody ends is given up after a while, so that no fault here keeps a customer's channel busy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

from aiohttp import web

from depin_desktop.core.errors import UserFacingError
from depin_desktop.payments.answers import Payment
from depin_desktop.payments.refusals import PaymentRefused, Refusal
from depin_desktop.payments.store import Channel, Promise

Key = TypeVar("Key", bound=Hashable)

HOLD_TIMEOUT_S = 600.0
"""Longer than any slice of work that one ceiling pays for; each further voucher begins it anew."""


@dataclass
class Hold:
    """A ceiling that a customer has signed for one piece of work. End it by `charge` or `cancel`; `async with` cancels.

    Attributes:
        customer: the payer's address.
        ceiling: base units that may be charged at most.
        promise: the newest voucher, and the whole span of the channel's money that is held.
    """

    channel: Channel
    description: str
    ceiling: int
    promise: Promise
    transaction: str
    deadline: float
    _charge: Callable[[Hold, int], Awaitable[Payment]] = field(repr=False)
    _extend: Callable[[Hold, web.Request, int], Awaitable[None]] = field(repr=False)
    _end: Callable[[Hold], None] = field(repr=False)
    ended: bool = False

    @property
    def customer(self) -> str:
        return self.channel.config.payer

    @property
    def channel_id(self) -> bytes:
        return self.channel.id

    async def charge(self, actual: int) -> Payment:
        """Charges what was used and ends the hold; returns once voucher and charge are on disk, in one transaction.

        Args:
            actual: base units, at most `ceiling`; 0 works.

        Raises:
            ValueError: more than the ceiling.
            UserFacingError: "hold-ended": it was ended before, or given up for taking too long.
        """
        if not 0 <= actual <= self.ceiling:
            raise ValueError(f"{actual} is not between 0 and the ceiling of {self.ceiling}")
        if self.ended:
            raise hold_ended()
        self.ended = True  # before the first await: a charge happens once
        try:
            return await self._charge(self, actual)
        finally:
            self._end(self)

    async def cancel(self) -> None:
        """Ends the hold without a charge; does nothing when it has ended."""
        self.ended = True
        self._end(self)

    async def extend(self, request: web.Request, more: int) -> int:
        """Takes a further voucher of the same channel from `request` and raises the ceiling; returns the new one.

        The same voucher sent again changes nothing.

        Raises:
            web.HTTPPaymentRequired: `request` does not pay `more`.
            UserFacingError: "hold-ended".
        """
        if self.ended:
            raise hold_ended()
        await self._extend(self, request, more)
        return self.ceiling

    def grow(self, promise: Promise, more: int, deadline: float) -> None:
        """Adds a verified voucher that continues the span held.

        Raises:
            PaymentRefused: it does not.
        """
        if self.ended or promise.start != self.promise.total:
            raise PaymentRefused(Refusal.TOTAL)
        self.promise = Promise(promise.total, promise.signature, promise.total - self.promise.start)
        self.ceiling += more
        self.deadline = deadline

    async def __aenter__(self) -> Hold:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.ended:
            await self.cancel()


def hold_ended() -> UserFacingError:
    """The error of using a hold after its end."""
    return UserFacingError("This payment has already ended.", "Send the request again.", code="hold-ended", status=409)


class Holds:
    """Which channels are busy. Everything here happens at once, between two awaits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[bytes, Hold] = {}
        self._passing: dict[bytes, int] = {}
        self._alone: set[bytes] = set()
        self._being_charged: dict[str, int] = {}

    def holding(self, channel: bytes) -> Hold | None:
        """The open hold on a channel; one that is past its time is given up."""
        hold = self._open.get(channel)
        if hold is not None and self._clock() >= hold.deadline:
            hold.ended = True
            del self._open[channel]
            return None
        return hold

    def check_free(self, channel: bytes, *, whole: bool = False) -> None:
        """Refuses while the channel is held or refunded; with `whole` also while single charges are being written.

        Raises:
            PaymentRefused: it is.
        """
        busy = self.holding(channel) is not None or channel in self._alone
        if busy or (whole and channel in self._passing):
            raise PaymentRefused(Refusal.BUSY)

    def open(self, hold: Hold) -> Hold:
        """Makes the hold's channel busy; raises PaymentRefused where it is."""
        self.check_free(hold.channel.id, whole=True)
        self._open[hold.channel.id] = hold
        return hold

    def end(self, hold: Hold) -> None:
        """Frees the channel, if it is this hold that has it."""
        if self._open.get(hold.channel.id) is hold:
            del self._open[hold.channel.id]

    @contextlib.contextmanager
    def passing(self, channel: Channel, amount: int = 0) -> Iterator[None]:
        """Around a single charge of `amount`: no hold begins on its channel meanwhile.

        Raises:
            PaymentRefused: the channel is held, or refunded.
        """
        self.check_free(channel.id)
        self._passing[channel.id] = self._passing.get(channel.id, 0) + 1
        payer = channel.config.payer
        self._being_charged[payer] = self._being_charged.get(payer, 0) + amount
        try:
            yield
        finally:
            _take_off(self._passing, channel.id, 1)
            _take_off(self._being_charged, payer, amount)

    @contextlib.contextmanager
    def alone(self, channel: Channel) -> Iterator[None]:
        """Around a refund: nothing else happens on its channel meanwhile, another refund neither.

        Raises:
            PaymentRefused: something does.
        """
        self.check_free(channel.id, whole=True)
        self._alone.add(channel.id)
        try:
            yield
        finally:
            self._alone.discard(channel.id)

    def promised_by(self, payer: str) -> int:
        """Base units that one customer may come to owe for work under way and charges being written."""
        held = sum(hold.ceiling for hold in self._open.values() if hold.customer == payer)
        return held + self._being_charged.get(payer, 0)


def _take_off(counts: dict[Key, int], key: Key, amount: int) -> None:
    left = counts.get(key, 0) - amount
    if left:
        counts[key] = left
    else:
        counts.pop(key, None)  # an amount of 0 may have been taken off by another of the same key
