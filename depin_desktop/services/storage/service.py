"""The storage service: puts its parts together, runs their cycles, and tells the world how it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from depin_desktop.api.models import Activity, ServiceKind, ServiceStatus, StorageStatus
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.core.bus import EventBus
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.net.offers import StorageOffer
from depin_desktop.services.base import Earned, Provider
from depin_desktop.services.storage import guard, policy, rates, scrubber
from depin_desktop.services.storage.api import StorageApi
from depin_desktop.services.storage.clearing import Clearing
from depin_desktop.services.storage.deal_store import DealStore
from depin_desktop.services.storage.deals import Deals
from depin_desktop.services.storage.discovery import LogIndex, discover
from depin_desktop.services.storage.folders import Folders
from depin_desktop.services.storage.intake import Intake, IntakeLimits
from depin_desktop.services.storage.link import Link
from depin_desktop.services.storage.pieces import Pieces
from depin_desktop.services.storage.prover import Prover, Round
from depin_desktop.services.storage.rates import Rates
from depin_desktop.services.storage.reading import FreeOfCharge, Paywall, Reading
from depin_desktop.services.storage.scrubber import Scrubber
from depin_desktop.services.storage.sharing import Sharing
from depin_desktop.services.storage.status import Books, Moment, read_books, storage_status
from depin_desktop.services.storage.store import PieceStore
from depin_desktop.services.storage.unfunded import Unfunded

log = logging.getLogger(__name__)

START_PATIENCE_S = 1.5
EXPIRY_EVERY_S = 60.0
NOT_CONNECTED = "The chain is not connected; proofs go on as soon as it is."


class StorageService:
    """Sells disk space; see `services.base.Service` for the life cycle.

    Args:
        database: open.
        network: the profile; its period and suggested prices hold until a chain is connected and a price is set.
        sharing: whether the owner's one switch is on.
        earned: the ledger's sums, which count reads too; what the rows here know of proofs where absent.
        clock: the wall clock.
    """

    kind = ServiceKind.STORAGE

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        provider: Provider,
        network: Network,
        *,
        sharing: Callable[[], bool] = lambda: True,
        earned: Callable[[], Earned] | None = None,
        limits: IntakeLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._provider = provider
        self._network = network
        self._sharing_on = sharing
        self._earned = earned
        self._clock = clock
        self._tasks = Tasks("storage")
        self._draining = False
        self._refresh_due = False
        self._link: Link | None = None
        self._index: LogIndex | None = None
        self._paywall: Paywall = FreeOfCharge()
        self._price = network.suggested_price_per_tib_month
        self._books = Books()
        self._round = Round(policy.next_round_s((), 0, period_s=network.period_s))
        self._piece_store, self._deal_store = PieceStore(database), DealStore(database)
        self._folders = Folders()
        self._rates = Rates(clock)
        self._pieces = Pieces(self._piece_store, self._folders, self._alert, clock)
        self._sharing = Sharing(self._pieces, self._folders, provider.node_id)
        self._deals = Deals(
            self._deal_store, self._piece_store, price=self._leaf_price, accepting=self._accepting, changed=self._touch
        )
        self._prover = Prover(self._deal_store, self._deals, self._pieces, publish=self._publish_activity, clock=clock)
        self._unfunded = Unfunded(self._deal_store, self._deals, publish=self._publish_activity, clock=clock)
        self._clearing = Clearing(self._deal_store, self._deals, publish=self._publish_activity, clock=clock)
        self._scrubber = Scrubber(self._pieces, clock)
        self._intake = Intake(
            self._pieces,
            provider=provider.owner,
            operator=provider.operator,
            accepting=self._accepting,
            received=self._rates.received,
            stored=self._rates.stored,
            clock=clock,
            limits=limits,
        )
        self._reading = Reading(
            self._pieces,
            paywall=lambda: self._paywall,
            price_per_gib=lambda: self._read_price,
            sent=self._rates.sent,
            served=self._rates.served,
        )
        self._api = StorageApi(
            self._intake, self._reading, self._deals, self._deal_store, terms=self._terms, link=self._need_link
        )
        self._read_price = network.suggested_price_per_gib_read
        self.guarding = Cycle("storage/guard", guard.READ_EVERY_S, self._guard)
        self.proving = Cycle("storage/prover", self._round.next_look_s, self._prove)
        self.scrubbing = Cycle("storage/scrubber", scrubber.EVERY_S, self._scrubber.run)
        self.expiring = Cycle("storage/expiry", EXPIRY_EVERY_S, self._expire)
        self._sampling = Cycle("storage/rates", rates.SAMPLE_S, self._sample)

    # --- life cycle

    async def start(self) -> None:
        """Takes up the shared folders and begins to serve; a disk that is slow or away does not hold it up."""
        await self._piece_store.open()
        if (price := await self._piece_store.choice("price_per_tib_month")) is not None:
            self._price = int(price)
        await self._sharing.load()
        looking = self._tasks.spawn("first look", self._first_look())
        await asyncio.wait([looking], timeout=START_PATIENCE_S)
        await self._refresh()
        for cycle in (self.guarding, self.proving, self.scrubbing, self.expiring, self._sampling):
            self._tasks.spawn(cycle.name, cycle.run())

    async def _first_look(self) -> None:
        looks = (self._sharing.look_after(folder, first=True, force_write=True) for folder in self._folders)
        await asyncio.gather(*looks)
        self._touch()

    async def connect(
        self, chain: Chain, sender: Sender, *, paywall: Paywall | None = None, index: LogIndex | None = None
    ) -> None:
        """Ties the service to a chain, at the start or whenever it can be reached.

        Raises:
            UserFacingError: the chain cannot be asked.
        """
        self._link = await Link.make(chain, sender, self._provider.owner)
        self._paywall = paywall or self._paywall
        if index is not None and index is not self._index:
            self._index = index
            await discover(index, self._deals, self._link, self._changed_on_chain)
        self.proving.trigger()

    def _changed_on_chain(self, set_id: bytes) -> None:
        """A data set of ours was changed by somebody else's hand."""
        if self._link is not None:
            self._tasks.spawn("follow", self._deals.follow(self._link, set_id))

    async def drain(self) -> None:
        """Takes nothing new and lets uploads end; what is stored is still served and proven."""
        self._draining = True
        while self._intake.uploads:
            await self._intake.upload_ended.wait()

    async def stop(self) -> None:
        """Stops at once; everything acknowledged is on disk already."""
        self._draining = True
        await self._tasks.close()
        self._folders.close()

    # --- what the owner decides

    async def share(
        self, path: str, size: int, keep_free: int | None = None, price_per_tib_month: int | None = None
    ) -> StorageStatus:
        """Shares a folder, or changes what is shared there; see `Sharing.share` for the refusals."""
        await self._sharing.share(path, size, keep_free)
        if price_per_tib_month is not None:
            await self._piece_store.choose("price_per_tib_month", str(price_per_tib_month))
            self._price = price_per_tib_month
        return await self._refresh()

    async def unshare(self, path: str | None = None) -> StorageStatus:
        """Gives up a folder, or all of them; paid pieces are served until their deals end."""
        await self._sharing.unshare(path)
        return await self._refresh()

    # --- what the world sees

    def offer(self) -> StorageOffer | None:
        """What customers may buy now; None while nothing can be taken."""
        room = self._folders.largest_room
        if not self._accepting() or room < policy.NEARLY_FULL:
            return None
        return self._offer(self._folders.room, room)

    def _offer(self, room: int, largest: int) -> StorageOffer:
        return StorageOffer(
            free_bytes=room,
            max_piece_bytes=min(self._intake.limits.max_piece, largest),
            price_per_leaf_period=self._leaf_price(self._link),
            price_per_gib_read=self._read_price,
            min_term_s=self._period_s * policy.MIN_TERM_PERIODS,
        )

    def _terms(self) -> dict[str, Any]:
        room = self._folders.room if self._accepting() else 0
        offer = self._offer(room, min(room, self._folders.largest_room))
        who = {
            "owner": self._provider.owner,
            "operator": self._provider.operator.address,
            "node_id": self._provider.node_id,
        }
        return {**offer.model_dump(mode="json"), **who}

    def routes(self) -> Iterable[web.RouteDef]:
        """The HTTP routes that peers may call."""
        return self._api.routes()

    def status(self) -> ServiceStatus:
        """The service's card."""
        return self.storage_status().service

    def storage_status(self) -> StorageStatus:
        """Everything the Storage page shows, as last read."""
        moment = Moment(
            sharing=self._sharing_on() and not self._draining,
            chain_problem=NOT_CONNECTED if self._link is None else self._prover.problem,
            missed_at=self._prover.missed_at,
            next_proof_at=self._round.next_proof_at,
            price_per_tib_month=self._price,
            price_per_gib_read=self._read_price,
            earned=self._earned() if self._earned else self._books.earned,
        )
        schedule = None if self._link is None else self._link.schedule
        return storage_status(self._books, self._folders, self._rates, schedule, moment, self._clock)

    # --- cycles

    async def _guard(self) -> None:
        changes = await asyncio.gather(*(self._sharing.look_after(folder) for folder in self._folders))
        for folder, changed in zip(self._folders, changes, strict=False):
            if changed:
                self._alert("folder", f"{folder.config.path} is {folder.state.value}", folder.last.detail)
        await self._refresh()

    async def _prove(self) -> None:
        if self._link is None:
            return
        self._round = await self._prover.round(self._link)
        self.proving.interval_s = self._round.next_look_s
        await self._unfunded.round(self._link)
        await self._clearing.round(self._link, self._round)
        await self._refresh()

    async def _expire(self) -> None:
        if await self._pieces.remove_unclaimed():
            await self._refresh()
        await self._sharing.let_go()

    async def _sample(self) -> None:
        if self._rates.sample():
            self._bus.publish("storage", self.storage_status())
        for activity in self._rates.news():
            self._publish_activity(activity)

    async def _refresh(self) -> StorageStatus:
        """Reads the rows again and publishes the status."""
        self._refresh_due = False
        self._books = await read_books(self._deal_store, self._piece_store, self._clock())
        status = self.storage_status()
        self._bus.publish("storage", status)
        return status

    # --- small things

    @property
    def _period_s(self) -> int:
        return self._network.period_s if self._link is None else self._link.schedule.period_s

    def _leaf_price(self, _link: Link | None = None) -> int:
        return policy.leaf_period_price(self._price, self._period_s)

    def _accepting(self) -> bool:
        return self._sharing_on() and not self._draining

    def _need_link(self) -> Link:
        if self._link is None:
            raise UserFacingError(
                "This provider is not connected to the chain just now.",
                "Try again later.",
                code="chain-away",
                status=503,
            )
        return self._link

    def _touch(self) -> None:
        """Something changed: publish soon, from a task of its own; changes that come meanwhile go along."""
        if not self._refresh_due:
            self._refresh_due = True
            self._tasks.spawn("refresh", self._refresh())

    def _alert(self, kind: str, title: str, detail: str) -> None:
        self._publish_activity(Activity(at=self._clock(), kind=kind, title=title, detail=detail))

    def _publish_activity(self, activity: Activity) -> None:
        self._bus.publish("activity", activity)
