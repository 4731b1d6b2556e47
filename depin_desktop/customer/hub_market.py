"""The market as the hub shows it: offers checked against the registry, providers reached by their node ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import aiohttp

from depin_desktop.chain.chain import Chain
from depin_desktop.net.hub import Hub
from depin_desktop.net.identity import Identity
from depin_desktop.net.offers import NodeOffer
from depin_desktop.net.peer import Peer


class HubMarket:
    """Offers from the network's hub, sessions over a peer of this process's own."""

    def __init__(self, chain: Chain) -> None:
        network = chain.network
        self._chain = chain
        self._hub = Hub(network.hub_urls, chain_id=network.chain_id, is_registered=self._is_registered)
        self._peer: Peer | None = None

    async def start(self) -> None:
        """Joins the hub and opens a peer under an identity that nobody keeps."""
        await self._hub.start()
        self._peer = await Peer.bind(Identity.generate(), relays=self._chain.network.relays)

    async def close(self) -> None:
        if self._peer is not None:
            await self._peer.close()
        await self._hub.stop()

    async def _is_registered(self, owner: str, operator: str, node_id: str) -> bool:
        provider = await self._chain.registry.provider(owner)
        return (
            provider.registered
            and provider.operator.lower() == operator.lower()
            and provider.node_id.hex() == node_id.lower()
        )

    def offers(self) -> Mapping[str, NodeOffer]:
        return self._hub.offers()

    async def wait_for(self, owners: Collection[str], count: int, timeout_s: float) -> None:
        wanted = set(owners)

        def enough(offers: Mapping[str, NodeOffer]) -> bool:
            if wanted:
                return len(wanted & offers.keys()) >= min(count, len(wanted))
            return sum(offer.storage is not None for offer in offers.values()) >= count

        await self.wait_until(enough, timeout_s)

    async def wait_until(self, enough: Callable[[Mapping[str, NodeOffer]], bool], timeout_s: float) -> None:
        await self._hub.wait_for_offers(enough, timeout_s)

    def session(self, offer: NodeOffer) -> aiohttp.ClientSession:
        assert self._peer is not None, "start() comes first"
        return self._peer.session(offer.node_id, offer.addresses, offer.relay_url)
