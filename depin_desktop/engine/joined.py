"""The engine once its chain has answered: payments, ledger, peers and hub around the services."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web

from depin_desktop.api.models import Activity
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.estimates import Estimates
from depin_desktop.core.bus import EventBus
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.engine.keys import Keys
from depin_desktop.engine.link import Link
from depin_desktop.engine.money import Figures, Money, parties_of
from depin_desktop.engine.offering import Offering
from depin_desktop.engine.payout import PayoutWatch
from depin_desktop.net.offers import ServiceOffer
from depin_desktop.payments.paywall import Paywall
from depin_desktop.services.base import Service
from depin_desktop.wallet.ledger import READS, voucher_kind
from depin_desktop.wallet.ledger_rows import Ledger
from depin_desktop.wallet.looks import Looks

log = logging.getLogger(__name__)

MONEY_EVERY_S = 30.0
CLAIM_EVERY_S = 30.0
COUNT_AFTER_S = 1.0  # many jobs a second may be paid: they are counted together
LAST_CLAIM_S = 5.0  # a chain that answers slowly must not hold the shutdown up; the vouchers stay good


class Joined:
    """Opens in the order of dependence and closes in the reverse one.

    Attributes:
        figures: what *Home* shows of money, as last computed.
        registered: whether the registry knows this operator.
        looks: what the owner could do with its money, looked at while the wallet is locked.
    """

    def __init__(
        self,
        chain: Chain,
        keys: Keys,
        database: Database,
        bus: EventBus,
        services: Sequence[Service],
        backed_up: Callable[[], Awaitable[bool]],
    ) -> None:
        self.link = Link(chain, keys, database)
        self.figures = Figures()
        self.registered = False
        self.money: Money
        self.watch: PayoutWatch
        self.looks = Looks(chain, keys.operator.address, keys.budget, Estimates(chain, keys.owner))
        self.counting = Cycle("engine/money", MONEY_EVERY_S, self._count)
        self.claiming = Cycle("engine/claims", CLAIM_EVERY_S, self._claim)
        self._chain = chain
        self._keys = keys
        self._database = database
        self._bus = bus
        self._services = services
        self._backed_up = backed_up
        self._ledger: Ledger
        self._paywall: Paywall | None = None
        self._offering: Offering | None = None
        self._counting_soon: asyncio.TimerHandle | None = None
        self._tasks = Tasks("joined")

    async def open(self) -> None:
        """Starts everything; raises UserFacingError when the chain goes away meanwhile."""
        keys, link = self._keys, self.link
        provider = await self._chain.registry.provider(keys.owner)
        self.registered = provider.operator == keys.operator.address
        self._ledger = ledger = Ledger(self._database, parties_of(keys, provider, link.network))
        await ledger.open()
        for payout in ledger.parties.payouts:
            link.indexer.also(payout)
        ledger.attach(link.indexer)
        self.watch = PayoutWatch(self._chain, link.indexer, keys.owner, self._pay_to)
        self._paywall = await link.open(ledger.parties.payout, self._on_paid)
        await ledger.catch_up(link.indexer)
        self.money = Money(self._chain, ledger, self._paywall.store, backed_up=self._backed_up)
        link.indexer.on_height(self.counting.trigger)
        link.on_withdrawal(self._withdrawal_began)
        app = web.Application(client_max_size=0)
        app.add_routes(self._paywall.routes())
        for service in self._services:
            await service.connect(self._chain, link.sender, paywall=self._paywall, index=link.indexer)
            app.add_routes(service.routes())
        peer, hub = await link.serve(app)
        self._offering = Offering(hub, peer, keys, ledger.parties.payout, link.network.chain_id, self._offered)
        self._tasks.spawn("offering", self._offering.cycle.run())
        self._tasks.spawn("payout", self.watch.cycle.run())
        self._tasks.spawn("money", self.counting.run())
        self._tasks.spawn("claims", self.claiming.run())

    def _offered(self) -> dict[str, ServiceOffer]:
        if not self.registered:
            return {}
        offers = ((service.kind.value, service.offer()) for service in self._services)
        return {name: offer for name, offer in offers if offer is not None}

    def offer_again(self) -> None:
        """The terms have changed: tell the hub now."""
        if self._offering is not None:
            self._offering.cycle.trigger()

    async def close(self) -> None:
        """Leaves the network, with what customers owe claimed where the chain answers in time."""
        if self._counting_soon is not None:
            self._counting_soon.cancel()
        await self._tasks.close()
        if self._offering is not None:
            await self._offering.withdraw()
            try:
                async with asyncio.timeout(LAST_CLAIM_S):
                    await self._claim(draining=True)
            except TimeoutError:
                log.info("the last claim goes on at the next start")
        await self.link.close()

    async def _pay_to(self, payout: str, seen: Mapping[str, int]) -> None:
        """The registry names this address; what was paid to others that it ever named stays in the books."""
        ledger = self._ledger
        before = ledger.parties
        if payout == before.payout and before.payouts.issuperset(seen):
            return
        await ledger.pay_to(payout, *seen)
        for address, block in seen.items():
            self.link.indexer.widen(address, block)
        if payout != before.payout:
            assert self._paywall is not None  # open() has run
            assert self._offering is not None
            log.info("earnings go to %s now", payout)
            self._paywall.pay_to(payout)
            self._offering.pay_to(payout)
            title = "Earnings go to the wallet" if payout == self._keys.owner else "Earnings go to another address"
            self._bus.publish("activity", Activity(at=time.time(), kind="payout", title=title, detail=payout))
        self.counting.trigger()

    def _on_paid(self, customer: str, amount: int, what: str) -> None:
        if voucher_kind(what) == READS:  # of work its service tells, many jobs in one line
            title = "A customer read from your disk"
            activity = Activity(at=time.time(), kind="paid", title=title, detail=f"{what}, {customer}", amount=amount)
            self._bus.publish("activity", activity)
        if self._counting_soon is None:
            self._counting_soon = asyncio.get_running_loop().call_later(COUNT_AFTER_S, self.counting.trigger)

    async def _count(self) -> None:
        self._counting_soon = None
        try:
            self.figures = await self.money.figures()
            self._bus.publish("wallet", await self.money.status())
            await self.money.learn_fees()
        except UserFacingError as error:
            log.info("the wallet cannot be read now: %s", error)

    async def _withdrawal_began(self, channel_id: bytes) -> None:
        """A customer wants its deposit back: nothing more is served on that channel, and its vouchers are claimed."""
        assert self._paywall is not None  # open() has run
        try:
            await self._paywall.withdrawal_began(channel_id)
        except UserFacingError as error:
            log.warning("channel %s cannot be read now: %s", channel_id.hex(), error)
        self.claiming.trigger()

    async def _claim(self, *, draining: bool = False) -> None:
        assert self._paywall is not None  # open() has run
        try:
            await self._paywall.maintain(draining=draining)
        except UserFacingError as error:
            log.warning("vouchers cannot be claimed now: %s", error)
