"""Takes orders, lets them run, charges what they took, and signs for it.

A voucher's ceiling is verified before a job waits or runs; voucher and charge reach the disk together when it has
ended, and receipt and payment end the answer. Nothing is written to disk while a job runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from depin_desktop.api.compute import JobOutcome, JobStatus
from depin_desktop.controls.allowance import Allowance
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Tasks
from depin_desktop.net.http import on_lost
from depin_desktop.net.work_receipts import WorkReceipt, WorkUsage, sign_receipt
from depin_desktop.payments.holds import Hold
from depin_desktop.services.base import Provider
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.delivery import Stream, Whole
from depin_desktop.services.compute.floor import Floor, Place
from depin_desktop.services.compute.meter import Meter
from depin_desktop.services.compute.modules import Modules
from depin_desktop.services.compute.orders import Order
from depin_desktop.services.compute.queue import Busy
from depin_desktop.services.compute.running import Run, Stopped
from depin_desktop.services.compute.runtimes.base import Job, JobFailed, Usage, WorkKind
from depin_desktop.services.compute.store import Ended

log = logging.getLogger(__name__)

HOLD_S = 3600.0
FAILURES = {"bad-input": 400, "overloaded": 503, "crashed": 502}  # the rest are limits that the customer set: 422
ELSEWHERE = frozenset({"crashed", "overloaded"})
"""What may go well at another backend; the rest is the request's own doing."""


class Paywall(Protocol):
    """Whoever verifies ceilings (`payments.paywall.Paywall`)."""

    async def hold(
        self, request: web.Request, ceiling: int, description: str, *, timeout_s: float | None = None
    ) -> Hold:
        """Raises `web.HTTPPaymentRequired` where the request does not pay."""


class WorkFailed(UserFacingError):
    """A job that has ended without its answer; `headers` say what it was charged all the same."""

    def __init__(self, run: Run, headers: dict[str, str]) -> None:
        status = FAILURES.get(run.failure, 422) if run.outcome is JobOutcome.FAILED else 503
        super().__init__(run.why, "", code=run.failure or run.outcome.value, status=status)
        self.headers = headers


@dataclass(frozen=True)
class Terms:
    """What jobs are taken on; asked anew for each."""

    prices: policy.Prices
    paywall: Paywall


