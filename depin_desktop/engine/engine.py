"""The composition root: makes every part, joins them, and ends them in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from depin_desktop import __version__
from depin_desktop.api.models import (
    Activity,
    EngineStatus,
    HubStatus,
    Inventory,
    NodeStatus,
    ServiceKind,
    ServiceStatus,
    ShareStorage,
    StorageStatus,
    UnshareStorage,
)
from depin_desktop.api.server import ApiServer
from depin_desktop.api.wallet import HistoryEntry, Look, LookAt, WalletStatus
from depin_desktop.chain.network import Network
from depin_desktop.controls.controls import Controls
from depin_desktop.core.bus import EventBus, Subscription
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.engine.activity import ActivityLog
from depin_desktop.engine.advice import advice
from depin_desktop.engine.joined import Joined
from depin_desktop.engine.keys import Keys
from depin_desktop.engine.link import RETRY_JOIN_S, connect_patiently, waiting_status
from depin_desktop.engine.looking import look
from depin_desktop.engine.money import Figures
from depin_desktop.engine.settings import Settings
from depin_desktop.hardware.inventory import take_inventory
from depin_desktop.hardware.watch import HardwareWatch
from depin_desktop.services.base import Earned, Provider, Service
from depin_desktop.services.compute.service import ComputeService
from depin_desktop.services.compute.sharing import Sharing
from depin_desktop.services.storage.service import StorageService
from depin_desktop.wallet.joining import joined_network
from depin_desktop.wallet.vault import Vault

log = logging.getLogger(__name__)

STATUS_EVERY_S = 1.0
UNSEEN_EVERY_S = 60.0
DRAIN_DEADLINE_S = 5.0
PAUSED = "Sharing is off. What customers have paid for is still kept, served and proven."


class Engine:
    """One home's engine; the `Backend` of the local API.

    Attributes:
        storage: the storage service.
        joined: everything that needs the network; None until the chain has answered for the first time.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.bus = EventBus()
        self.settings = Settings.load(home.settings)
        self.network: Network = joined_network(home)
        self.keys = Keys.load(home)
        self._backed_up = self.keys.backed_up
        self.database = Database(home.engine_database)
        self.activity = ActivityLog(self.database, self.bus)
        self.hardware_watch = HardwareWatch(self.bus)
        self.controls = Controls(home.controls, self.bus, sharing=lambda: self.settings.sharing)
        provider = Provider(self.keys.owner, self.keys.operator, self.keys.node.node_id)
        self.storage_service = StorageService(
            self.database,
            self.bus,
            provider,
            self.network,
            sharing=lambda: self.settings.sharing,
            earned=lambda: self._earned(ServiceKind.STORAGE),
        )
        self.compute = Sharing(home.compute, self.controls, lambda: self.compute_service)
        self.compute_service = ComputeService(
            self.database,
            self.bus,
            provider,
            self.network,
            self.controls,
            folder=home.compute / "modules",
            backends=self.compute.backends,
            shelf=self.compute.shelf,
            gpus=lambda: self.controls.observer.gpus,
            earned=lambda: self._earned(ServiceKind.COMPUTE),
            count=self._count,
            offer_changed=self._offer_again,
        )
        self.services: tuple[Service, ...] = (self.storage_service, self.compute_service)
        self.joined: Joined | None = None
        self.reporting = Cycle("engine/status", STATUS_EVERY_S, self._report)
        self._api = ApiServer(home, self)
        self._tasks = Tasks("engine")
        self._started_at = time.time()
        self._chain_detail = ""
        self._reported: EngineStatus | None = None
        self._request_shutdown: Callable[[], None] = lambda: None

    # --- life cycle

    async def start(self, request_shutdown: Callable[[], None] = lambda: None) -> None:
        """Starts everything that needs no network, then the API; the network is joined in the background."""
        self._request_shutdown = request_shutdown
        await self.database.open()
        await self.activity.open()
        self._tasks.spawn("activity", self.activity.follow())
        await self.controls.start()
        for service in self.services:
            await service.start()
        await self._api.start()
        await self.hardware_watch.start()
        self._tasks.spawn("join", self._join())
        self._tasks.spawn("status", self.reporting.run())
        self.bus.publish("activity", Activity(at=time.time(), kind="started", title="The engine has started"))
        log.info("engine %s started on %s", __version__, self.home.root)

    async def stop(self) -> None:
        """Finishes what runs for customers, leaves the network, closes the database."""
        try:
            await asyncio.wait_for(asyncio.gather(*(service.drain() for service in self.services)), DRAIN_DEADLINE_S)
        except TimeoutError:
            log.info("something was still running at shutdown; customers will try again")
        await self._api.stop()
        await self._tasks.close()
        await self.controls.stop()
        await self.hardware_watch.stop()
        if self.joined is not None:
            await self.joined.close()
        await self.compute.close()
        for service in self.services:
            await service.stop()
        await self.database.close()

    async def _join(self) -> None:
        """Joins the network, however often the chain goes away while that is under way."""
        while self.joined is None:
            chain = await connect_patiently(lambda: joined_network(self.home), self._note_chain)
            self.network = chain.network
            joined = Joined(chain, self.keys, self.database, self.bus, self.services, self.backed_up)
            try:
                await joined.open()
            except UserFacingError as error:
                log.info("joining %s failed: %s", self.network.name, error)
                self._note_chain(error.message)
                await joined.close()
                await asyncio.sleep(RETRY_JOIN_S)
            else:
                self.joined = joined
        self._note_chain("")

    def _note_chain(self, detail: str) -> None:
        self._chain_detail = detail
        self.reporting.trigger()

    async def _report(self) -> None:
        """Publishes the status when it has changed, as long as anybody listens; who begins to is given it then."""
        wanted = self.bus.wanted("status")
        self.reporting.interval_s = STATUS_EVERY_S if wanted else UNSEEN_EVERY_S
        if not wanted:
            return
        status = self.status()
        if status != self._reported:
            self._reported = status
            self.bus.publish("status", status)

    # --- what the API asks

    def status(self) -> EngineStatus:
        """Everything *Home* shows, from what is known already."""
        joined = self.joined
        storage = self.storage_service.storage_status()
        figures = joined.figures if joined else Figures()
        network = joined.link.network_status() if joined else waiting_status(self.network, self._chain_detail)
        registered = joined.registered if joined else True
        return EngineStatus(
            version=__version__,
            started_at=self._started_at,
            home=str(self.home.root),
            sharing=self.settings.sharing,
            paused_reason="" if self.settings.sharing else PAUSED,
            registered=registered,
            network=network,
            hub=joined.link.hub_status() if joined else HubStatus(connected=False, detail="waiting for the chain"),
            node=joined.link.node_status() if joined else NodeStatus(node_id=self.keys.node.node_id),
            services=tuple(self._card(service, figures) for service in self.services),
            earned_today=figures.earned_today,
            earned_total=figures.earned_total,
            pending=figures.pending,
            earnings=figures.points,
            activity=self.activity.newest(),
            advice=advice(
                storage,
                computing=self.compute_service.choices.shared,
                backed_up=self._backed_up,
                registered=registered,
                private=network.private,
            ),
        )

    def storage(self) -> StorageStatus:
        return self.storage_service.storage_status()

    async def hardware(self) -> Inventory:
        return self.hardware_watch.inventory or await take_inventory()

    async def backed_up(self) -> bool:
        """Whether the wallet's words have been written down, meanwhile perhaps."""
        if not self._backed_up:
            self._backed_up = (await asyncio.to_thread(Vault.load, self.home.vault)).backed_up
        return self._backed_up

    async def wallet(self) -> WalletStatus:
        return await self._need_joined().money.status()

    async def look(self, request: LookAt) -> Look:
        return await look(self._need_joined().looks, request)

    async def history(self, limit: int, before: float | None) -> Sequence[HistoryEntry]:
        return await self._need_joined().money.history(limit, before)

    async def share_storage(self, request: ShareStorage) -> StorageStatus:
        status = await self.storage_service.share(
            request.path, request.size_bytes, request.keep_free_bytes, request.price_per_tib_month
        )
        self._offer_again()
        return status

    async def unshare_storage(self, request: UnshareStorage) -> StorageStatus:
        status = await self.storage_service.unshare(request.path)
        self._offer_again()
        return status

    async def set_sharing(self, on: bool) -> EngineStatus:
        settings = self.settings.model_copy(update={"sharing": on})
        await asyncio.to_thread(settings.save, self.home.settings)
        self.settings = settings
        self.controls.decide()
        self.bus.publish("storage", self.storage_service.storage_status())
        self._offer_again()
        return self.status()

    def subscribe(self) -> Subscription:
        subscription = self.bus.subscribe()
        self.reporting.trigger()
        return subscription

    def request_shutdown(self) -> None:
        self._request_shutdown()

    def _offer_again(self) -> None:
        self.reporting.trigger()
        if self.joined is not None:
            self.joined.offer_again()

    async def _count(self) -> None:
        if self.joined is not None:
            await self.joined.counting.trigger_and_wait()

    @staticmethod
    def _card(service: Service, figures: Figures) -> ServiceStatus:
        """A service's status with the sums that *Home* shows at the same moment, so that they add up there."""
        earned = figures.services.get(service.kind, Earned())
        return service.status().model_copy(update={"earned_today": earned.today, "earned_total": earned.total})

    def _earned(self, kind: ServiceKind) -> Earned:
        figures = self.joined.figures if self.joined else Figures()
        return figures.services.get(kind, Earned())

    def _need_joined(self) -> Joined:
        if self.joined is None:
            raise UserFacingError(
                "The chain has not answered yet.",
                "Check the network; the engine keeps trying.",
                code="chain-away",
                status=503,
            )
        return self.joined
