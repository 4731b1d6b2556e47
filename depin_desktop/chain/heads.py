"""New heads over WebSocket: a hint to look at once. Nothing relies on it; the indexer polls anyway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable

import aiohttp

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
HEARTBEAT_S = 20.0
CONNECT_TIMEOUT_S = 10.0


class Heads:
    """A subscription to `newHeads` that comes back by itself.

    Args:
        url: ws or wss.
        on_head: called with each new block's number, and with -1 after every (re)connection: look for what was missed.

    Attributes:
        connected: subscribed now.
        number: the newest block that it told of.
        heard_at: when it last told something, monotonic.
    """

    def __init__(self, url: str, on_head: Callable[[int], None]) -> None:
        self._url = url
        self._on_head = on_head
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.connected = False
        self.number = -1
        self.heard_at = time.monotonic()

    async def run(self) -> None:
        """Listens for ever; pauses longer after each failure in a row."""
        pause = FIRST_PAUSE_S
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    await self._listen(session)
                except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                    log.info("no new heads over WebSocket: %s", type(error).__name__)
                pause = FIRST_PAUSE_S if self.connected else min(pause * 2, LONGEST_PAUSE_S)
                self.connected = False
                await asyncio.sleep(pause)

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            self._socket = await session.ws_connect(self._url, heartbeat=HEARTBEAT_S)
        try:
            await self._socket.send_json(
                {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}, dumps=json.dumps
            )
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(json.loads(message.data))
        finally:
            socket, self._socket = self._socket, None
            with contextlib.suppress(TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(1):
                    await socket.close()

    def _take(self, message: object) -> None:
        if not isinstance(message, dict):
            return
        self.heard_at = time.monotonic()
        if message.get("id") == 1:
            if "result" not in message:
                raise ValueError("the node does not offer newHeads")
            self.connected = True
            self.number = -1
            self._on_head(-1)
        elif message.get("method") == "eth_subscription":
            self.number = int(message["params"]["result"]["number"], 16)
            self._on_head(self.number)

    def is_silent(self, polled: int, patience_s: float) -> bool:
        """Whether block `polled` should have been told of by now.

        Blocks come on demand on an embedded chain, so silence alone proves nothing; being behind does. What was mined
        before the subscription is never told.
        """
        if not self.connected:
            return False
        if self.number < 0:
            self.number = polled
        return self.number < polled and time.monotonic() - self.heard_at > patience_s

    async def reconnect(self) -> None:
        """Drops the connection: for whoever knows that it has gone silent."""
        self.heard_at = time.monotonic()
        if self._socket is not None:
            await self._socket.close()
