"""One piece of work at one provider: from the voucher that opens it to the receipt that ends it.

The voucher for the ceiling goes with the request, so that a provider that is known is asked in one round trip. A
running stream is topped up beside the reading, so that nothing waits for it. Nothing here is tried twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import aiohttp

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Tasks
from depin_desktop.customer.compute import failures, sse
from depin_desktop.customer.compute.asks import Ask
from depin_desktop.customer.compute.failures import AttemptFailed, Fault, broken
from depin_desktop.customer.compute.hosts import Host
from depin_desktop.customer.compute.receipts import Seen, WrongReceipt, answering, read_receipt
from depin_desktop.net import metering
from depin_desktop.net import work_receipts as words
from depin_desktop.net.http import as_user_error
from depin_desktop.net.work_receipts import WorkReceipt
from depin_desktop.payments.payer import Payer, PaymentFailed

MAX_ANSWER_BYTES = 64 << 20
CONNECT_S = 15.0
PAY_TIMEOUT_S = 10.0
LINGER_S = 2.0
_MAX_PROBLEM_BYTES = 65_536
_ERROR = b'data: {"error"'
_LOST = (aiohttp.ClientError, TimeoutError, ConnectionError)


@dataclass(frozen=True)
class Delivered:
    """An answer that was paid for, with a receipt that holds.

    Attributes:
        host: who answered, which another of the provider's machines may have done than was asked.
        data: the answer's body; of a stream all its unnamed events before the end.
        charged: base units.
        seconds: from asking to the last byte.
    """

    ask: Ask
    host: Host
    data: bytes
    receipt: WorkReceipt
    charged: int
    seconds: float


class Exchange:
    """Asks `host` once. `send`, then `whole` or `blocks` and `finish`; `close` whatever happened."""

    def __init__(
        self, payer: Payer, session: aiohttp.ClientSession, customer: str, host: Host, ask: Ask, *, tasks: Tasks
    ) -> None:
        self.host = host
        self.ask = ask
        self._payer = payer
        self._session = session
        self._customer = customer
        self._request = ask.request(host)
        self._tasks = tasks
        self._began = time.monotonic()
        self._response: aiohttp.ClientResponse | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._hash = hashlib.sha256()
        self._named: dict[str, bytes] = {}
        self._topping_up: asyncio.Task[None] | None = None
        self._heard = 0
        self._heard_at_top_up = -1
        self._stopped: AttemptFailed | None = None
        self._unpaid: AttemptFailed | None = None
        self.job = ""

    # --- asking -------------------------------------------------------------------------------------------------------

    async def send(self) -> None:
        """Pays and asks; returns when the provider has begun to answer.

        Raises:
            AttemptFailed: it has not.
        """
        request, ceiling = self._request, self.ask.ceiling(self.host)
        patience = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=request.patience_s)
        try:
            response = await self._payer.request(
                self._session,
                "POST",
                request.path,
                self.host.node,
                price=ceiling,
                metered=True,
                headers={"Content-Type": request.content_type},
                data=request.body,
                timeout=patience,
            )
        except PaymentFailed as error:
            raise failures.of_payment(error) from error
        except UserFacingError as error:  # out of reach
            raise AttemptFailed(error, Fault.PROVIDER) from error
        except _LOST as error:
            raise AttemptFailed(as_user_error(error, self.host.node.node_id), Fault.PROVIDER, charged=True) from error
        self._response = response
        self.job = response.headers.get(words.JOB_HEADER, "")[:64]
        if response.status != 200:
            raise await self._refusal(response)

    async def _refusal(self, response: aiohttp.ClientResponse) -> AttemptFailed:
        try:
            body = await response.content.read(_MAX_PROBLEM_BYTES)
        except _LOST:
            body = b""
        return failures.of_answer(self.host.owner, response.status, response.headers, body)

    # --- a whole answer -----------------------------------------------------------------------------------------------

    async def whole(self) -> Delivered:
        """The whole answer, its receipt checked.

        Raises:
            AttemptFailed: it broke off, or its receipt does not hold.
        """
        assert self._response is not None, "send() comes first"
        try:
            async for data in self._response.content.iter_any():
                self._take(data)
        except _LOST as error:
            raise AttemptFailed(as_user_error(error, self.host.node.node_id), Fault.PROVIDER, charged=True) from error
        self._named[words.RECEIPT_EVENT] = self._response.headers.get(words.RECEIPT_HEADER, "").encode()
        return await self._settle()

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_ANSWER_BYTES:
            raise broken(self.host.owner, "sent an answer without end", charged=True)
        self._hash.update(data)
        self._parts.append(data)

    # --- a stream -----------------------------------------------------------------------------------------------------

    async def blocks(self) -> AsyncGenerator[bytes]:
        """The unnamed events before the end as they come, one or more together; the rest is taken in here.

        Raises:
            AttemptFailed: the stream broke off, or ended with an error.
        """
        assert self._response is not None, "send() comes first"
        events, ended = sse.Events(), False
        try:
            async for data in self._response.content.iter_any():
                plain = []
                for event in events.feed(data):
                    self._heard += 1
                    if not sse.is_plain(event):
                        self._take_named(event)
                    elif event.startswith(_ERROR):
                        self._stop(event)
                    elif sse.is_done(event):
                        ended = True
                        break
                    else:
                        plain.append(event)
                if plain:
                    block = b"".join(plain)
                    self._take(block)
                    yield block
                if ended:
                    break
        except AttemptFailed:
            raise
        except UserFacingError as error:  # an event without end
            raise AttemptFailed(error, Fault.PROVIDER, charged=True) from error
        except _LOST as error:
            raise AttemptFailed(as_user_error(error, self.host.node.node_id), Fault.PROVIDER, charged=True) from error
        if self._stopped is not None:
            self._stopped.paid = await self._paid() or 0
        if self._stopped is not None or not ended:
            raise self._unpaid or self._stopped or broken(self.host.owner, "broke its answer off", charged=True)

    def _take_named(self, event: bytes) -> None:
        name, data = sse.parse(event)
        if name == words.MORE_EVENT:
            self._top_up(data)
        elif name:
            self._named[name] = data

    def _stop(self, event: bytes) -> None:
        """The provider says why it cannot go on; what it has done until then it may charge."""
        code, message, remedy = failures.said(sse.parse(event)[1])
        text = f"The provider {self.host.owner} stopped: {message or 'it does not say why.'}"
        error = UserFacingError(text, remedy or "Try again.", code=code or "bad-answer", status=502)
        self._stopped = AttemptFailed(error, Fault.CUSTOMER if code == "bad-input" else Fault.PROVIDER, charged=True)

    def _top_up(self, data: bytes) -> None:
        """Pays for the next slice beside the reading; something must have come since the one before."""
        amount = _amount(data)
        if not 0 < amount <= self._slice_price() or self._heard <= self._heard_at_top_up + 1:
            self._unpaid = broken(self.host.owner, "asked for more than its offer says", charged=True)
            return
        self._heard_at_top_up = self._heard
        self._topping_up = self._tasks.spawn("top-up", self._extend(amount, self._topping_up))

    def _slice_price(self) -> int:
        """The most that one slice of output may cost."""
        model = self.host.model
        if model is None:
            return 0
        tokens = metering.SLICE_TOKENS * max(1, int(getattr(self.ask, "body", {}).get("n") or 1))
        return metering.tokens_cost(0, tokens, 0, model.price_out_per_mtoken)

    async def _extend(self, amount: int, before: asyncio.Task[None] | None) -> None:
        assert self._response is not None
        if before is not None:
            await asyncio.wait([before])
        try:
            async with asyncio.timeout(PAY_TIMEOUT_S):
                await self._payer.extend(self._session, f"/compute/jobs/{self.job}/pay", self._response, amount)
        except PaymentFailed as error:
            self._unpaid = failures.of_payment(error)
            self._unpaid.charged = True
        except (UserFacingError, *_LOST):
            self._unpaid = broken(self.host.owner, "did not take the payment for more", charged=True)

    async def finish(self) -> Delivered:
        """Ends a stream that has been read to its end, its receipt checked.

        Raises:
            AttemptFailed: the receipt does not hold.
        """
        return await self._settle()

    # --- the end ------------------------------------------------------------------------------------------------------

    async def _paid(self) -> int | None:
        """Books what the payment's receipt says was charged; None where none came."""
        assert self._response is not None
        response, self._response = self._response, None
        payment = self._named.get(words.PAYMENT_EVENT, b"").decode("ascii", "replace")
        charged = await self._payer.settled(response, payment or None)
        if not response.closed:
            self._tasks.spawn("end of a stream", _read_to_the_end(response))
        return charged

    async def _settle(self) -> Delivered:
        charged = await self._paid()
        data = b"".join(self._parts)
        seen = Seen(self.ask, self.host, self._request, self._customer, data, self._hash.hexdigest(), charged)
        try:
            receipt = read_receipt(self._named.get(words.RECEIPT_EVENT, b""), seen)
        except WrongReceipt as wrong:
            error = broken(self.host.owner, str(wrong), charged=True)
            error.paid = charged or 0
            raise error from wrong
        seconds = time.monotonic() - self._began
        return Delivered(self.ask, answering(receipt, self.host), data, receipt, charged or 0, seconds)

    async def close(self) -> None:
        """Gives up what still runs; the provider learns of it, and its channel is free again."""
        if self._topping_up is not None and not self._topping_up.done():
            self._topping_up.cancel()
            await asyncio.wait([self._topping_up])
        response, self._response = self._response, None
        if response is not None:
            response.close()
            await self._payer.settled(response)


async def _read_to_the_end(response: aiohttp.ClientResponse) -> None:
    """Nothing of use follows; but a connection whose answer was read to its end serves the next request."""
    with contextlib.suppress(*_LOST):
        async with asyncio.timeout(LINGER_S):
            await response.content.readany()
    response.release()


def _amount(data: bytes) -> int:
    """Base units that a provider asks for; 0 where it says it in no way that is understood."""
    try:
        return int(json.loads(data)["amount"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
