"""The hub: NATS servers on which providers leave signed offers and customers find them.

The hub can drop or delay messages but not forge them: whatever is unsigned, expired, for another chain, older than what
is known, or not by a registered operator is dropped and counted. Its absence is a state, never an exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from depin_desktop.core.tasks import Tasks
from depin_desktop.net.offers import BUCKET, MAX_OFFER_BYTES, NodeOffer, Rejected, open_envelope, seal_envelope
from depin_desktop.net.signing import Account

log = logging.getLogger(__name__)

BUCKET_TTL_S = 300.0
REQUEST_TIMEOUT_S = 5.0
RETRY_S = 1.0
SWEEP_S = 5.0
REGISTRATION_TTL_S = 60.0

IsRegistered = Callable[[str, str, str], Awaitable[bool]]
OnChange = Callable[[], object]


class Hub:
    """One network's hub servers; used by providers to offer and by customers to find.

    Args:
        urls: servers of one hub, tried in turn.
        chain_id: offers for other chains are dropped.
        is_registered: asks the registry whether (owner, operator, node id) belong together.
        on_change: called after the connection or the offers changed.

    Attributes:
        rejected: how many messages were dropped, by reason.
    """

    def __init__(
        self, urls: Sequence[str], *, chain_id: int, is_registered: IsRegistered, on_change: OnChange | None = None
    ) -> None:
        self._urls = list(urls)
        self._chain_id = chain_id
        self._is_registered = is_registered
        self._on_change = on_change or (lambda: None)
        self._tasks = Tasks("hub")
        self._client: Client | None = None
        self._bucket: KeyValue | None = None
        self._offers: dict[str, NodeOffer] = {}
        self._registered: dict[tuple[str, str, str], float] = {}
        self._changed = asyncio.Condition()
        self._first_look_done = False
        self.rejected: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        """Whether the hub answers and its offers are being watched."""
        return self._client is not None and self._client.is_connected and self._bucket is not None

    async def start(self) -> None:
        """Begins to join; returns at once, also while the hub is away."""
        self._tasks.spawn("follow", self._follow())
        self._tasks.spawn("sweep", self._sweep())

    async def stop(self) -> None:
        """Leaves the hub."""
        await self._tasks.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # --- finding ----------------------------------------------------------------------------------------------------

    def offers(self) -> Mapping[str, NodeOffer]:
        """Verified offers that have not expired, by owner."""
        now = time.time()
        return {owner: offer for owner, offer in self._offers.items() if offer.expires_at > now}

    async def wait_for_offers(
        self, enough: Callable[[Mapping[str, NodeOffer]], bool], timeout_s: float
    ) -> Mapping[str, NodeOffer]:
        """Returns the offers once `enough` says so, or what there is when the time is over."""

        async def wait() -> None:
            async with self._changed:
                await self._changed.wait_for(lambda: enough(self.offers()))

        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wait(), timeout_s)
        return self.offers()

    # --- offering ---------------------------------------------------------------------------------------------------

    async def publish_offer(self, offer: NodeOffer, operator: Account) -> bool:
        """Signs and leaves the offer; False while the hub is away (the next round tries again)."""
        return await self._try(lambda bucket: bucket.put(_key(offer.owner), seal_envelope(offer, operator)))

    async def withdraw_offer(self, owner: str) -> bool:
        """Takes the owner's offer back; False while the hub is away, where it expires by itself."""
        return await self._try(lambda bucket: bucket.delete(_key(owner)))

    async def _try(self, work: Callable[[KeyValue], Awaitable[object]]) -> bool:
        bucket = self._bucket
        if bucket is None or not self.connected:
            return False
        try:
            await asyncio.wait_for(work(bucket), REQUEST_TIMEOUT_S)
        except (NatsError, OSError, TimeoutError) as error:
            log.info("the hub did not take a message: %r", error)
            return False
        return True

    # --- following --------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Joins, watches, and joins again whenever that ends: after a lost connection or a lost bucket."""
        while True:
            try:
                client = await self._connect()
                self._bucket = await _open_bucket(client)
                await self._announce()
                await self._watch(self._bucket)
            except (NatsError, OSError, TimeoutError) as error:
                log.debug("the hub is away: %r", error)
            self._bucket = None
            await self._announce()
            await asyncio.sleep(RETRY_S)

    async def _connect(self) -> Client:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        self._client = await nats.connect(
            self._urls,
            name="depin-desktop",
            connect_timeout=int(REQUEST_TIMEOUT_S),
            allow_reconnect=False,  # a new connection also needs a new watch: `_follow` makes both
            max_reconnect_attempts=1,
            ping_interval=10,
            max_outstanding_pings=2,
            error_cb=_note_error,
        )
        return self._client

    async def _watch(self, bucket: KeyValue) -> None:
        """Takes in the present offers and then every change, until the connection ends."""
        watcher = await bucket.watchall(ignore_deletes=False)
        try:
            while self.connected:
                try:
                    entry = await watcher.updates(timeout=RETRY_S)  # type: ignore[no-untyped-call]
                except NatsError:  # nothing new within the time; the loop looks whether the connection lives
                    continue
                if entry is None:
                    self._first_look_done = True
                    await self._announce()
                    continue
                if entry.operation in ("DEL", "PURGE"):
                    self._forget(entry.key)
                elif entry.value is not None:
                    await self._take(entry.key, entry.value)
                await self._announce()
        finally:
            await _quietly(watcher.stop())  # type: ignore[no-untyped-call]

    def _forget(self, key: str) -> None:
        for owner in [owner for owner in self._offers if _key(owner) == key]:
            del self._offers[owner]

    async def _take(self, key: str, envelope: bytes) -> None:
        try:
            offer = open_envelope(envelope, chain_id=self._chain_id, now=time.time())
            reason = await self._reason_against(key, offer)
        except Rejected as rejected:
            reason = rejected.reason
        else:
            if not reason:
                self._offers[offer.owner] = offer
                return
        self.rejected[reason] += 1
        log.info("dropped an offer under %s: %s", key[:44], reason)

    async def _reason_against(self, key: str, offer: NodeOffer) -> str:
        """Why a well-signed offer must not be believed all the same; empty when it may."""
        known = self._offers.get(offer.owner)
        if _key(offer.owner) != key:
            return "wrong-key"
        if known is not None and known.issued_at > offer.issued_at:
            return "older"
        return "" if await self._check_registered(offer) else "unregistered"

    async def _check_registered(self, offer: NodeOffer) -> bool:
        identity = (offer.owner, offer.operator, offer.node_id)
        if self._registered.get(identity, 0) > time.monotonic():
            return True
        try:
            found = await self._is_registered(*identity)
        except Exception:
            log.warning("the registry could not be asked about %s", offer.owner, exc_info=True)
            raise Rejected("registry-away") from None
        if found:
            self._registered[identity] = time.monotonic() + REGISTRATION_TTL_S
        return found

    async def _sweep(self) -> None:
        """Drops what has expired, so that waiting customers and pages notice."""
        while True:
            await asyncio.sleep(SWEEP_S)
            live = self.offers()
            if len(live) != len(self._offers):
                self._offers = dict(live)
                await self._announce()

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()
        self._on_change()


def _key(owner: str) -> str:
    return owner.lower()


async def _open_bucket(client: Client) -> KeyValue:
    stream = client.jetstream(timeout=REQUEST_TIMEOUT_S)
    try:
        return await stream.key_value(BUCKET)
    except NotFoundError:
        return await stream.create_key_value(
            KeyValueConfig(
                bucket=BUCKET,
                history=1,
                ttl=BUCKET_TTL_S,
                max_value_size=MAX_OFFER_BYTES,
                storage=StorageType.FILE,
            )
        )


async def _note_error(error: Exception) -> None:
    log.debug("hub: %r", error)


async def _quietly(work: Awaitable[object]) -> None:
    try:
        await work
    except (NatsError, OSError, TimeoutError) as error:
        log.debug("hub: %r", error)
