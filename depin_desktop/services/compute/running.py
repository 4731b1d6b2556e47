"""One job from its queue to its end: how far it has come, how far it is paid, and what may stop it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from depin_desktop.api.compute import JobOutcome, JobStatus
from depin_desktop.core.errors import UserFacingError
from depin_desktop.net import metering
from depin_desktop.payments.holds import Hold
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.orders import Order
from depin_desktop.services.compute.runtimes.base import ServedModel, Usage, WorkKind


class Stopped(Exception):
    """The job was stopped from outside; its `Run` says by whom."""


class Run:
    """A customer's job; everything here happens at once, between two awaits.

    Attributes:
        usage: what the job took so far, as far as that is known.
        delivered: whether the customer was sent anything of the answer.
        due: base units of the voucher that a stream needs next.
        notes: what a worker has said, for the owner alone.
        busy: seconds of its device, and watt-hours where they are known.
    """

    def __init__(self, identity: str, order: Order, served: ServedModel, prices: policy.Prices, hold: Hold) -> None:
        self.id = identity
        self.order = order
        self.served = served
        self.prices = prices
        self.hold = hold
        self.usage = Usage()
        self.outcome = JobOutcome.WAITING
        self.why = ""
        self.notes = ""
        self.failure = ""
        self.delivered = False
        self.queued_at = time.time()
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.earned = 0
        self.busy: tuple[float, float | None] = (0.0, None)
        self._limit = metering.output_limit(order.body, served.context_tokens) if order.kind in policy.TEXT else 0
        self._most = metering.output_limit({**order.body, "n": 1}, served.context_tokens)
        self._paid: int | None = None if not order.streamed else self._slice
        self._pieces = 0
        self.due = policy.next_slice(self._paid or 0, self._limit, prices)
        self._paid_on = asyncio.Event()
        self._scope: asyncio.Timeout | None = None

    # --- its course

    def begin(self) -> None:
        """Its turn has come."""
        self.outcome, self.started_at = JobOutcome.RUNNING, self.started_at or time.time()

    def move(self, served: ServedModel, why: str) -> None:
        """Another model does it, from the beginning: what was done in vain is nobody's to pay."""
        self.notes = f"{self.notes}\n{self.served.engine} failed before its first word: {why}".strip()
        self.served, self.usage, self._pieces = served, Usage(), 0

    @property
    def body(self) -> Mapping[str, Any]:
        """The request, within the output that its ceiling was counted for, whichever model it is put to."""
        return {**self.order.body, "max_completion_tokens": self._most} if self._limit else self.order.body

    def end(self, outcome: JobOutcome, why: str = "", failure: str = "") -> None:
        """It is over; what ended it first counts."""
        if self.ended_at is None:
            self.outcome, self.why, self.failure, self.ended_at = outcome, why, failure, time.time()

    def told(self, usage: Usage) -> None:
        """What it took so far, while nothing of its output is there. What is done after its end nobody pays for."""
        if self.ended_at is None and not self._pieces:
            self.usage = usage

    def took(self, usage: Usage) -> None:
        """A further part of the output is there. Who counts no tokens on the way sends at least one with each part."""
        self._pieces += 1
        self.usage = usage

    @asynccontextmanager
    async def interruptible(self) -> AsyncIterator[None]:
        """What `interrupt` stops; raises Stopped then."""
        try:
            async with asyncio.timeout(None) as self._scope:
                if self.ended_at is not None:
                    raise Stopped
                yield
        except TimeoutError as error:
            if self.ended_at is None:
                raise
            raise Stopped from error
        finally:
            self._scope = None

    def interrupt(self, outcome: JobOutcome, why: str) -> None:
        """Stops it wherever it is; does nothing where it has ended."""
        if self.ended_at is not None:
            return
        self.end(outcome, why)
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    # --- paying on the way

    @property
    def _slice(self) -> int:
        return min(self._limit, metering.SLICE_TOKENS)

    @property
    def _generated(self) -> int:
        return max(self.usage.completion_tokens, self._pieces - 2)  # a stream's frame has no tokens: role and end

    def first_count(self) -> None:
        """The prompt's true length is known: what its ceiling holds too much pays for output."""
        paid = policy.tokens_paid_for(self.hold.ceiling, self.usage.prompt_tokens, self.prices)
        self._paid = None if paid is None or paid >= self._limit else max(paid, self._slice)

    def wants_more(self) -> bool:
        """Whether it is time to ask for the next voucher."""
        return self._paid is not None and self._generated + policy.ASK_AHEAD_TOKENS >= self._paid

    def used_up(self) -> bool:
        """Whether everything that is paid for has been generated."""
        return self._paid is not None and self._generated >= self._paid

    def ask(self) -> int:
        """The voucher that is needed now, in base units; `paid_on` waits for it."""
        self._paid_on.clear()
        self.due = policy.next_slice(self._paid or 0, self._limit, self.prices)
        return self.due

    async def paid_on(self) -> None:
        """Returns when the customer has paid for more; ends the job where that takes too long."""
        try:
            async with asyncio.timeout(policy.PAY_WITHIN_S):
                await self._paid_on.wait()
        except TimeoutError as error:
            self.end(JobOutcome.UNPAID, "The customer did not pay for more.")
            raise Stopped from error

    async def top_up(self, request: web.Request) -> None:
        """Takes the further voucher that `request` brings; the same one again changes nothing.

        Raises:
            web.HTTPPaymentRequired: it does not pay what is due.
            UserFacingError: the job takes no further payment.
        """
        if not self.order.streamed or self.ended_at is not None:
            raise UserFacingError("This job needs no further payment.", code="hold-ended", status=409)
        before = self.hold.ceiling
        await self.hold.extend(request, self.due)
        if self.hold.ceiling > before and self._paid is not None:
            self._paid = min(self._limit, self._paid + metering.SLICE_TOKENS)
            if self._paid >= self._limit:
                self._paid = None
            self._paid_on.set()

    # --- what is told of it

    @property
    def device(self) -> str:
        return policy.device_of(self.served)

    @property
    def tokens_of(self) -> Usage:
        """What it is charged by, also where it was stopped before anybody had counted.

        The parts of a stream count as a token each; a run counts by its time.
        """
        if self.order.kind in (WorkKind.ONNX, WorkKind.WASM) and self.usage == Usage() and self.started_at is not None:
            return Usage(seconds=(self.ended_at or time.time()) - self.started_at)
        if not self.order.streamed or self.usage.completion_tokens or not self.delivered:
            return self.usage
        return Usage(self.usage.prompt_tokens, max(0, self._generated), self.usage.fuel, self.usage.seconds)

    def status(self) -> JobStatus:
        """As lists show it."""
        usage = self.tokens_of
        return JobStatus(
            id=self.id,
            kind=self.order.kind.value,
            model=self.served.name if self.served.sha256 else self.order.model,
            customer=self.hold.customer,
            device=self.device,
            outcome=self.outcome,
            queued_at=self.queued_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            fuel=usage.fuel,
            seconds=usage.seconds,
            earned=self.earned,
            log=self._log(),
        )

    def _log(self) -> str:
        lines = []
        if self.started_at is not None:
            lines.append(f"waited {self.started_at - self.queued_at:.2f} s")
            if self.ended_at is not None:
                lines.append(f"ran {self.ended_at - self.started_at:.2f} s with {self.served.engine}")
        return "\n".join([*lines, *(said for said in (self.notes, self.why) if said)])
