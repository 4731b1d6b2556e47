"""The market as the hub shows it: offers checked against the registry, providers reached by their node ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import aiohttp

from depin_desktop.chain.chain import Chain
from depin_desktop.customer.market import gone
from depin_desktop.net.hub import Hub
from depin_desktop.net.identity import Identity
from depin_desktop.net.offers import NodeOffer
from depin_desktop.net.peer import Peer
from depin_desktop.net.tunnel import Tunnel

TUNNEL_TIMEOUT_S = 5.0


class HubMarket:
    """Offers from the network's hub, sessions over a peer of this process's own.

    Args:
        direct: let bulk transfers go over TLS where that is possible.
    """

    def __init__(self, chain: Chain, *, direct: bool = True) -> None:
        network = chain.network
        self._chain = chain
        self._direct = direct
        self._hub = Hub(network.hub_urls, chain_id=network.chain_id, is_registered=self._is_registered)
        self._peer: Peer | None = None

    async def start(self) -> None:
        """Joins the hub and opens a peer under an identity that nobody keeps."""
        await self._hub.start()
        relays = self._chain.network.relays
        self._peer = await Peer.bind(Identity.generate(), relays=relays, direct=self._direct)

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

    def session(self, offer: NodeOffer, *, bulk: bool = False) -> aiohttp.ClientSession:
        assert self._peer is not None, "start() comes first"
        return self._peer.session(offer.node_id, offer.addresses, offer.relay_url, bulk=bulk)

    async def tunnel(self, owner: str, *, port: int = 0) -> Tunnel:
        """A loopback port behind which that provider's HTTP is, for programs that pay by themselves.

        Raises:
            UserFacingError: it offers nothing now, or the port is taken.
        """
        assert self._peer is not None, "start() comes first"
        wanted = owner.lower()
        await self.wait_until(lambda offers: wanted in {known.lower() for known in offers}, TUNNEL_TIMEOUT_S)
        offer = next((offer for known, offer in self.offers().items() if known.lower() == wanted), None)
        if offer is None:
            raise gone(owner)
        return await Tunnel.open(self._peer, offer.node_id, offer.addresses, offer.relay_url, port=port)
