"""Keeps this node's signed offer on the hub: fresh while there is something to sell, gone when there is not."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from depin_desktop.core.tasks import Cycle
from depin_desktop.engine.keys import Keys
from depin_desktop.net.hub import Hub
from depin_desktop.net.offers import NodeOffer, ServiceOffer
from depin_desktop.net.peer import Peer

log = logging.getLogger(__name__)

INTERVAL_S = 20.0
LIFETIME_S = 90.0


class Offering:
    """Publishes at an interval; `cycle.trigger()` publishes at once, after a change.

    Args:
        offers: what each service sells now, by the name that it has in a `NodeOffer`.
    """

    def __init__(
        self,
        hub: Hub,
        peer: Peer,
        keys: Keys,
        payout: str,
        chain_id: int,
        offers: Callable[[], Mapping[str, ServiceOffer]],
    ) -> None:
        self.cycle = Cycle("offering", INTERVAL_S, self._round)
        self._hub = hub
        self._peer = peer
        self._keys = keys
        self._payout = payout
        self._chain_id = chain_id
        self._offers = offers
        self._last: NodeOffer | None = None

    def pay_to(self, payout: str) -> None:
        """Names another address to be paid, and tells the hub at once."""
        self._payout = payout
        self.cycle.trigger()

    async def _round(self) -> None:
        offers = self._offers()
        if not offers:
            await self.withdraw()
            return
        now = time.time()
        offer = NodeOffer(
            owner=self._keys.owner,
            operator=self._keys.operator.address,
            payout=self._payout,
            node_id=self._keys.node.node_id,
            addresses=self._peer.addresses,
            relay_url=self._peer.relay_url,
            chain_id=self._chain_id,
            issued_at=now,
            expires_at=now + LIFETIME_S,
        ).model_copy(update=dict(offers))
        await self._hub.publish_offer(offer, self._keys.operator)
        self._last = offer

    async def withdraw(self) -> None:
        """Takes the offer back, so that nobody calls a node that has left."""
        last, self._last = self._last, None
        if last is not None:
            await self._hub.withdraw_offer(last.owner)
