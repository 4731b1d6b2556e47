"""One customer's buying of computing: finds who can do it, pays, fails over, and remembers how it went.

An answer comes from one provider as a whole. A stream fails over as long as nothing of its text was delivered; once
some was, a break is told and not papered over, since another provider would go on differently.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping

import aiohttp

from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.backoff import Backoff
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Cycle, Tasks
from depin_desktop.customer.compute import texts
from depin_desktop.customer.compute.asks import Ask, EmbeddingAsk, TextAsk
from depin_desktop.customer.compute.checking import Checker
from depin_desktop.customer.compute.exchange import Delivered, Exchange
from depin_desktop.customer.compute.failures import UNKNOWN_MODULE, AttemptFailed, Fault, broken
from depin_desktop.customer.compute.hosts import Host, Wish, hosts_of
from depin_desktop.customer.compute.jobs import WasmAsk
from depin_desktop.customer.compute.receipts import rate_of
from depin_desktop.customer.compute.scores import Scores, Spent
from depin_desktop.customer.compute.search import Search, Searcher
from depin_desktop.customer.market import Market
from depin_desktop.net.http import in_chunks
from depin_desktop.net.offers import NodeOffer
from depin_desktop.net.remote import STREAMS_PER_NODE
from depin_desktop.payments.payer import Payer

OFFERS_TIMEOUT_S = 5.0
GATHERING_S = 0.2
"""Offers come in a burst when the hub is joined; the first is seldom the best."""
LATECOMERS_S = 0.5
FLUSH_S = 2.0
CHECKS_GRACE_S = 8.0
MOST_AT_ONE_PROVIDER = STREAMS_PER_NODE * 3 // 4
"""The rest of the connections is left for what running streams need: payments for more."""

_ANYBODY = Wish()


class Stream:
    """A stream under way: iterate it for its events, one or more in each block of bytes, without the end's [DONE].

    Attributes:
        host: who answers.
        delivered: what it was in the end; None before it has ended well.
    """

    def __init__(self, exchange: Exchange, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        self.host = exchange.host
        self.job = exchange.job
        self.delivered: Delivered | None = None
        self._exchange = exchange
        self._first = first
        self._rest = rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        async for block in self._rest:
            yield block

    async def finish(self) -> Delivered:
        """Takes the receipt of a stream that was read to its end. Raises AttemptFailed where it does not hold."""
        self.delivered = await self._exchange.finish()
        return self.delivered

    async def close(self) -> None:
        """Reads no further."""
        await self._rest.aclose()


class ComputeClient:
    """Asks, pays, fails over. Make it, `start` it, `close` it.

    Args:
        account: signs verdicts; the payer's own account.
        checks: the share of all spending that may go into checking answers, 0 to below 1; 0 checks nothing.
    """

    def __init__(
        self,
        market: Market,
        payer: Payer,
        account: Signer,
        scores: Scores,
        *,
        checks: float = 0.5,
        dice: random.Random | None = None,
    ) -> None:
        self.scores = scores
        self._market = market
        self._payer = payer
        self._account = account
        self._searcher = Searcher(market.offers, scores, Backoff())
        self._tasks = Tasks("compute customer")
        self._room: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MOST_AT_ONE_PROVIDER))
        self._gathered = False
        self._flush = Cycle("scores", FLUSH_S, scores.flush)
        self.checker = Checker(
            self._attempt,
            self._searcher,
            scores,
            self._session,
            account,
            share=checks,
            dice=dice or random.SystemRandom(),
        )

    def start(self) -> None:
        """Begins to write what is seen of providers."""
        self._tasks.spawn("scores", self._flush.run())

    async def close(self) -> None:
        """Lets checks under way end for a short while, and writes what was seen."""
        await self.checker.close(CHECKS_GRACE_S)
        await self._tasks.close()
        await self.scores.flush()

    def _session(self, node: NodeOffer) -> aiohttp.ClientSession:
        return self._market.session(node)

    # --- finding ------------------------------------------------------------------------------------------------------

    async def offers(self) -> Mapping[str, NodeOffer]:
        """Who offers computing, by owner."""
        await self._gather(lambda node: node.compute is not None)
        return {owner: node for owner, node in self._market.offers().items() if node.compute is not None}

    async def _gather(self, wanted: Callable[[NodeOffer], bool]) -> None:
        """Waits, a while, until somebody offers what is wanted."""

        def there(offers: Mapping[str, NodeOffer]) -> bool:
            return any(wanted(node) for node in offers.values())

        if not self._gathered:
            await self._market.wait_until(_anybody_computes, OFFERS_TIMEOUT_S)
            await asyncio.sleep(GATHERING_S)
            self._gathered = True
        if not there(self._market.offers()):
            # Where there is a market already, what is missing in it will hardly come within seconds.
            await self._market.wait_until(there, LATECOMERS_S)

    async def warm(self) -> None:
        """Connects to everyone who offers computing, so that the first request need not."""

        async def greet(node: NodeOffer) -> None:
            with contextlib.suppress(UserFacingError, aiohttp.ClientError, TimeoutError, ConnectionError):
                async with asyncio.timeout(OFFERS_TIMEOUT_S), self._session(node).get("/compute/terms") as response:
                    await response.read()

        await asyncio.gather(*(greet(node) for node in (await self.offers()).values()))

    # --- asking -------------------------------------------------------------------------------------------------------

    async def run(self, ask: Ask, wish: Wish = _ANYBODY) -> Delivered:
        """Has the work done by whoever is best and able.

        Raises:
            UserFacingError: nobody can, or nobody could; what was not answered was not charged.
        """
        search = await self._search(ask, wish)
        while True:
            host = await search.next()
            try:
                delivered = await self._attempt(ask, host)
            except AttemptFailed as error:
                search.failed(host, error)
            else:
                self.checker.consider(delivered)
                return delivered

    @contextlib.asynccontextmanager
    async def stream(self, ask: TextAsk, wish: Wish = _ANYBODY) -> AsyncIterator[Stream]:
        """A stream of text, begun at whoever answers; leaving early ends it there too.

        Raises:
            UserFacingError: nobody can, or nobody could.
            AttemptFailed: from the stream itself: it broke off after some of its text was delivered.
        """
        search = await self._search(ask, wish)
        while True:
            host = await search.next()
            async with contextlib.AsyncExitStack() as stack:
                exchange = await stack.enter_async_context(self._exchange(ask, host))
                try:
                    stream = await _begin(exchange)
                except AttemptFailed as error:
                    search.failed(host, error)
                    continue
                stack.push_async_callback(stream.close)
                try:
                    yield stream
                except AttemptFailed as error:
                    self._broke(host, error)
                    raise
                if stream.delivered is not None:
                    self._book(stream.delivered, Spent.ANSWERS)
                    self.checker.consider(stream.delivered)
                return

    async def _search(self, ask: Ask, wish: Wish) -> Search:
        await self._gather(lambda node: bool(hosts_of([node], ask.kind, ask.model)))
        return Search(self._searcher, ask, wish)

    async def _attempt(self, ask: Ask, host: Host, what: Spent = Spent.ANSWERS) -> Delivered:
        """One whole answer of one provider, booked.

        Raises:
            AttemptFailed: it gave none.
        """
        try:
            delivered = await self._once(ask, host)
        except AttemptFailed as error:
            if error.code != UNKNOWN_MODULE or not isinstance(ask, WasmAsk):
                raise
            await self._bring(ask, host)
            delivered = await self._once(ask, host)
        self._book(delivered, what)
        return delivered

    async def _once(self, ask: Ask, host: Host) -> Delivered:
        async with self._exchange(ask, host) as exchange:
            await exchange.send()
            return await exchange.whole()

    @contextlib.asynccontextmanager
    async def _exchange(self, ask: Ask, host: Host) -> AsyncIterator[Exchange]:
        session, customer = self._session(host.node), str(self._account.address)
        exchange = Exchange(self._payer, session, customer, host, ask, tasks=self._tasks)
        async with self._room[host.owner]:
            with self._flying(host):
                try:
                    yield exchange
                finally:
                    await exchange.close()

    @contextlib.contextmanager
    def _flying(self, host: Host) -> Iterator[None]:
        flying = self._searcher.in_flight
        flying[host.key] += 1
        try:
            yield
        finally:
            flying[host.key] -= 1
            if not flying[host.key]:
                del flying[host.key]

    async def _bring(self, ask: WasmAsk, host: Host) -> None:
        """Gives a provider the module that it has not got yet."""
        session, length = self._session(host.node), {"Content-Length": str(len(ask.module))}
        try:
            async with session.put(
                f"/compute/modules/{ask.model}", data=in_chunks(ask.module), headers=length
            ) as response:
                await response.read()
                if response.status >= 400:
                    raise broken(host.owner, f"does not take the module (status {response.status})")
        except UserFacingError as error:
            raise AttemptFailed(error, Fault.PROVIDER) from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise broken(host.owner, "did not take the module") from error

    # --- remembering --------------------------------------------------------------------------------------------------

    def _book(self, delivered: Delivered, what: Spent) -> None:
        host, text = delivered.host, isinstance(delivered.ask, TextAsk | EmbeddingAsk)
        rate = rate_of(text, delivered.receipt.usage, delivered.seconds)
        self.scores.served(host.key, rate=rate, charged=delivered.charged, what=what)
        self._searcher.backoff.succeeded(host.owner)

    def _broke(self, host: Host, error: AttemptFailed) -> None:
        if error.fault is Fault.PROVIDER:
            self._searcher.backoff.failed(host.owner)
            self.scores.failed(host.key, charged=error.paid)


def _anybody_computes(offers: Mapping[str, NodeOffer]) -> bool:
    return any(node.compute is not None for node in offers.values())


async def _begin(exchange: Exchange) -> Stream:
    """Asks for a stream and reads until there is text in it: until then somebody else may take over."""
    await exchange.send()
    blocks, first = exchange.blocks(), b""
    async for block in blocks:
        first += block
        if texts.says_something(block):
            break
    return Stream(exchange, first, blocks)
