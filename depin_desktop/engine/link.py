"""The engine's link to its network: chain, peers and hub, joined in that order and healed for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from depin_desktop.api.models import HubStatus, NetworkStatus, NodeStatus
from depin_desktop.chain.calls import LogEvent
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.indexer import Indexer
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Tasks
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN
from depin_desktop.engine.keys import Keys
from depin_desktop.engine.relaying import open_relay
from depin_desktop.net.hub import Hub
from depin_desktop.net.peer import Peer
from depin_desktop.payments.paywall import Paywall

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
RETRY_JOIN_S = 5.0
SILENCE_S = 15.0  # the index looks at the head every few seconds; after so long without an answer it is away
EXPOSURE_CAP = 100 * BASE_UNITS_PER_TOKEN  # unclaimed vouchers of one customer


async def connect_patiently(network: Callable[[], Network], said: Callable[[str], None]) -> Chain:
    """Connects to the chain, however long it takes.

    Args:
        network: reads the profile, anew for each try, since a restarted network may have moved.
        said: gets the reason of each failure.
    """
    wait = FIRST_RETRY_S
    while True:
        try:
            return await Chain.connect(await asyncio.to_thread(network))
        except UserFacingError as error:
            said(error.message)
            log.info("the chain is out of reach: %s", error)
        await asyncio.sleep(wait)
        wait = min(LAST_RETRY_S, wait * 2)


class Link:
    """Everything that needs the network, once the chain has answered for the first time."""

    def __init__(self, chain: Chain, keys: Keys, database: Database) -> None:
        self.network = chain.network
        self.chain = chain
        self.sender = Sender(chain, keys.operator, database)
        self.indexer = Indexer(chain, database, accounts=(keys.owner, keys.operator.address, keys.spender))
        self.peer: Peer | None = None
        self.hub: Hub | None = None
        self._keys = keys
        self._database = database
        self._head = 0
        self._head_at = time.time()
        self._tasks = Tasks("link")
        self._relaying = contextlib.AsyncExitStack()

    async def open(self, payout: str, on_paid: Callable[[str, int, str], None]) -> Paywall:
        """Starts the sender, the index (which follows in the background) and what charges."""
        await self.sender.start()
        self.indexer.on_height(self._moved)
        self.indexer.on_way_back(self.sender.chain_went_back)
        await self.indexer.start()
        paywall = Paywall(
            self.chain,
            self.sender,
            self._database,
            receiver=payout,
            operator_account=self._keys.operator,
            exposure_cap=EXPOSURE_CAP,
            on_paid=on_paid,
        )
        await paywall.start()
        paywall.claimer.relay = await open_relay(self.chain, self._keys, self._database, self._relaying)
        self.indexer.on_way_back(paywall.chain_went_back)
        return paywall

    def on_withdrawal(self, tell: Callable[[bytes], Awaitable[object]]) -> None:
        """Calls back with the channel's id when its payer begins to withdraw the deposit, on whichever channel."""

        async def began(event: LogEvent) -> None:
            async def work() -> None:
                await tell(event.args["channel_id"])

            self._tasks.spawn("withdrawal", work())  # it asks the chain, and the index must not wait for that

        self.indexer.on("WithdrawInitiated", began, contract="settlement")

    async def serve(self, app: web.Application) -> tuple[Peer, Hub]:
        """Opens the peer port and joins the hub."""
        self.peer = await Peer.bind(self._keys.node, relays=self.network.relays, direct=True)
        await self.peer.serve(app)
        self.hub = Hub(self.network.hub_urls, chain_id=self.network.chain_id, is_registered=self._is_registered)
        await self.hub.start()
        return self.peer, self.hub

    async def _is_registered(self, owner: str, operator: str, node_id: str) -> bool:
        provider = await self.chain.registry.provider(owner)
        return provider.operator == operator and provider.node_id.hex() == node_id

    async def close(self) -> None:
        """Leaves in the reverse order; each part has its own time-out."""
        if self.hub is not None:
            await self.hub.stop()
        if self.peer is not None:
            await self.peer.close()
        await self._tasks.close()
        await self._relaying.aclose()
        await self.indexer.stop()
        await self.sender.stop()
        await self.chain.close()

    def _moved(self) -> None:
        self.sender.trigger()
        if self.indexer.height != self._head:
            self._head, self._head_at = self.indexer.height, time.time()

    def network_status(self) -> NetworkStatus:
        connected = time.time() - self.indexer.synced_at < SILENCE_S
        return NetworkStatus(
            name=self.network.name,
            chain_id=self.network.chain_id,
            symbol=self.network.symbol,
            private=self.network.private,
            connected=connected,
            block=max(0, self.indexer.height),
            block_at=self._head_at,
            detail="" if connected else "The chain does not answer; earning goes on and is booked when it is back.",
        )

    def hub_status(self) -> HubStatus:
        if self.hub is None:
            return HubStatus(connected=False, detail="not joined yet")
        return HubStatus(
            connected=self.hub.connected,
            detail="" if self.hub.connected else "The hub does not answer; customers who know this node still find it.",
            offers=len(self.hub.offers()),
        )

    def node_status(self) -> NodeStatus:
        return NodeStatus(
            node_id=self._keys.node.node_id,
            addresses=self.peer.addresses if self.peer else (),
            peers=self.peer.peers if self.peer else 0,
        )


def waiting_status(network: Network, detail: str) -> NetworkStatus:
    """The network's status before the chain has answered."""
    return NetworkStatus(
        name=network.name,
        chain_id=network.chain_id,
        symbol=network.symbol,
        private=network.private,
        connected=False,
        detail=detail or "connecting",
    )
