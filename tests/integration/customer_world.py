"""Providers as they are in the wild: registered, on disks, behind a paywall, over iroh, found on the hub."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from eth_account.signers.local import LocalAccount

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.core.home import Home
from depin_desktop.core.units import MIB
from depin_desktop.net.hub import Hub
from depin_desktop.net.identity import Identity
from depin_desktop.net.offers import NodeOffer
from depin_desktop.net.peer import Peer
from depin_desktop.payments.paywall import Paywall
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.vault import Vault
from tests.unit.storage_rig import Rig, rig


@dataclass
class Seller:
    """One running provider."""

    owner: str
    rig: Rig
    paywall: Paywall
    peer: Peer
    hub: Hub
    operator: LocalAccount
    chain_id: int
    requests: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)  # methods that fail with 503
    cut: int = 0  # so many answers break off in their middle

    async def offer(self) -> None:
        """Leaves its offer with the hub."""
        await self.hub.wait_for_offers(lambda _: self.hub.connected, 5)
        offer = NodeOffer(
            owner=self.owner,
            operator=self.operator.address,
            payout=self.owner,
            node_id=self.peer.node_id,
            addresses=self.peer.addresses,
            chain_id=self.chain_id,
            issued_at=time.time(),
            expires_at=time.time() + 600,
            storage=self.rig.service.offer(),
        )
        assert await self.hub.publish_offer(offer, self.operator)

    async def leave(self) -> None:
        """Goes as by a power cut: its offer stays with the hub, nobody answers."""
        await self.peer.close()

    def damage(self) -> int:
        """Flips a byte in the middle of every stored piece of some size, as a bad disk would; returns how many."""
        pieces = (self.rig.folder / "depin-storage" / "pieces").rglob("*.piece")
        damaged = [path for path in pieces if path.stat().st_size > 4096]
        for path in damaged:
            path.chmod(0o600)
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        return len(damaged)

    @property
    def stored(self) -> int:
        return len(list((self.rig.folder / "depin-storage" / "pieces").rglob("*.piece")))


@contextlib.asynccontextmanager
async def seller(home: Home, network: Network, **options: Any) -> AsyncIterator[Seller]:
    operator, owner = hotkeys.operator(home), Vault.load(home.vault).owner
    identity = Identity.load_or_create(home.keys / "node.key")
    chain = await Chain.connect(network)
    share = options.pop("share", 512 * MIB)
    async with rig(
        home.root, home.root / "disk", owner=owner, operator=operator, node_id=identity.node_id, network=network,
        share=share, **options,
    ) as r:  # fmt: skip
        sender = Sender(chain, operator, r.database)
        await sender.start()
        paywall = Paywall(chain, sender, r.database, receiver=owner, operator_account=operator, exposure_cap=0)
        await paywall.start()
        await r.service.connect(chain, sender, paywall=paywall)

        @web.middleware
        async def watch(request: web.Request, handler: Any) -> Any:
            opened.requests.append(f"{request.method} {request.path} {request.headers.get('Range', '')}".strip())
            if request.method in opened.refuse:
                raise web.HTTPServiceUnavailable
            return await handler(request)

        app = web.Application(middlewares=[watch])
        app.add_routes(r.service.routes())

        async def break_off(request: web.Request, response: web.StreamResponse) -> None:
            if request.method != "GET" or not opened.cut or (response.content_length or 0) < MIB // 2:
                return
            opened.cut -= 1
            whole = response.write

            async def half(data: bytes) -> None:
                await whole(data[: len(data) * 3 // 4])
                assert request.transport is not None
                request.transport.close()  # what was written still arrives
                raise ConnectionResetError

            response.write = half  # type: ignore[assignment,method-assign]

        app.on_response_prepare.append(break_off)
        peer = await Peer.bind(identity, relays=False)

        async def registered(*_: str) -> bool:
            return True

        hub = Hub(network.hub_urls, chain_id=network.chain_id, is_registered=registered)
        opened = Seller(owner, r, paywall, peer, hub, operator, network.chain_id)
        await peer.serve(app)
        await hub.start()
        await opened.offer()
        try:
            yield opened
        finally:
            await hub.withdraw_offer(owner)
            await hub.stop()
            await peer.close()
            await sender.stop()
            await chain.close()


@contextlib.asynccontextmanager
async def sellers(make_home: Any, network: Network, count: int, **options: Any) -> AsyncIterator[list[Seller]]:
    async with contextlib.AsyncExitStack() as stack:
        homes = [await make_home(f"provider{at}") for at in range(count)]
        yield [await stack.enter_async_context(seller(home, network, **options)) for home in homes]


def content(size: int, seed: int = 1) -> bytes:
    import random

    return random.Random(seed).randbytes(size)


def write(path: Path, size: int, seed: int = 1) -> bytes:
    data = content(size, seed)
    path.write_bytes(data)
    return data
