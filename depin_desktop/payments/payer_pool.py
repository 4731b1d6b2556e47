"""Several metered requests in flight to one provider: one channel for each, kept and used again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import headers as wire
from depin_desktop.payments.payer_account import Account, Signed

MAX_CHANNELS = 32
"""Requests in flight to one provider from one process; further ones wait. Each channel costs a deposit once."""


class Pool:
    """The accounts of one payer with one provider; each serves one request at a time.

    The one given back last is taken first: money lies in as few channels as the requests in flight need.
    """

    def __init__(self, create: Callable[[], Account], limit: int = MAX_CHANNELS) -> None:
        self._create = create
        self._idle: list[Account] = []
        self._free = asyncio.Semaphore(limit)

    async def take(self, provider: NodeOffer) -> Account:
        """An account that nobody else uses; waits where all are in use."""
        await self._free.acquire()
        account = self._idle.pop() if self._idle else self._create()
        account.provider = provider
        return account

    def put(self, account: Account, *, last: bool = False) -> None:
        """Gives an account back; `last` when it had better rest a while."""
        self._idle.insert(0 if last else len(self._idle), account)
        self._free.release()

    @property
    def idle(self) -> tuple[Account, ...]:
        """The accounts that nobody uses now."""
        return tuple(self._idle)


@dataclass
class Metered:
    """One metered request under way: what was signed for it, and where its account goes afterwards.

    Attributes:
        start: the channel's total before it.
        total: the highest total signed for it.
    """

    account: Account
    pool: Pool
    channel: bytes
    start: int
    total: int

    @staticmethod
    def of(account: Account, pool: Pool, signed: Signed) -> Metered:
        return Metered(account, pool, signed.channel, signed.total - signed.price, signed.total)

    def end(self, receipt: str | None) -> int | None:
        """Books what the receipt says, never more than was signed, and frees the account; returns the charge.

        Without a receipt nothing counts as charged: should the provider know better, its refusal of the next voucher
        tells its count, and both go on from there.
        """
        charged = _charged(receipt)
        if charged is not None:
            charged = min(charged, self.total - self.start)
        self.account.book(self.channel, self.start, self.total, charged or 0)
        self.pool.put(self.account)
        return charged


def _charged(receipt: str | None) -> int | None:
    try:
        response = wire.decode_response(receipt or "")
    except ValueError:
        return None
    return response.extra.charged_amount if response.extra is not None else None
