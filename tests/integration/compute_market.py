"""A provider of computing power as in the wild: registered, behind a paywall, over iroh; and customers who pay."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from eth_account import Account

from depin_desktop.api.compute import ComputeStatus, JobStatus
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.controls.controls import Controls
from depin_desktop.core.bus import EventBus
from depin_desktop.core.database import Database
from depin_desktop.core.home import Home
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN
from depin_desktop.customer.compute import sse
from depin_desktop.net.identity import Identity
from depin_desktop.net.offers import NodeOffer
from depin_desktop.net.peer import Peer
from depin_desktop.net.work_receipts import (
    JOB_HEADER,
    MORE_EVENT,
    PAYMENT_EVENT,
    RECEIPT_EVENT,
    RECEIPT_HEADER,
    WorkReceipt,
    signer_of,
)
from depin_desktop.payments.payer import Budget, Payer, PaymentFailed
from depin_desktop.payments.paywall import Paywall
from depin_desktop.services.base import Provider
from depin_desktop.services.compute.runtimes.base import Backend
from depin_desktop.services.compute.service import ComputeService
from depin_desktop.services.compute.sharing import Sharing
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.faucet_client import ask_faucet
from depin_desktop.wallet.onboarding import initialise
from depin_desktop.wallet.vault import Cost, Vault

PASSWORD = "correct horse battery"
FAST = Cost(n=16)


@dataclass
class Vendor:
    """One running provider."""

    home: Home
    owner: str
    service: ComputeService
    controls: Controls
    paywall: Paywall
    peer: Peer
    operator: Any
    chain: Chain
    database: Database
    bus: EventBus
    sharing: Sharing

    @property
    def offer(self) -> NodeOffer:
        return NodeOffer(
            owner=self.owner,
            operator=self.operator.address,
            payout=self.owner,
            node_id=self.peer.node_id,
            addresses=self.peer.addresses,
            chain_id=self.chain.network.chain_id,
            issued_at=time.time(),
            expires_at=time.time() + 600,
            compute=self.service.offer(),
        )

    def model(self, kind: str) -> str:
        """The hash of the model that is offered for a kind of work."""
        offer = self.service.offer()
        assert offer is not None
        return next(model.sha256 for model in offer.models if model.kind == kind)

    async def job(self, reached: Callable[[JobStatus], bool]) -> JobStatus:
        """The newest job that fulfils `reached`, once there is one."""
        status = await self.until(lambda status: any(map(reached, status.jobs)))
        return next(job for job in status.jobs if reached(job))

    async def until(self, reached: Callable[[ComputeStatus], bool], timeout_s: float = 30) -> ComputeStatus:
        """The first status that fulfils `reached`."""
        with self.bus.subscribe() as news:
            async with asyncio.timeout(timeout_s):
                while not reached(status := self.service.compute_status()):
                    while (await news.next()).topic != "compute":
                        pass
        return status


@contextlib.asynccontextmanager
async def vendor(
    home: Home, network: Network, backends: Callable[[Controls], Sequence[Backend]] | None = None, **options: Any
) -> AsyncIterator[Vendor]:
    """A provider on an initialised home, whose compute service is shared and connected.

    Args:
        backends: in place of what the engine uses: this machine's workers, and what is connected.
    """
    operator, owner = hotkeys.operator(home), Vault.load(home.vault).owner
    identity = Identity.load_or_create(home.keys / "node.key")
    async with contextlib.AsyncExitStack() as stack:
        chain = await Chain.connect(network)
        stack.push_async_callback(chain.close)
        database = Database(home.engine_database)
        await database.open()
        stack.push_async_callback(database.close)
        bus = EventBus()
        controls = Controls(home.controls, bus, sharing=lambda: True)
        await controls.start()
        stack.push_async_callback(controls.stop)
        sender = Sender(chain, operator, database)
        await sender.start()
        stack.push_async_callback(sender.stop)
        paywall = Paywall(
            chain, sender, database, receiver=owner, operator_account=operator,
            exposure_cap=100 * BASE_UNITS_PER_TOKEN,
        )  # fmt: skip
        await paywall.start()

        sharing = Sharing(home.compute, controls, lambda: service)
        stack.push_async_callback(sharing.close)

        async def made() -> Sequence[Backend]:
            return await sharing.backends() if backends is None else backends(controls)

        service = ComputeService(
            database, bus, Provider(owner, operator, identity.node_id), network, controls,
            folder=home.compute / "modules", backends=made, shelf=sharing.shelf, **options,
        )  # fmt: skip
        await service.start()
        stack.push_async_callback(service.stop)
        await service.connect(chain, sender, paywall=paywall)
        app = web.Application(client_max_size=0)
        app.add_routes(service.routes())
        peer = await Peer.bind(identity, relays=False)
        stack.push_async_callback(peer.close)
        await peer.serve(app)
        opened = Vendor(home, owner, service, controls, paywall, peer, operator, chain, database, bus, sharing)
        if not service.choices.shared:
            await service.choose(service.choices.__class__(service.choices.prices, shared=True))
        yield opened


async def new_home(folder: Path, network_file: Path) -> Home:
    """A registered provider's home."""
    home = Home(folder)
    await initialise(home, network_file, PASSWORD, spending_budget=50_000 * BASE_UNITS_PER_TOKEN, cost=FAST)
    return home


