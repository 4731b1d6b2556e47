"""A shop behind the paywall: real chain, sender and HTTP server; and customers with tokens but no gas."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from eth_account import Account
from eth_account.signers.local import LocalAccount

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import headers as wire
from depin_desktop.payments.payer import Budget, Payer
from depin_desktop.payments.paywall import Hold, Paywall

DELAY_S = 3600


@dataclass
class Shop:
    """One provider who sells `GET /goods/{price}`, and metered work: `/work/{ceiling}/{used}`.

    `?stream` ends with its receipt as an event; it waits for `go_on` after the first. Further vouchers for
    it come to `POST /pay/{more}`.
    """

    chain: Chain
    operator: LocalAccount
    owner: LocalAccount
    paywall: Paywall
    sender: Sender
    url: str
    base: str = ""
    served: list[int] = field(default_factory=list)
    drop_answers: int = 0  # so many answers are lost after the charge
    sent: list[str] = field(default_factory=list)  # payment headers as they came
    holds: list[Hold] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    payout: str = ""  # where its offer says that it is paid, if not to the owner

    @property
    def offer(self) -> NodeOffer:
        return NodeOffer(
            owner=self.owner.address,
            operator=self.operator.address,
            payout=self.payout or self.owner.address,
            node_id="00" * 32,
            addresses=(),
            chain_id=self.chain.network.chain_id,
            issued_at=0,
            expires_at=math.inf,
        )

    def app(self) -> web.Application:
        """The shop's routes, for one server."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/free", self.free),
                web.get("/goods/{price}", self.goods),
                web.route("*", "/work/{ceiling}/{used}", self.work),
                web.post("/pay/{more}", self.pay),
                *self.paywall.routes(),
            ]
        )
        return app

    async def free(self, request: web.Request) -> web.Response:
        """What costs nothing, to compare with."""
        return web.Response(body=b"x" * 10)

    async def goods(self, request: web.Request) -> web.Response:
        self.sent.append(request.headers.get(wire.PAYMENT_SIGNATURE, ""))
        price = int(request.match_info["price"])
        payment = await self.paywall.charge(request, price, "reads")
        self._maybe_drop(request)
        self.served.append(price)
        return web.Response(body=b"x" * 10, headers=payment.headers)

    async def work(self, request: web.Request) -> web.StreamResponse:
        self.sent.append(request.headers.get(wire.PAYMENT_SIGNATURE, ""))
        used = int(request.match_info["used"])
        async with await self.paywall.hold(request, int(request.match_info["ceiling"]), "work") as hold:
            self.holds.append(hold)
            if "stream" in request.query:
                return await self._stream(request, hold, used)
            if "fail" in request.query:
                raise web.HTTPInternalServerError
            payment = await hold.charge(used)
            self._maybe_drop(request)
            return web.Response(body=b"x" * 10, headers=payment.headers)

    async def _stream(self, request: web.Request, hold: Hold, used: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: first\n\n")
        await self.go_on.wait()
        payment = await hold.charge(min(used, hold.ceiling))
        self._maybe_drop(request)
        await response.write(b"event: x402.payment-response\ndata: ")
        await response.write(payment.headers[wire.PAYMENT_RESPONSE].encode() + b"\n\ndata: [DONE]\n\n")
        return response

    async def pay(self, request: web.Request) -> web.Response:
        await self.holds[-1].extend(request, int(request.match_info["more"]))
        self._maybe_drop(request)
        return web.Response()

    def _maybe_drop(self, request: web.Request) -> None:
        if self.drop_answers:
            self.drop_answers -= 1
            assert request.transport is not None
            request.transport.abort()


@contextlib.asynccontextmanager
async def open_shop(network: Network, folder: Path, fund: Any, **options: Any) -> AsyncIterator[Shop]:
    """A shop on its own keys; `options` go to the paywall."""
    operator, owner = Account.create(), Account.create()
    await fund(operator.address, tokens=0)
    async with shop_of(network, folder, operator, owner, **options) as shop:
        yield shop


@contextlib.asynccontextmanager
async def shop_of(
    network: Network, folder: Path, operator: LocalAccount, owner: LocalAccount, **options: Any
) -> AsyncIterator[Shop]:
    """The same with given keys: opened twice on one folder it is a shop after a restart."""
    chain = await Chain.connect(network)
    database = Database(folder / "shop.sqlite")
    await database.open()
    sender = Sender(chain, operator, database)
    await sender.start()
    settings: dict[str, Any] = {"exposure_cap": 0, "withdraw_delay_s": DELAY_S} | options
    paywall = Paywall(chain, sender, database, receiver=owner.address, operator_account=operator, **settings)
    await paywall.start()
    shop = Shop(chain, operator, owner, paywall, sender, "")
    server = TestServer(shop.app())
    await server.start_server()
    shop.base = str(server.make_url("/"))
    shop.url = f"{shop.base}goods/"
    try:
        yield shop
    finally:
        await server.close()
        await sender.stop()
        await database.close()
        await chain.close()


@dataclass
class Customer:
    """A payer and what it needs."""

    payer: Payer
    account: LocalAccount
    session: aiohttp.ClientSession
    chain: Chain

    async def buy(self, shop: Shop, cost: int, **kw: Any) -> aiohttp.ClientResponse:
        response = await self.payer.request(self.session, "GET", f"{shop.url}{cost}", shop.offer, **kw)
        await response.read()
        return response

    async def ask(self, shop: Shop, path: str, price: int | None = None) -> aiohttp.ClientResponse:
        """A metered answer, not yet read or settled."""
        return await self.payer.request(
            self.session, "POST", f"{shop.base}{path}", shop.offer, price=price, metered=True
        )

    async def use(self, shop: Shop, ceiling: int, used: int, price: int | None = None) -> int | None:
        """Metered work to its end; what was charged for it."""
        response = await self.ask(shop, f"work/{ceiling}/{used}", price)
        assert response.status == 200
        await response.read()
        return await self.payer.settled(response)


@contextlib.asynccontextmanager
async def customer_of(
    network: Network, folder: Path, account: LocalAccount, budget: Budget | None = None, **options: Any
) -> AsyncIterator[Customer]:
    chain = await Chain.connect(network)
    database = Database(folder / "customer.sqlite")
    await database.open()
    payer = Payer(chain, account, database, budget=budget or Budget(), **options)
    await payer.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Customer(payer, account, session, chain)
    finally:
        await payer.close()
        await database.close()
        await chain.close()
