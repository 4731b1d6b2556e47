"""Finding out who answers wrongly: questions with known answers, the same question to a second provider, and a third.

Checks run beside the customer's work and after it, are paid like any other, and never take more than their share of all
that is spent. A question that is asked twice is seen by two providers: who does not want that checks nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Tasks
from depin_desktop.customer.compute.agreement import break_tie, overcounted
from depin_desktop.customer.compute.asks import Ask
from depin_desktop.customer.compute.canaries import Canary, wasm_canary
from depin_desktop.customer.compute.exchange import Delivered
from depin_desktop.customer.compute.failures import AttemptFailed, Fault
from depin_desktop.customer.compute.hosts import WASM, Host, Wish
from depin_desktop.customer.compute.scores import Scores, Spent
from depin_desktop.customer.compute.search import Searcher
from depin_desktop.customer.compute.trust import Verdict, must_check
from depin_desktop.net.offers import NodeOffer
from depin_desktop.net.work_receipts import sign_verdict

log = logging.getLogger(__name__)

CANARY_SHARE = 0.25
"""Of the checks that could be either, so many are questions whose answer is known; the others are asked twice."""
MOST_AT_ONCE = 4
TRIES = 2
VERDICT_TIMEOUT_S = 5.0

Sessions = Callable[[NodeOffer], aiohttp.ClientSession]


class Attempt(Protocol):
    """Has one provider do one piece of work, and books it. Raises AttemptFailed."""

    def __call__(self, ask: Ask, host: Host, what: Spent = ...) -> Awaitable[Delivered]: ...


class Checker:
    """Checks answers as often as their hosts' standings ask for.

    Args:
        share: of all spending that may go into checks; 0 checks nothing.
    """

    def __init__(
        self,
        attempt: Attempt,
        searcher: Searcher,
        scores: Scores,
        sessions: Sessions,
        account: Signer,
        *,
        share: float,
        dice: random.Random,
    ) -> None:
        self._attempt = attempt
        self._searcher = searcher
        self._scores = scores
        self._sessions = sessions
        self._account = account
        self._share = share
        self._dice = dice
        self._tasks = Tasks("compute checks")
        self._running: set[asyncio.Task[None]] = set()

    def consider(self, answer: Delivered) -> None:
        """Begins a check of an answer, if it is due and there is money for it."""
        standing = self._scores.standing(answer.host.key)
        if (
            self._share <= 0
            or not answer.ask.comparable
            or len(self._running) >= MOST_AT_ONCE
            or not must_check(standing, self._dice)
            or not self._scores.spending.may_check(answer.charged, self._share)
        ):
            return
        task = self._tasks.spawn("check", self._check(answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def done(self) -> None:
        """Returns when the checks that are under way have ended."""
        while self._running:
            await asyncio.wait(self._running)

    async def close(self, grace_s: float) -> None:
        """Lets what is under way end for so long, and gives the rest up."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        await self._tasks.close()

    # --- one check ----------------------------------------------------------------------------------------------------

    async def _check(self, answer: Delivered) -> None:
        others = self._others(answer)
        if (not others or self._dice.random() < CANARY_SHARE) and await self._try_canary(answer):
            return
        second = await self._second_opinion(answer, others)
        if second is None:
            await self._tell(answer, Verdict.UNCLEAR)
            return
        verdict = judged(answer, second)
        if verdict is Verdict.WRONG:
            await self._settle_between(answer, second, others)
            return
        await self._tell(answer, verdict)
        if verdict is Verdict.RIGHT:
            await self._tell(second, verdict)
            owners = {answer.host.owner, second.host.owner}
            await self._scores.keep(answer.ask, answer.host.key.model, second.data, owners)

    def _others(self, answer: Delivered) -> list[Host]:
        """Who else serves the very same model, those with the same engine build first."""
        try:
            found = self._searcher.hosts(answer.ask, Wish(avoid=frozenset({answer.host.owner})))
        except UserFacingError:
            return []
        key = answer.host.key
        same = [host for host in self._searcher.rested(found) if host.key.model == key.model]
        return sorted(same, key=lambda host: host.key.engine != key.engine)

    async def _second_opinion(self, answer: Delivered, hosts: list[Host]) -> Delivered | None:
        """The same work done by another, so that it can be compared."""
        ask = answer.ask.checking(answer.receipt.usage)
        for host in hosts[:TRIES]:
            if (found := await self._ask(ask, host)) is not None:
                return found
        return None

    async def _settle_between(self, answer: Delivered, second: Delivered, hosts: list[Host]) -> None:
        """Two answers differ: a third provider decides, or questions whose answers are known."""
        left = [host for host in hosts if host.owner != second.host.owner]
        third = await self._second_opinion(answer, left)
        if third is None:
            for one in (answer, second):
                if not await self._try_canary(one):
                    await self._tell(one, Verdict.UNCLEAR)
            return
        first_is, second_is = break_tie(judged(answer, third), judged(second, third))
        await self._tell(answer, first_is)
        await self._tell(second, second_is)
        if Verdict.RIGHT in (first_is, second_is):
            await self._tell(third, Verdict.RIGHT)

    async def _try_canary(self, answer: Delivered) -> bool:
        """Asks the same host a question whose answer is known; False where there is none."""
        host = answer.host
        canary: Canary | None
        if answer.ask.kind == WASM:
            canary = wasm_canary(self._dice)
        else:
            canary = await self._scores.canary(answer.ask.kind, host.key.model, host.owner)
        if canary is None:
            return False
        found = await self._ask(canary.ask.at_once(), host)
        if found is not None:
            await self._tell(found, canary.ask.compare(found.data, canary.answer))
        return True

    async def _ask(self, ask: Ask, host: Host) -> Delivered | None:
        try:
            return await self._attempt(ask, host, Spent.CHECKS)
        except AttemptFailed as error:
            log.info("a check was not answered: %s", error)
            if error.fault is Fault.PROVIDER:
                self._searcher.backoff.failed(host.owner)
                self._scores.failed(host.key, charged=error.paid, what=Spent.CHECKS)
            return None

    # --- the outcome --------------------------------------------------------------------------------------------------

    async def _tell(self, answer: Delivered, verdict: Verdict) -> None:
        """Remembers a verdict, and lets the provider know it."""
        self._scores.checked(answer.host.key, verdict)
        if verdict is Verdict.UNCLEAR:
            return
        if verdict is Verdict.WRONG:
            log.warning("the provider %s gave a wrong answer", answer.host.owner)
        said = sign_verdict(self._account, answer.receipt.job, answer.host.owner, verdict.value)
        try:
            async with asyncio.timeout(VERDICT_TIMEOUT_S):
                session = self._sessions(answer.host.node)
                async with session.post("/compute/verdicts", json=said) as response:
                    await response.read()
        except (UserFacingError, aiohttp.ClientError, TimeoutError, ConnectionError):
            log.debug("%s could not be told of a check", answer.host.owner)


def judged(answer: Delivered, check: Delivered) -> Verdict:
    """Whether an answer, and what was charged for its question, stand up to a check of it."""
    if overcounted(answer.receipt.usage.prompt_tokens, check.receipt.usage.prompt_tokens):
        return Verdict.WRONG
    return answer.ask.compare(answer.data, check.data)