@dataclass
class Answer:
    """What came back: `data` is the whole answer, or a stream's unnamed events; `named` the others in their order."""

    status: int
    data: bytes
    receipt: WorkReceipt | None
    signer: str | None
    charged: int | None
    headers: Any
    named: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def text(self) -> str:
        """The text of a streamed chat."""
        parts = [json.loads(sse.parse(event + b"\n\n")[1]) for event in self.data.split(b"\n\n") if event]
        return "".join(c["delta"].get("content") or "" for part in parts for c in part.get("choices") or ())

    def check(self, vendor: Vendor) -> WorkReceipt:
        """The receipt, which the vendor's operator has signed over these very bytes."""
        assert self.receipt is not None
        assert self.signer == vendor.operator.address
        assert self.receipt.output_hash == hashlib.sha256(self.data).hexdigest()
        assert self.receipt.charged == self.charged
        return self.receipt


@dataclass
class Buyer:
    """A customer with tokens and no gas."""

    payer: Payer
    peer: Peer
    vendor: Vendor
    address: str

    @property
    def session(self) -> aiohttp.ClientSession:
        return self.peer.session(self.vendor.peer.node_id, self.vendor.peer.addresses)

    async def open(self, path: str, body: Any = None, data: bytes = b"") -> aiohttp.ClientResponse:
        """A paid answer, of which nothing has been read yet."""
        content = json.dumps(body).encode() if body is not None else data
        return await self.payer.request(
            self.session, "POST", path, self.vendor.offer, metered=True, data=content,
            headers={"Content-Type": "application/json"} if body is not None else {},
        )  # fmt: skip

    async def ask(self, path: str, body: Any = None, data: bytes = b"", *, pays_on: bool = True) -> Answer:
        """A paid answer to its end."""
        response = await self.open(path, body, data)
        if response.content_type == "text/event-stream":
            return await self.read(response, pays_on=pays_on)
        content = await response.read()
        receipt = response.headers.get(RECEIPT_HEADER)
        charged = await self.payer.settled(response) if response.status < 400 else None
        return _answer(response, content, receipt, charged)

    async def read(self, response: aiohttp.ClientResponse, *, pays_on: bool = True) -> Answer:
        """A stream to its end; pays what it asks for on the way."""
        plain, named, events = [], [], sse.Events()
        async for part in response.content.iter_any():
            for event in events.feed(part):
                if not sse.is_plain(event):
                    named.append(sse.parse(event))
                    if named[-1][0] == MORE_EVENT and pays_on:
                        with contextlib.suppress(PaymentFailed):  # it may just have ended: the stream says how
                            await self.pay(response, int(json.loads(named[-1][1])["amount"]))
                elif not sse.is_done(event):
                    plain.append(event)
        said = dict(named)
        payment = said.get(PAYMENT_EVENT, b"").decode() or None
        charged = await self.payer.settled(response, payment)
        answer = _answer(response, b"".join(plain), said.get(RECEIPT_EVENT, b"").decode() or None, charged)
        answer.named = named
        return answer

    async def pay(self, response: aiohttp.ClientResponse, amount: int) -> None:
        job = response.headers[JOB_HEADER]
        await self.payer.extend(self.session, f"/compute/jobs/{job}/pay", response, amount)

    async def send_module(self, module: bytes) -> str:
        sha256 = hashlib.sha256(module).hexdigest()
        async with self.session.put(f"/compute/modules/{sha256}", data=module) as response:
            assert response.status in (200, 201), await response.text()
        return sha256

    async def run(
        self, sha256: str, stdin: bytes = b"", *, fuel: int = 10**9, memory: int = 64 << 20, seconds: float = 5
    ) -> Answer:
        """One WASM job."""
        return await self.ask(f"/compute/wasm/{sha256}?fuel={fuel}&memory={memory}&seconds={seconds}", data=stdin)


def _answer(response: aiohttp.ClientResponse, data: bytes, receipt: str | None, charged: int | None) -> Answer:
    said = json.loads(receipt) if receipt else None
    return Answer(
        response.status,
        data,
        WorkReceipt.model_validate({k: v for k, v in said.items() if k != "signature"}) if said else None,
        signer_of(said) if said else None,
        charged,
        response.headers,
    )


@contextlib.asynccontextmanager
async def buyer(vendor: Vendor, folder: Path, budget: int = 5_000 * BASE_UNITS_PER_TOKEN) -> AsyncIterator[Buyer]:
    """A customer of `vendor` with a key and a node of its own."""
    account = Account.create()
    await ask_faucet(vendor.chain.network, account.address, tokens=10_000 * BASE_UNITS_PER_TOKEN, gas=0)
    chain = await Chain.connect(vendor.chain.network)
    database = Database(folder / "customer.sqlite")
    await database.open()
    payer = Payer(chain, account, database, budget=Budget(limit=budget))
    await payer.start()
    peer = await Peer.bind(Identity.load_or_create(folder / "node.key"), relays=False)
    try:
        yield Buyer(payer, peer, vendor, account.address)
    finally:
        await peer.close()
        await payer.close()
        await database.close()
        await chain.close()
