"""The compute service: puts its parts together, follows the owner's controls, and tells the world how it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from depin_desktop.api.compute import ComputeStatus
from depin_desktop.api.models import Activity, Gpu, ServiceKind, ServiceStatus
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.controls.allowance import Allowance
from depin_desktop.core.bus import EventBus
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.net.offers import ComputeOffer
from depin_desktop.services.base import Earned, Provider
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.api import ComputeApi
from depin_desktop.services.compute.choices import Choices
from depin_desktop.services.compute.floor import Floor
from depin_desktop.services.compute.jobs import Jobs, Paywall, Terms
from depin_desktop.services.compute.journal import NAME, Journal
from depin_desktop.services.compute.leftovers import take_up
from depin_desktop.services.compute.meter import Meter
from depin_desktop.services.compute.modules import Modules
from depin_desktop.services.compute.running import Run
from depin_desktop.services.compute.runtimes.base import Backend, ServedModel
from depin_desktop.services.compute.status import JOBS_SHOWN, Now, Shelf, compute_status
from depin_desktop.services.compute.store import Books, Ended, JobStore
from depin_desktop.services.compute.verdicts import Verdicts

log = logging.getLogger(__name__)

TOPIC = "compute"
WATCH_S = 1.0
WATCH_UNSEEN_S = 5.0
COUNT_WITHIN_S = 2.0
WRITE_AFTER_S = 0.3  # jobs that end within it are written, and shown, together
NEWS_EVERY_S = 10.0
SAMPLE_EVERY_S = 5.0
DRAIN_S = 3.5
STOP_WITHIN_S = 1.0


class OwnersControls(Protocol):
    """What the service follows (`controls.Controls`)."""

    def allowance(self) -> Allowance: ...
    def on_change(self, callback: Callable[[Allowance], None]) -> None: ...


class ComputeService:
    """Sells computing power; see `services.base.Service` for the life cycle.

    Args:
        database: open.
        network: its suggested prices hold until the owner sets others.
        folder: for customers' modules; the service's own.
        backends: the ways to do work, asked for anew whenever they may have changed.
        shelf: what models there are on the disk.
        gpus: the cards as last read, for what they draw.
        earned: the ledger's sums as last counted; what the rows here know where absent.
        count: counts them anew.
        offer_changed: called when customers should be told something new.
    """

    kind = ServiceKind.COMPUTE

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        provider: Provider,
        network: Network,
        controls: OwnersControls,
        *,
        folder: Path,
        backends: Callable[[], Awaitable[Sequence[Backend]]],
        shelf: Callable[[], Shelf] = Shelf,
        gpus: Callable[[], Sequence[Gpu]] = tuple,
        earned: Callable[[], Earned] | None = None,
        count: Callable[[], Awaitable[object]] | None = None,
        offer_changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bus = bus
        self._provider = provider
        self._network = network
        self._controls = controls
        self._make_backends = backends
        self._shelf = shelf
        self._gpus = gpus
        self._earned = earned
        self._count = count
        self._sums = Earned()
        self._offer_changed = offer_changed
        self._clock = clock
        self._tasks = Tasks("compute")
        self._store = JobStore(database)
        self._verdicts = Verdicts(database, provider.owner, self._customer_of, self.touch)
        self._choices = Choices.of({}, network)
        self._books = Books()
        self._problem = ""
        self._paywall: Paywall | None = None
        self._draining = False
        self._changing = asyncio.Lock()
        self._ended: list[Ended] = []
        self._write_timer: asyncio.TimerHandle | None = None
        self._served: tuple[ServedModel, ...] = ()
        self._news: tuple[int, int] = (0, 0)
        self.floor = Floor(lambda kind: self._choices.sells(kind))
        self._modules = Modules(folder)
        self._database = database
        self._journal = Journal(database.path.with_name(NAME))
        self._meter = Meter(self._power_w, time.monotonic)
        self.jobs = Jobs(
            self.floor,
            self._modules,
            self._meter,
            provider,
            terms=self._terms_of_jobs,
            changed=self.touch,
            begun=self._job_begun,
            ended=self._job_ended,
        )
        self._api = ComputeApi(self.jobs, self.floor, self._modules, terms=self._terms)
        self.watching = Cycle("compute/watch", WATCH_S, self._watch)
        self.writing = Cycle("compute/books", 3600.0, self._write)
        self._telling = Cycle("compute/news", NEWS_EVERY_S, self._tell)
        self._sampling = Cycle("compute/power", SAMPLE_EVERY_S, self._sample)

    # --- life cycle

    async def start(self) -> None:
        """Takes up what was shared; models load in the background."""
        await self._store.open()
        await self._verdicts.open()
        await self._modules.open()
        await take_up(self._journal, self._store, self._database)
        self._choices = Choices.of(await self._store.choices(), self._network)
        self._controls.on_change(self._follow)
        if self._choices.shared:
            self._tasks.spawn("backends", self.reload())
        await self._read_books()
        for cycle in (self.watching, self.writing, self._telling, self._sampling):
            self._tasks.spawn(cycle.name, cycle.run())

    async def connect(
        self, chain: Chain, sender: Sender, *, paywall: Paywall | None = None, index: object = None
    ) -> None:
        """Ties the service to a chain: from now on work can be paid for."""
        self._paywall = paywall or self._paywall
        self.touch()

    async def drain(self) -> None:
        """Accepts nothing new, and finishes what runs as far as that takes a few seconds."""
        self._draining = True
        await self._jobs_end(DRAIN_S)

    async def stop(self) -> None:
        """Stops at once; what was delivered is charged."""
        self._draining = True
        await self._jobs_end(0)
        if self._write_timer is not None:
            self._write_timer.cancel()
        await self._tasks.close()
        await self.floor.use(())
        try:
            await self._write()
        finally:
            self._journal.close()

    async def _jobs_end(self, wait_s: float) -> None:
        """Waits for what runs and stops the rest; returns within a second more."""
        ended = asyncio.ensure_future(self.jobs.all_ended.wait())
        await asyncio.wait([ended], timeout=wait_s)
        if not ended.done():
            self.jobs.stop_all("The engine stops.")
            await asyncio.wait([ended], timeout=STOP_WITHIN_S)
        if not ended.done():
            ended.cancel()
            log.error("some jobs did not end")

    # --- what the owner decides

    async def choose(self, choices: Choices) -> None:
        """Sells as chosen from now on; backends are made anew where sharing begins."""
        async with self._changing:
            begins = choices.shared and not self.floor.backends
            await self._store.choose(choices.rows())
            self._choices = choices
            if begins:
                await self._reload()
            elif not choices.shared:
                self.jobs.stop_all("The owner has stopped sharing.")
                await self.jobs.all_ended.wait()
                await self.floor.use(())
        self._offer_changed()
        self.touch()

    async def reload(self) -> None:
        """Where work is done has changed."""
        async with self._changing:
            await self._reload()

    async def _reload(self) -> None:
        try:
            self._problem = await self.floor.use(await self._make_backends() if self._choices.shared else ())
        except UserFacingError as error:  # what the owner has to mend; what works already goes on
            self._problem = str(error)
        self.touch()
        self.watching.trigger()

    @property
    def choices(self) -> Choices:
        return self._choices

    def _follow(self, allowed: Allowance) -> None:
        """The controls have changed; called from the event loop, and returns at once."""
        self.jobs.follow(allowed)
        cards = {model.gpu for model in self._served if model.gpu}
        if not allowed.run or cards - set(allowed.gpus):
            self._tasks.spawn("release", self._release(allowed))
        self._offer_changed()
        self.touch()

    async def _release(self, allowed: Allowance) -> None:
        if allowed.finish_current:
            await self.jobs.all_ended.wait()
            if self._controls.allowance() != allowed:
                return  # decided otherwise meanwhile
        await self.floor.release()

    # --- what the world sees

    def offer(self) -> ComputeOffer | None:
        """What customers may buy now; None while nothing can be taken."""
        if not self._choices.shared or self._draining or not self._controls.allowance().run:
            return None
        return policy.offer_of(self.floor.served(), self._choices.prices)

    def routes(self) -> Iterable[web.RouteDef]:
        """The HTTP routes that peers may call."""
        return [*self._api.routes(), *self._verdicts.routes()]

    def status(self) -> ServiceStatus:
        """The service's card."""
        allowed, served = self._controls.allowance(), self.floor.served()
        said = (getattr(backend, "problem", "") for backend in self.floor.backends)
        problems = [self._problem, *(problem for problem in said if isinstance(problem, str))]
        state, reason = policy.service_state(
            policy.ServiceFacts(
                shared=self._choices.shared,
                draining=self._draining,
                paused="" if allowed.run else allowed.reason,
                connected=self._paywall is not None,
                served=sum(model.rate > 0 for model in served),
                loading=not self.floor.backends or any(model.rate == 0 for model in served),
                problem=" ".join(problem for problem in problems if problem),
                running=self.jobs.running,
                last_job_at=self._books.last_job_at,
                now=self._clock(),
            )
        )
        return ServiceStatus(
            kind=self.kind,
            state=state,
            reason=reason,
            verified_at=self._books.last_job_at,
            earned_today=self._sums.today,
            earned_total=self._sums.total,
        )

    def compute_status(self) -> ComputeStatus:
        """Everything the Compute page shows, as last read."""
        now = Now(
            service=self.status(),
            running=self.jobs.running,
            waiting=self.floor.waiting,
            jobs=self.jobs.statuses(),
            checked=(self._verdicts.right, self._verdicts.wrong),
        )
        return compute_status(self._choices, self.floor.served(), self._shelf(), self._books, now)

    def _terms(self) -> dict[str, Any]:
        offer = self.offer() or ComputeOffer()
        who = {
            "owner": self._provider.owner,
            "operator": self._provider.operator.address,
            "node_id": self._provider.node_id,
        }
        return {**offer.model_dump(mode="json"), **who}

    def _terms_of_jobs(self) -> Terms:
        allowed = self._controls.allowance()
        if self._draining or not self._choices.shared or not allowed.run:
            reason = "" if allowed.run else allowed.reason
            raise UserFacingError(
                f"This provider takes no work now. {reason}".strip(), "Choose another one.", code="paused", status=503
            )
        if self._paywall is None:
            raise UserFacingError(
                "This provider is not connected to the chain just now.",
                "Try again later.",
                code="chain-away",
                status=503,
            )
        return Terms(self._choices.prices, self._paywall)

    # --- books and news

    async def _customer_of(self, job: str) -> str | None:
        """Who paid for a job: of those that are not written yet, or in the rows."""
        for ended in self._ended:
            if ended.job.id == job:
                return ended.job.customer
        receipt = await self._store.receipt(job)
        return None if receipt is None else str(receipt["customer"])

    def _job_begun(self, run: Run) -> None:
        self._journal.begin(run.status(), run.hold.channel_id, run.hold.channel.book.charged)

    def _job_ended(self, ended: Ended) -> None:
        self._journal.end(ended)
        self._ended.append(ended)
        count, amount = self._news
        self._news = count + 1, amount + ended.job.earned
        self.touch()

    def touch(self) -> None:
        """Something changed: write and publish it soon, with what else changes until then."""
        if self._write_timer is None:
            self._write_timer = asyncio.get_running_loop().call_later(WRITE_AFTER_S, self.writing.trigger)

    async def _write(self) -> None:
        self._write_timer = None
        ended, self._ended = self._ended, []
        if ended:
            try:
                await self._store.record(ended)
            except BaseException:
                self._ended = [*ended, *self._ended]
                raise
            self._journal.settle(one.job.id for one in ended)
            if self._count is not None and not self._draining:
                with suppress(TimeoutError):  # a chain that answers slowly holds no list of jobs up
                    async with asyncio.timeout(COUNT_WITHIN_S):
                        await self._count()
        await self._read_books()
        self._bus.publish(TOPIC, self.compute_status())

    async def _read_books(self) -> None:
        """Jobs, what devices have earned, and the ledger's sums: read together, so that they add up."""
        books = await self._store.books(self._clock(), JOBS_SHOWN)
        total = sum(device.earned_total for device in books.devices)
        today = sum(device.earned_today for device in books.devices)
        self._books, self._sums = books, self._earned() if self._earned else Earned(today, total)

    async def _watch(self) -> None:
        """Notices models that were measured, loaded or lost, and what the ledger has booked since."""
        if self._earned is not None and self._earned() != self._sums:
            self.touch()
        served = tuple(self.floor.served())
        if served != self._served:
            self._served = served
            self._offer_changed()
            self.touch()
        if self.jobs.running:
            self._journal.alive()
        lively = self._bus.wanted(TOPIC) or self.jobs.running or any(model.rate == 0 for model in served)
        self.watching.interval_s = WATCH_S if lively else WATCH_UNSEEN_S

    async def _tell(self) -> None:
        (count, amount), self._news = self._news, (0, 0)
        if count:
            title = f"Worked for customers: {count} job{'' if count == 1 else 's'}"
            self._bus.publish("activity", Activity(at=self._clock(), kind="job", title=title, amount=amount))

    async def _sample(self) -> None:
        if self.jobs.running:
            self._meter.sample()

    def _power_w(self, device: str) -> float | None:
        return next((gpu.power_w for gpu in self._gpus() if gpu.uuid == device), None)
