"""Offers travel over a real nats-server; what is not true is dropped, and the hub's absence heals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from depin_desktop.localnet.binaries import find_nats_server
from depin_desktop.net.hub import Hub
from depin_desktop.net.offers import BUCKET, NodeOffer, StorageOffer, key_of, seal_envelope

CHAIN = 31337
OWNER, OTHER_OWNER = Account.from_key(b"\x01" * 32).address, Account.from_key(b"\x11" * 32).address
OPERATOR, STRANGER = Account.from_key(b"\x02" * 32), Account.from_key(b"\x03" * 32)
WAIT_S = 10.0


class Server:
    """A nats-server with JetStream on a port and folder of its own, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {"listen": f"127.0.0.1:{self.port}", "jetstream": {"store_dir": str(self.folder)}}
        config = self.folder / "nats.conf"
        config.write_text(json.dumps(settings), "utf-8")
        self._process = await asyncio.create_subprocess_exec(
            str(find_nats_server()), "--config", str(config), stderr=asyncio.subprocess.PIPE
        )
        assert self._process.stderr is not None
        while b"Server is ready" not in await self._process.stderr.readline():
            pass

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()
            self._process = None

    def forget_everything(self) -> None:
        shutil.rmtree(self.folder)


class World:
    """Hubs of providers and customers on one server, a registry that is a set, and a clock that can be set."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.registered = {(OWNER, OPERATOR.address)}
        self.asked = 0
        self.questions: asyncio.Queue[str] = asyncio.Queue()
        self.registry_works = True
        self.offset = 0.0
        self._hubs: list[Hub] = []

    def now(self) -> float:
        return time.time() + self.offset

    async def is_registered(self, owner: str, operator: str, node_id: str) -> bool:
        self.asked += 1
        self.questions.put_nowait(owner)
        if not self.registry_works:
            raise ConnectionError("no chain")
        return (owner, operator) in self.registered

    async def hub(self, *, joined: bool = True) -> Hub:
        hub = Hub(self.urls, chain_id=CHAIN, is_registered=self.is_registered, clock=self.now)
        await hub.start()
        self._hubs.append(hub)
        if joined:
            await until(hub, lambda: hub.connected)
        return hub

    def offer(self, **changes: object) -> NodeOffer:
        fields: dict[str, object] = {
            "owner": OWNER,
            "operator": OPERATOR.address,
            "payout": OWNER,
            "node_id": "ab" * 32,
            "addresses": ("127.0.0.1:4000",),
            "chain_id": CHAIN,
            "issued_at": self.now(),
            "expires_at": self.now() + 90,
            "storage": StorageOffer(
                free_bytes=2**40, max_piece_bytes=2**28, price_per_leaf_period=1, price_per_gib_read=1
            ),
        }
        return NodeOffer.model_validate({**fields, **changes})

    async def close(self) -> None:
        for hub in self._hubs:
            await hub.stop()


async def until(hub: Hub, fact) -> None:
    """Waits for `fact` as a customer of the hub does: by its announcements."""
    await hub.wait_for_offers(lambda _: fact(), WAIT_S)
    assert fact()


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    server = Server(tmp_path / "nats")
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def world(server) -> AsyncIterator[World]:
    world = World([server.url])
    yield world
    await world.close()


@contextlib.asynccontextmanager
async def raw_bucket(server: Server):
    """The bucket as anybody on the network can write to it."""
    client = await nats.connect(server.url)
    try:
        yield await client.jetstream().key_value(BUCKET)
    finally:
        await client.close()


async def forge(server: Server, key: str, envelope: bytes) -> None:
    async with raw_bucket(server) as bucket:
        await bucket.put(key, envelope)


async def test_an_offer_reaches_customers_present_and_to_come(world):
    provider, present = await world.hub(), await world.hub()
    offer = world.offer()
    assert await provider.publish_offer(offer, OPERATOR)
    await until(present, lambda: present.offers().get(OWNER) == offer)
    later = await world.hub()
    await until(later, lambda: later.offers().get(OWNER) == offer)


async def test_a_newer_offer_replaces_the_older(world):
    provider, customer = await world.hub(), await world.hub()
    await provider.publish_offer(world.offer(), OPERATOR)
    newer = world.offer(addresses=("127.0.0.1:5000",))
    await provider.publish_offer(newer, OPERATOR)
    await until(customer, lambda: customer.offers().get(OWNER) == newer)


async def test_a_replayed_older_offer_is_dropped(world, server):
    provider, customer = await world.hub(), await world.hub()
    older, newer = world.offer(addresses=("127.0.0.1:1",)), world.offer(addresses=("127.0.0.1:2",))
    await provider.publish_offer(newer, OPERATOR)
    await until(customer, lambda: OWNER in customer.offers())
    await forge(server, key_of(OWNER), seal_envelope(older, OPERATOR))
    await until_rejected(customer, "older", world, provider)
    assert customer.offers()[OWNER] == newer


async def test_an_older_offer_does_not_come_back_when_the_newer_has_expired(world, server):
    provider, customer = await world.hub(), await world.hub()
    older = world.offer(expires_at=world.now() + 600)
    await provider.publish_offer(world.offer(expires_at=world.now() + 60), OPERATOR)
    await until(customer, lambda: OWNER in customer.offers())
    world.offset = 120
    await customer.sweep_cycle.trigger_and_wait()
    await forge(server, key_of(OWNER), seal_envelope(older, OPERATOR))
    await until_rejected(customer, "older", world, provider)
    assert OWNER not in customer.offers()


async def until_rejected(hub: Hub, reason: str, world: World, provider: Hub) -> None:
    """Rejections are not announced: an honest offer behind the forged one shows that the latter has been judged."""
    world.registered.add((OTHER_OWNER, OPERATOR.address))
    marker = world.offer(owner=OTHER_OWNER, payout=OTHER_OWNER)
    assert await provider.publish_offer(marker, OPERATOR)
    await until(hub, lambda: hub.offers().get(OTHER_OWNER) == marker)
    assert hub.rejected[reason] == 1


@pytest.mark.parametrize(
    ("changes", "signer", "reason"),
    [
        ({}, STRANGER, "bad-signature"),
        ({"operator": STRANGER.address}, STRANGER, "unregistered"),
        ({"expires_at": 1.0}, OPERATOR, "expired"),
        ({"chain_id": 1}, OPERATOR, "other-chain"),
    ],
)
async def test_what_is_not_true_is_dropped_and_counted(world, server, changes, signer: LocalAccount, reason):
    provider, customer = await world.hub(), await world.hub()
    await forge(server, key_of(OWNER), seal_envelope(world.offer(**changes), signer))
    await until_rejected(customer, reason, world, provider)
    assert OWNER not in customer.offers()


async def test_a_true_offer_under_another_owners_key_is_dropped(world, server):
    provider, customer = await world.hub(), await world.hub()
    await forge(server, key_of(Account.create().address), seal_envelope(world.offer(), OPERATOR))
    await until_rejected(customer, "wrong-key", world, provider)
    assert OWNER not in customer.offers()


async def test_rubbish_and_deletions_by_strangers_change_nothing(world, server):
    provider, customer = await world.hub(), await world.hub()
    offer = world.offer()
    await provider.publish_offer(offer, OPERATOR)
    await until(customer, lambda: OWNER in customer.offers())
    async with raw_bucket(server) as bucket:
        await bucket.put(key_of(OWNER), b"[" * 4000)
        await bucket.delete(key_of(OWNER))
    await until_rejected(customer, "malformed", world, provider)
    assert customer.offers()[OWNER] == offer


async def test_the_registry_is_asked_once_for_many_offers_of_one_provider(world):
    provider, customer = await world.hub(), await world.hub()
    for port in range(1, 6):
        last = world.offer(addresses=(f"127.0.0.1:{port}",))
        await provider.publish_offer(last, OPERATOR)
    await until(customer, lambda: customer.offers().get(OWNER) == last)
    assert world.asked == 2  # once by each of the two hubs


async def test_a_registry_that_is_away_loses_an_offer_but_not_the_hub(world):
    provider, customer = await world.hub(), await world.hub()
    world.registry_works = False
    await provider.publish_offer(world.offer(), OPERATOR)
    for _ in range(2):  # both hubs have asked in vain
        await asyncio.wait_for(world.questions.get(), WAIT_S)
    world.registry_works = True
    offer = world.offer()
    await provider.publish_offer(offer, OPERATOR)
    await until(customer, lambda: customer.offers().get(OWNER) == offer)
    assert customer.rejected["registry-away"] == 1


async def test_an_offer_ends_with_its_expiry(world):
    provider, customer = await world.hub(), await world.hub()
    await provider.publish_offer(world.offer(), OPERATOR)
    await until(customer, lambda: OWNER in customer.offers())
    world.offset = 91
    assert not customer.offers()
    heard = asyncio.Event()
    customer.on_change = heard.set
    await customer.sweep_cycle.trigger_and_wait()
    assert heard.is_set()


async def test_a_withdrawn_offer_is_gone_for_all(world):
    provider, customer = await world.hub(), await world.hub()
    await provider.publish_offer(world.offer(), OPERATOR)
    await until(customer, lambda: OWNER in customer.offers())
    assert await provider.withdraw_offer(OWNER)
    await until(customer, lambda: OWNER not in customer.offers())
    later = await world.hub()
    assert OWNER not in later.offers()


async def test_a_hub_that_is_away_is_a_state_and_heals(world, server):
    await server.kill()
    hub = await world.hub(joined=False)
    assert not hub.connected
    offer = world.offer()
    assert await hub.publish_offer(offer, OPERATOR) is False
    assert await hub.withdraw_offer(OTHER_OWNER)
    await server.start()
    await until(hub, lambda: hub.offers().get(OWNER) == offer)  # published as soon as the hub was there
    assert hub.connected


async def test_a_hub_that_restarts_heals(world, server):
    provider, customer = await world.hub(), await world.hub()
    await provider.publish_offer(world.offer(), OPERATOR)
    await until(customer, lambda: OWNER in customer.offers())
    await server.kill()
    await until(customer, lambda: not customer.connected)
    assert OWNER in customer.offers()  # what was true stays known
    await server.start()
    await until(customer, lambda: customer.connected)
    await until(provider, lambda: provider.connected)
    newer = world.offer(addresses=("127.0.0.1:7",))
    assert await provider.publish_offer(newer, OPERATOR)
    await until(customer, lambda: customer.offers().get(OWNER) == newer)


async def test_a_hub_that_lost_its_store_is_filled_again_by_its_providers(world, server):
    provider = await world.hub()
    offer = world.offer()
    await provider.publish_offer(offer, OPERATOR)
    await server.kill()
    server.forget_everything()
    await server.start()
    await until(provider, lambda: provider.connected)
    customer = await world.hub()
    await until(customer, lambda: customer.offers().get(OWNER) == offer)


@pytest.mark.parametrize("made_anew", [False, True])
async def test_a_bucket_lost_behind_a_living_connection_is_noticed(world, server, made_anew):
    provider, customer = await world.hub(), await world.hub()
    await provider.publish_offer(world.offer(), OPERATOR)
    await until(customer, lambda: OWNER in customer.offers())
    client = await nats.connect(server.url)
    await client.jetstream().delete_key_value(BUCKET)
    if made_anew:
        await client.jetstream().create_key_value(bucket=BUCKET)
    await client.close()
    for hub in (provider, customer):
        await hub.check()
        await until(hub, lambda hub=hub: hub.connected)
    newer = world.offer(addresses=("127.0.0.1:8",))
    assert await provider.publish_offer(newer, OPERATOR)
    await until(customer, lambda: customer.offers().get(OWNER) == newer)


async def test_a_watch_that_its_hub_has_forgotten_is_noticed(world, server):
    provider, customer = await world.hub(), await world.hub()
    await provider.publish_offer(world.offer(), OPERATOR)
    await until(customer, lambda: OWNER in customer.offers())
    client = await nats.connect(server.url)
    stream = client.jetstream()
    for watch in await stream.consumers_info(f"KV_{BUCKET}"):
        await stream.delete_consumer(f"KV_{BUCKET}", watch.name)
    await client.close()
    for hub in (provider, customer):
        await hub.check()
        await until(hub, lambda hub=hub: hub.connected)
    newer = world.offer(addresses=("127.0.0.1:8",))
    assert await provider.publish_offer(newer, OPERATOR)
    await until(customer, lambda: customer.offers().get(OWNER) == newer)


async def test_one_hub_that_hides_everything_hides_nothing_while_another_works(world, server, tmp_path):
    second = Server(tmp_path / "second")
    await second.start()
    world.urls = [server.url, second.url]
    provider, customer = await world.hub(), await world.hub()
    await server.kill()
    offer = world.offer()
    await until(provider, lambda: provider.connected)
    assert await provider.publish_offer(offer, OPERATOR)
    await until(customer, lambda: customer.offers().get(OWNER) == offer)
    await second.kill()
