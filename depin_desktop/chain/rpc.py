"""JSON-RPC over HTTP: one node, bounded in time and connections, with errors that name their cause.

Requests go over HTTP even where the node offers WebSocket: a request then survives a restart of the node, and web3's
WebSocket provider spins the event loop while it waits for an answer. New heads come over WebSocket (`heads.py`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from depin_desktop.core.errors import UserFacingError

CONNECTIONS = 16
BUSY_RETRIES = 3
LARGE = 128 * 1024  # bytes of JSON whose parsing would hold the event loop for more than a few milliseconds
_BUSY = (429, 502, 503, 504)


class RpcError(Exception):
    """The node answered with an error: JSON-RPC's code, its message and its data."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


class Unreachable(UserFacingError):
    """The node did not answer, or not with JSON-RPC."""

    def __init__(self, url: str, reason: str) -> None:
        host = urlsplit(url).netloc.rpartition("@")[2]
        super().__init__(
            f"The chain's node at {host} cannot be reached ({reason}).",
            "Check the network connection and the address in the network file; it is tried again by itself.",
            code="chain-unreachable",
            status=503,
        )


class TooLarge(UserFacingError):
    """The node's answer was larger than the caller wanted to hold in memory; it was not read to its end."""

    def __init__(self, url: str, at_most: int) -> None:
        host = urlsplit(url).netloc.rpartition("@")[2]
        super().__init__(
            f"The chain's node at {host} answered with more than {at_most / 1e6:.0f} MB.",
            "Less is asked for at once by itself.",
            code="chain-answer-too-large",
            status=502,
        )


class Rpc:
    """A client of one node's HTTP endpoint; used from one event loop.

    Args:
        url: http or https, possibly with credentials (they are never shown).
        timeout_s: for a whole request, connecting included.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        self.url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, 5.0))
        self._ids = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, *params: Any) -> Any:
        """The result of one call.

        Raises:
            RpcError: the node refused.
            Unreachable: no answer within the time-out.
        """
        answer = await self._post({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params})
        result = _result(answer)
        if isinstance(result, RpcError):
            raise result
        return result

    async def batch(self, requests: Sequence[tuple[str, Sequence[Any]]], *, at_most: int | None = None) -> list[Any]:
        """Several calls in one round trip: results in order, an `RpcError` in place of each that was refused.

        Nodes without batches are asked one by one.

        Args:
            at_most: bytes of the whole answer; `TooLarge` beyond them.
        """
        if not requests:
            return []
        body = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
            for index, (method, params) in enumerate(requests)
        ]
        answers = await self._post(body, at_most)
        if not isinstance(answers, list):
            return [await self._one_of_batch(method, params, at_most) for method, params in requests]
        by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
        return [_result(by_id.get(index)) for index in range(len(requests))]

    async def _one_of_batch(self, method: str, params: Sequence[Any], at_most: int | None) -> Any:
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        return _result(await self._post(body, at_most))

    async def _post(self, body: Any, at_most: int | None = None) -> Any:
        payload = json.dumps(body).encode()
        for attempt in range(BUSY_RETRIES):
            status, text = await self._exchange(payload, at_most)
            if status not in _BUSY:
                break
            await asyncio.sleep(0.25 * 2**attempt)
        try:
            return json.loads(text) if len(text) < LARGE else await asyncio.to_thread(json.loads, text)
        except ValueError as error:
            raise Unreachable(self.url, f"HTTP status {status}") from error

    async def _exchange(self, payload: bytes, at_most: int | None) -> tuple[int, bytes]:
        """One POST; once more at once when the node had closed an idle connection under us."""
        for last in (False, True):
            try:
                async with self._open().post(self.url, data=payload) as response:
                    if at_most is None:
                        return response.status, await response.read()
                    return response.status, await self._read(response, at_most)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError) as error:
                if last:
                    raise Unreachable(self.url, "no connection") from error
            except TimeoutError as error:
                raise Unreachable(self.url, f"no answer within {self._timeout.total:.0f} s") from error
            except aiohttp.ClientError as error:
                raise Unreachable(self.url, type(error).__name__) from error
        raise AssertionError("unreachable")

    async def _read(self, response: aiohttp.ClientResponse, at_most: int) -> bytes:
        """The body; leaving it unread closes the connection, so that the rest does not come either."""
        parts, length = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            length += len(part)
            if length > at_most:
                raise TooLarge(self.url, at_most)
        return b"".join(parts)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            loopback = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30),
                timeout=self._timeout,
                headers={"Content-Type": "application/json"},
                trust_env=not loopback,  # a proxy from the environment, but never for our own machine
            )
        return self._session

    async def close(self) -> None:
        """Closes the connections; a later request would open new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _result(answer: Any) -> Any:
    if not isinstance(answer, dict):
        return RpcError(-32603, "the node left the answer out")
    if (error := answer.get("error")) is None:
        return answer.get("result")
    if not isinstance(error, dict):
        return RpcError(-32603, str(error))
    return RpcError(int(error.get("code", -32603)), str(error.get("message", "")), error.get("data"))
