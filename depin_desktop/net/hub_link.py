"""The link to one NATS server (or cluster): joins, keeps the bucket of offers, watches it, and heals for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import nats
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, KeyValueConfig, StorageType
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.net.offers import BUCKET, MAX_OFFER_BYTES

log = logging.getLogger(__name__)

BUCKET_TTL_S = 300.0
BUCKET_BYTES = 64 * 1024 * 1024  # some 15,000 offers of the largest size
KEYS = f"$KV.{BUCKET}."
REQUEST_TIMEOUT_S = 5.0
RETRY_S = 1.0
CHECK_S = 10.0

TakeIn = Callable[[str, bytes], Awaitable[None]]
OnState = Callable[[], Awaitable[None]]


class HubLink:
    """Follows one hub.

    Args:
        url: where it listens, as nats://host:port.
        take_in: called with each key and value, the present ones first; they come from anybody.
        on_state: called when the link was made or lost.
    """

    def __init__(self, url: str, take_in: TakeIn, on_state: OnState) -> None:
        self.url = url
        self._take_in = take_in
        self._on_state = on_state
        self._tasks = Tasks(f"hub {url}")
        self._client: Client | None = None
        self._bucket: KeyValue | None = None
        self._bucket_made_at: object = None
        self._subscription: JetStreamContext.PushSubscription | None = None
        self._lost = asyncio.Event()
        self.check_cycle = Cycle("hub check", CHECK_S, self._check)

    @property
    def connected(self) -> bool:
        """Whether the hub answers and its bucket is being watched."""
        return self._bucket is not None and not self._lost.is_set()

    async def start(self) -> None:
        """Begins to join and returns at once."""
        self._tasks.spawn("follow", self._follow())
        self._tasks.spawn("check", self.check_cycle.run())

    async def stop(self) -> None:
        """Leaves the hub."""
        await self._tasks.close()
        await self._disconnect()

    async def put(self, key: str, value: bytes) -> bool:
        """Leaves `value` under `key`; False while the hub is away."""
        bucket = self._bucket
        if bucket is None or not self.connected:
            return False
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await bucket.put(key, value)
        except Exception as error:  # noqa: BLE001 - whatever the client library raises, the hub did not take it
            log.info("the hub %s did not take a message: %r", self.url, error)
            self.check_cycle.trigger()  # its bucket may be gone
            return False
        return True

    async def _follow(self) -> None:
        """Joins and watches, and does both again whenever either ends."""
        while True:
            try:
                self._lost.clear()
                client = await self._connect()
                bucket, made_at = await _open_bucket(client)
                await self._watch(client, bucket, made_at)
            except Exception as error:  # noqa: BLE001 - the library raises many kinds; none may end the following
                log.debug("the hub %s is away: %r", self.url, error)
            self._bucket = None
            await self._on_state()
            await self._disconnect()
            await asyncio.sleep(RETRY_S)

    async def _connect(self) -> Client:
        self._client = await nats.connect(
            self.url,
            name="depin-desktop",
            connect_timeout=int(REQUEST_TIMEOUT_S),
            allow_reconnect=False,  # a new connection needs a new watch as well: `_follow` makes both
            ping_interval=10,
            max_outstanding_pings=2,
            error_cb=_note_error,
            disconnected_cb=self._note_loss,
            closed_cb=self._note_loss,
        )
        return self._client

    async def _note_loss(self) -> None:
        self._lost.set()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await client.close()

    async def _watch(self, client: Client, bucket: KeyValue, made_at: object) -> None:
        """Takes in the present entries and then every change, until the link is lost."""
        stream = client.jetstream(timeout=REQUEST_TIMEOUT_S)
        subscription = await stream.subscribe(f"{KEYS}>", stream=f"KV_{BUCKET}", config=_newest())
        consuming = self._tasks.spawn("consume", self._consume(subscription))
        lost = self._tasks.spawn("loss", self._lost.wait())
        self._bucket, self._bucket_made_at, self._subscription = bucket, made_at, subscription
        try:
            await self._on_state()
            await asyncio.wait([consuming, lost], return_when=asyncio.FIRST_COMPLETED)
        finally:
            consuming.cancel()
            lost.cancel()
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()

    async def _consume(self, subscription: JetStreamContext.PushSubscription) -> None:
        async for message in subscription.messages:
            # An unsigned deletion is nobody's word: offers end by a newer one or by their expiry.
            if message.data:
                await self._take_in(message.subject.removeprefix(KEYS), message.data)

    async def _check(self) -> None:
        """Finds a bucket or a watch that was lost behind a living connection, which nothing else would tell."""
        bucket, subscription = self._bucket, self._subscription
        if bucket is None or subscription is None or not self.connected:
            return
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                intact = (await bucket.status()).stream_info.created == self._bucket_made_at
                await subscription.consumer_info()
        except Exception as error:  # noqa: BLE001 - an answer that is none means the same whatever its kind
            log.info("the hub %s does not find its bucket: %r", self.url, error)
            intact = False
        if not intact:
            self._lost.set()


def _newest() -> ConsumerConfig:
    """The newest value of each key, then every change.

    The library's own watch of a bucket looks four times a second whether it has to slow its hub down; what is sent here
    is bounded by the bucket's size, and `_check` finds a consumer that the hub has lost.
    """
    return ConsumerConfig(
        deliver_policy=DeliverPolicy.LAST_PER_SUBJECT, ack_policy=AckPolicy.NONE, max_deliver=1, mem_storage=True
    )


async def _open_bucket(client: Client) -> tuple[KeyValue, object]:
    """The bucket of offers, made if there is none, and when it was made."""
    stream = client.jetstream(timeout=REQUEST_TIMEOUT_S)
    try:
        bucket = await stream.key_value(BUCKET)
    except NotFoundError:
        bucket = await stream.create_key_value(
            KeyValueConfig(
                bucket=BUCKET,
                history=1,
                ttl=BUCKET_TTL_S,
                max_value_size=MAX_OFFER_BYTES,
                max_bytes=BUCKET_BYTES,
                storage=StorageType.FILE,
            )
        )
    return bucket, (await bucket.status()).stream_info.created


async def _note_error(error: Exception) -> None:
    log.debug("hub: %r", error)
