"""Whom to ask next for one piece of work: nobody twice, nobody who rests, and somebody busy only after waiting."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from depin_desktop.core.backoff import Backoff
from depin_desktop.customer.compute.asks import Ask
from depin_desktop.customer.compute.failures import AttemptFailed, Fault
from depin_desktop.customer.compute.hosts import Host, HostKey, Wish, hosts_of, in_order, nobody, with_stand_ins
from depin_desktop.customer.compute.scores import Scores
from depin_desktop.net.offers import NodeOffer

MAX_ATTEMPTS = 5
PATIENCE_S = 30.0
"""For so long in all one piece of work waits for providers that are busy."""

Offers = Callable[[], Mapping[str, NodeOffer]]


@dataclass
class Searcher:
    """What choosing needs to know, for all work of one customer."""

    offers: Offers
    scores: Scores
    backoff: Backoff
    in_flight: Counter[HostKey] = field(default_factory=Counter)

    def hosts(self, ask: Ask, wish: Wish, but: Iterable[str] = ()) -> list[Host]:
        """Who may be asked now, the best first.

        Raises:
            UserFacingError: nobody offers it, or nobody as is wished.
        """
        offers = [offer for offer in self.offers().values() if offer.compute is not None]
        serving = hosts_of(offers, ask.kind, ask.model)
        suiting = [host for host in serving if wish.suits(host, ask.ceiling(host))]
        left = in_order(suiting, ask.ceiling, self.scores.standing, lambda key: self.in_flight[key], time.time())
        if not left:
            raise nobody(ask.kind, ask.model, len(offers), len(serving), len(suiting))
        avoided = frozenset(but)
        return [host for host in left if host.owner not in avoided]

    def rested(self, hosts: Iterable[Host]) -> list[Host]:
        """Those that need not be left alone just now."""
        return [host for host in hosts if self.backoff.wait_s(host.owner) == 0]


class Search:
    """The attempts of one piece of work."""

    def __init__(self, searcher: Searcher, ask: Ask, wish: Wish) -> None:
        self._searcher = searcher
        self._ask = ask
        self._wish = wish
        self._failed: set[str] = set()
        self._attempts = 0
        self._patience_s = PATIENCE_S
        self._last: AttemptFailed | None = None

    async def next(self) -> Host:
        """The provider to ask now; waits a while where all that are left are busy.

        Raises:
            UserFacingError: there is none; after attempts the failure of the last one.
        """
        while True:
            left = self._searcher.hosts(self._ask, self._wish, self._failed)
            if ready := self._searcher.rested(left):
                if self._attempts >= MAX_ATTEMPTS and self._last is not None:
                    raise self._last
                self._attempts += 1
                return with_stand_ins(ready[0], left, self._ask.model, self._ask.ceiling)
            wait_s = min((self._searcher.backoff.wait_s(host.owner) for host in left), default=PATIENCE_S + 1)
            if wait_s > self._patience_s:
                raise self._last or nobody(self._ask.kind, self._ask.model, 1, 1, 1)
            self._patience_s -= wait_s
            await asyncio.sleep(wait_s)

    def failed(self, host: Host, error: AttemptFailed) -> None:
        """Counts an attempt that failed.

        Raises:
            AttemptFailed: nobody else need be asked.
        """
        if error.fault is Fault.CUSTOMER:
            raise error
        backoff = self._searcher.backoff
        if error.fault is Fault.BUSY:
            backoff.busy(host.owner, error.wait_s)
        else:
            self._failed.add(host.owner)
        if error.fault is Fault.PROVIDER:
            backoff.failed(host.owner)
            self._searcher.scores.failed(host.key, charged=error.paid)
        if self._last is None or self._last.fault is not Fault.FUNDS:
            self._last = error  # want of money is what its customer can do something about
