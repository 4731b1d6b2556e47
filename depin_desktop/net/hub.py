"""The hub: NATS servers on which providers leave signed offers and customers find them.

A hub can drop or delay messages but not forge them: whatever is unsigned, expired, for another chain, older than what
is known, or not by a registered operator is dropped and counted. Its absence is a state, never an exception. Several
hubs are followed at once, so that one that hides offers hides nothing as long as another shows them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.net.hub_link import HubLink
from depin_desktop.net.offers import NodeOffer, Rejected, key_of, open_envelope, seal_envelope
from depin_desktop.net.signing import Account

log = logging.getLogger(__name__)

SWEEP_S = 5.0
REGISTERED_TTL_S = 60.0
UNREGISTERED_TTL_S = 10.0  # someone who has just registered is not kept waiting
MAX_REMEMBERED = 10_000

IsRegistered = Callable[[str, str, str], Awaitable[bool]]
OnChange = Callable[[], object]


class Hub:
    """One network's hubs; used by providers to offer and by customers to find.

    Args:
        urls: the hubs; each is followed, and every offer is left with each.
        chain_id: offers for other chains are dropped.
        is_registered: asks the registry whether (owner, operator, node id) belong together; answers are remembered
            for a minute.
        on_change: called after a connection or the offers changed.
        clock: Unix seconds.

    Attributes:
        rejected: how many messages were dropped, by reason.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        chain_id: int,
        is_registered: IsRegistered,
        on_change: OnChange | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._links = [HubLink(url, self._take, self._link_changed) for url in urls]
        self._chain_id = chain_id
        self._is_registered = is_registered
        self.on_change = on_change
        self._clock = clock
        self._tasks = Tasks("hub")
        self._offers: dict[str, NodeOffer] = {}
        self._issued: dict[str, float] = {}  # outlives the offers, so that an old one never comes back
        self._registrations: dict[tuple[str, str, str], tuple[bool, float]] = {}
        self._own: dict[str, tuple[NodeOffer, bytes, Account]] = {}
        self._changed = asyncio.Condition()
        self.rejected: Counter[str] = Counter()
        self.sweep_cycle = Cycle("hub sweep", SWEEP_S, self._sweep)

    @property
    def connected(self) -> bool:
        """Whether at least one hub answers and its offers are being watched."""
        return any(link.connected for link in self._links)

    async def start(self) -> None:
        """Begins to join; returns at once, also while the hubs are away."""
        for link in self._links:
            await link.start()
        self._tasks.spawn("sweep", self.sweep_cycle.run())

    async def stop(self) -> None:
        """Leaves the hubs."""
        await self._tasks.close()
        await asyncio.gather(*(link.stop() for link in self._links))

    async def check(self) -> None:
        """Looks now whether every hub still has its bucket; otherwise that happens every few seconds."""
        await asyncio.gather(*(link.check_cycle.trigger_and_wait() for link in self._links))

    # --- finding ----------------------------------------------------------------------------------------------------

    def offers(self) -> Mapping[str, NodeOffer]:
        """Verified offers of something that have not expired, by owner."""
        now = self._clock()
        return {owner: offer for owner, offer in self._offers.items() if offer.expires_at > now and not offer.empty}

    async def wait_for_offers(
        self, enough: Callable[[Mapping[str, NodeOffer]], bool], timeout_s: float
    ) -> Mapping[str, NodeOffer]:
        """Returns the offers once `enough` says so, or what there is when the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: enough(self.offers()))
        return self.offers()

    # --- offering ---------------------------------------------------------------------------------------------------

    async def publish_offer(self, offer: NodeOffer, operator: Account) -> bool:
        """Signs the offer and leaves it with every hub, now and whenever one comes back while the offer is valid.

        False while no hub has taken it.
        """
        envelope = seal_envelope(offer, operator)
        self._own[offer.owner] = (offer, envelope, operator)
        return await self._put(offer.owner, envelope)

    async def withdraw_offer(self, owner: str) -> bool:
        """Says that nothing is for sale any more; False while no hub is there, where the offer expires by itself."""
        known = self._own.get(owner)
        if known is None:
            return True
        offer, _, operator = known
        nothing = offer.emptied(issued_at=max(self._clock(), offer.issued_at + 0.001))
        return await self.publish_offer(nothing, operator)

    async def _put(self, owner: str, envelope: bytes) -> bool:
        taken = await asyncio.gather(*(link.put(key_of(owner), envelope) for link in self._links))
        return any(taken)

    # --- following --------------------------------------------------------------------------------------------------

    async def _link_changed(self) -> None:
        now = self._clock()
        for owner, (offer, envelope, _) in list(self._own.items()):
            if offer.expires_at > now:
                await self._put(owner, envelope)
        await self._announce()

    async def _take(self, key: str, envelope: bytes) -> None:
        """Believes one message from a hub, or drops and counts it."""
        try:
            offer = open_envelope(envelope, chain_id=self._chain_id, now=self._clock())
            await self._believe(key, offer)
        except Rejected as rejected:
            self.rejected[rejected.reason] += 1
            log.info("dropped an offer under %.44s: %s", key, rejected.reason)

    async def _believe(self, key: str, offer: NodeOffer) -> None:
        known = self._issued.get(offer.owner, 0)
        if key_of(offer.owner) != key:
            raise Rejected("wrong-key")
        if offer.issued_at < known:
            raise Rejected("older")
        if offer.issued_at == known:
            return  # the same again, by way of another hub or after joining anew
        if not await self._check_registered(offer):
            raise Rejected("unregistered")
        self._issued[offer.owner] = offer.issued_at
        self._offers[offer.owner] = offer
        await self._announce()

    async def _check_registered(self, offer: NodeOffer) -> bool:
        identity = (offer.owner, offer.operator, offer.node_id)
        found, until = self._registrations.get(identity, (False, 0.0))
        if until > time.monotonic():
            return found
        try:
            found = await self._is_registered(*identity)
        except Exception as error:  # noqa: BLE001 - the callback is the caller's; its failure must not end the watch
            log.warning("the registry could not be asked about %s: %r", offer.owner, error)
            raise Rejected("registry-away") from None
        if len(self._registrations) >= MAX_REMEMBERED:
            del self._registrations[next(iter(self._registrations))]
        self._registrations[identity] = found, time.monotonic() + (REGISTERED_TTL_S if found else UNREGISTERED_TTL_S)
        return found

    async def _sweep(self) -> None:
        """Drops what has expired, so that waiting customers and pages notice."""
        now = self._clock()
        expired = [owner for owner, offer in self._offers.items() if offer.expires_at <= now]
        for owner in expired:
            del self._offers[owner]
        if expired:
            await self._announce()

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()
        if self.on_change is not None:
            self.on_change()