class Jobs:
    """The jobs of one provider.

    Args:
        terms: raises UserFacingError while nothing is taken.
        changed: called when a job begins or waits.
        begun: called with each job that begins to run, also when it does so anew elsewhere.
        ended: called with each job that is over.
    """

    def __init__(
        self,
        floor: Floor,
        modules: Modules,
        meter: Meter,
        provider: Provider,
        *,
        terms: Callable[[], Terms],
        changed: Callable[[], None],
        begun: Callable[[Run], None],
        ended: Callable[[Ended], None],
    ) -> None:
        self._floor = floor
        self._modules = modules
        self._meter = meter
        self._provider = provider
        self._terms = terms
        self._changed = changed
        self._begun = begun
        self._ended = ended
        self._runs: dict[str, Run] = {}
        self._tasks = Tasks("compute/jobs")
        self.all_ended = asyncio.Event()
        self.all_ended.set()

    @property
    def running(self) -> int:
        return sum(run.outcome is JobOutcome.RUNNING for run in self._runs.values())

    def statuses(self) -> tuple[JobStatus, ...]:
        """The jobs that are not over, the newest first."""
        return tuple(run.status() for run in reversed(self._runs.values()))

    # --- one job

    async def serve(self, request: web.Request, order: Order) -> web.StreamResponse:
        """Does a job for whoever sent `request`, and answers it.

        Raises:
            web.HTTPPaymentRequired: it does not pay.
            UserFacingError: nothing is taken now, nothing here does that, the queue is full, or the work failed.
        """
        terms, place = self._terms(), self._floor.find(order)
        place.lane.check()  # nobody pays, or deposits, for a place that is not there
        ceiling = policy.ceiling(order.kind, order.body, terms.prices, place.model.context_tokens)
        what = f"{order.kind.value} {place.model.name}"
        async with await terms.paywall.hold(request, ceiling, what, timeout_s=HOLD_S) as hold:
            place.lane.check(hold.customer)
            run = Run(os.urandom(16).hex(), order, place.model, terms.prices, hold)
            self._runs[run.id] = run
            self.all_ended.clear()
            self._changed()
            try:
                with on_lost(request, lambda: run.interrupt(JobOutcome.CANCELLED, "The customer left.")):
                    return await self._work(request, run, place)
            finally:
                del self._runs[run.id]
                if not self._runs:
                    self.all_ended.set()

    async def _work(self, request: web.Request, run: Run, place: Place) -> web.StreamResponse:
        delivery = Stream(request, run) if run.order.streamed else Whole(run)
        cancelled: BaseException | None = None
        try:
            async with run.interruptible():
                await self._somewhere(run, place, delivery)
            run.end(JobOutcome.DONE)
        except Busy:
            run.end(JobOutcome.FAILED, "Its turn did not come in time.", "busy")
            if not (isinstance(delivery, Stream) and delivery.begun):
                raise
        except JobFailed as failed:
            if failed.usage != Usage():
                run.usage = failed.usage
            run.end(JobOutcome.FAILED, failed.message, failed.code)
            run.notes = f"{run.notes}\n{failed.log}".strip()
        except Stopped:
            pass  # whoever stopped it has said why
        except ConnectionError:
            run.end(JobOutcome.CANCELLED, "The customer left.")
        except asyncio.CancelledError as error:
            run.end(JobOutcome.STOPPED, "The engine stops.")
            cancelled = error
        except Exception:
            log.exception("job %s failed in an unforeseen way", run.id)
            run.end(JobOutcome.FAILED, "Something went wrong on this node.", "crashed")
        return await self._settle(run, delivery, cancelled)

    async def _somewhere(self, run: Run, place: Place, delivery: Stream | Whole) -> None:
        """Lets a job run, and where its backend fails before anything of the answer was sent, at the next one."""
        tried: list[Place] = []
        while True:
            try:
                await self._at(run, place, delivery)
            except JobFailed as failed:
                if failed.code not in ELSEWHERE or run.ended_at is not None:
                    raise
                self._floor.failed(place)
                tried.append(place)
                another = None if run.delivered else self._floor.find_another(run.order, tried)
                if another is None:
                    raise
                log.info("job %s goes on with %s: %s", run.id, another.model.engine, failed.message)
                run.move(another.model, failed.message)
                delivery.begin_again()
                place = another
            else:
                self._floor.succeeded(place)
                return

    async def _at(self, run: Run, place: Place, delivery: Stream | Whole) -> None:
        async with place.lane.turn(run.hold.customer):
            run.begin()
            self._begun(run)
            self._changed()
            mark = self._meter.begin(run.device)
            try:
                await self._run(run, place, delivery)
            finally:
                run.busy = self._meter.end(mark)

    async def _run(self, run: Run, place: Place, delivery: Stream | Whole) -> None:
        beating = self._tasks.spawn("beat", delivery.beat()) if isinstance(delivery, Stream) else None
        try:
            await self._do(run, place, delivery)
        finally:
            if beating is not None:
                beating.cancel()

    async def _do(self, run: Run, place: Place, delivery: Stream | Whole) -> None:
        order = run.order
        if order.kind is not WorkKind.WASM:
            job = Job(run.id, order.kind, place.model.sha256, run.body, order.payload, told=run.told)
            await self._pump(place, job, delivery)
            return
        with self._modules.using(order.model) as module:
            job = Job(run.id, order.kind, order.model, order.body, order.payload, module, told=run.told)
            await self._pump(place, job, delivery)

    @staticmethod
    async def _pump(place: Place, job: Job, delivery: Stream | Whole) -> None:
        async with aclosing(place.backend.run(job)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                await delivery.take(chunk)

    async def _settle(self, run: Run, delivery: Stream | Whole, cancelled: BaseException | None) -> web.StreamResponse:
        if run.outcome is not JobOutcome.DONE and isinstance(delivery, Stream) and delivery.begun:
            await _try(delivery.fail(run.failure or run.outcome.value, run.why))
        paid, receipt = await self._charge(run, delivery)
        self._ended(Ended(run.status(), receipt, *run.busy))
        if cancelled is not None:
            raise cancelled
        if run.outcome is JobOutcome.DONE or (isinstance(delivery, Stream) and delivery.begun):
            return await delivery.finish(receipt, paid)
        raise WorkFailed(run, paid)

    async def _charge(self, run: Run, delivery: Stream | Whole) -> tuple[dict[str, str], dict[str, Any] | None]:
        """Payment headers and receipt of a job that has ended; nothing for one that costs nothing."""
        due = policy.charge(
            run.outcome, run.order.kind, run.tokens_of, run.prices, delivered=run.delivered, failure=run.failure
        )
        due = min(due, run.hold.ceiling)
        if not due:
            await run.hold.cancel()
            return {}, None
        try:
            payment = await run.hold.charge(due)
        except UserFacingError as error:  # it took longer than any voucher is held
            log.warning("job %s is not paid: %s", run.id, error)
            run.notes = f"{run.notes}\nnot paid: {error.message}".strip()
            return {}, None
        run.earned = due
        return payment.headers, sign_receipt(self._receipt(run, delivery.output_hash(), due), self._provider.operator)

    def _receipt(self, run: Run, output_hash: str, charged: int) -> WorkReceipt:
        usage = run.tokens_of
        return WorkReceipt(
            job=run.id,
            kind=run.order.kind.value,
            model=run.served.sha256 or run.order.model,
            engine=run.served.engine,
            parameters_hash=run.order.parameters_hash,
            input_hash=run.order.input_hash,
            output_hash=output_hash,
            usage=WorkUsage(
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                fuel=usage.fuel,
                seconds=usage.seconds,
            ),
            charged=charged,
            customer=run.hold.customer,
            provider=self._provider.owner,
            finished_at=time.time(),
        )

    # --- from outside

    async def top_up(self, request: web.Request, identity: str) -> None:
        """Takes a further voucher for a stream.

        Raises:
            web.HTTPPaymentRequired: it does not pay what is due.
            UserFacingError: there is no such job, or it needs none.
        """
        run = self._runs.get(identity)
        if run is None:
            raise UserFacingError("There is no such job here.", "It has ended.", code="hold-ended", status=409)
        await run.top_up(request)

    def follow(self, allowed: Allowance) -> None:
        """Stops what may not go on; with `finish_current` only what has not begun."""
        for run in tuple(self._runs.values()):
            begun = run.outcome is JobOutcome.RUNNING
            card_lost = run.served.gpu and run.served.gpu not in allowed.gpus
            if not allowed.run and not (begun and allowed.finish_current):
                run.interrupt(JobOutcome.STOPPED, allowed.reason)
            elif card_lost and not allowed.finish_current:
                run.interrupt(JobOutcome.STOPPED, "Its card may not be used any more.")

    def stop_all(self, why: str) -> None:
        """Stops every job."""
        for run in tuple(self._runs.values()):
            run.interrupt(JobOutcome.STOPPED, why)


async def _try(sending: Any) -> None:
    """Says something to a customer who may have left."""
    try:
        await sending
    except (ConnectionError, RuntimeError):
        log.debug("nobody is there any more to be told")
