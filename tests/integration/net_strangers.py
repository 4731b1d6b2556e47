"""Nodes that keep to no rules of ours: bare iroh endpoints, and floods of them.

As a program it is a flood in a process of its own, which says in a line of JSON what it has come to when it has spread,
and again for each line on its standard input:
    python net_strangers.py NODE_ID ADDRESS NODES CONNECTIONS STREAMS
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import iroh

ALPN = b"depin/http/1"
HALF_A_REQUEST = b"GET /hello HTTP/1.1\r\nHost: node\r\n"
HANDSHAKES = 16  # of one flood under way at once
CONNECT_TIMEOUT_S = 20


class Stranger:
    """One endpoint, with a node id of its own."""

    def __init__(self, endpoint: iroh.Endpoint) -> None:
        self._endpoint = endpoint

    @classmethod
    async def bind(cls) -> Stranger:
        options = iroh.EndpointOptions(
            preset=iroh.preset_minimal(), bind_addr="127.0.0.1:0", relay_mode=iroh.RelayMode.disabled(), alpns=[ALPN]
        )
        return cls(await iroh.Endpoint.bind(options))

    async def call(self, node_id: str, addresses: Iterable[str], alpn: bytes = ALPN) -> iroh.Connection:
        node = iroh.EndpointId.from_bytes(bytes.fromhex(node_id))
        return await self._endpoint.connect(iroh.EndpointAddr(node, None, list(addresses)), alpn)

    async def close(self) -> None:
        await self._endpoint.close()


@contextlib.asynccontextmanager
async def strangers(count: int) -> AsyncIterator[list[Stranger]]:
    bound = [await Stranger.bind() for _ in range(count)]
    try:
        yield bound
    finally:
        await asyncio.gather(*(stranger.close() for stranger in bound))


async def begin(connection: iroh.Connection, data: bytes = HALF_A_REQUEST) -> iroh.BiStream:
    """A new stream on which `data` was sent and nothing follows."""
    stream = await connection.open_bi()
    await stream.send().write_all(data)
    return stream


async def ended(stream: iroh.BiStream) -> bool:
    """Waits until the other side has answered or ended `stream`; whether it ended it without an answer."""
    try:
        return not await stream.recv().read(1)
    except iroh.IrohError:
        return True


@dataclass
class Flood:
    """Nodes that begin requests without end, and once all have, where told to, another one for each that is ended.

    `begun` counts the requests, `open` those that neither were ended nor answered.
    """

    node_id: str
    addresses: tuple[str, ...]
    nodes: int
    connections: int = 1  # of each node
    streams: int = 32  # of each connection
    again: bool = False
    begun: int = 0
    open: int = 0
    answered: int = 0
    refused: int = 0  # connections that did not come about
    _endpoints: list[Stranger] = field(default_factory=list)
    _connections: list[iroh.Connection] = field(default_factory=list)
    _spread: asyncio.Event = field(default_factory=asyncio.Event)
    _holding: list[asyncio.Task[None]] = field(default_factory=list)

    async def spread(self) -> None:
        """Opens all connections and streams; returns when every one has been tried."""
        turns = asyncio.Semaphore(HANDSHAKES)

        async def attack() -> None:
            async with turns:
                stranger = await Stranger.bind()
                self._endpoints.append(stranger)
                for _ in range(self.connections):
                    try:
                        async with asyncio.timeout(CONNECT_TIMEOUT_S):
                            connection = await stranger.call(self.node_id, self.addresses)
                    except (iroh.IrohError, TimeoutError):
                        self.refused += 1
                    else:
                        self._connections.append(connection)
                        first = [asyncio.Event() for _ in range(self.streams)]
                        self._holding += [asyncio.create_task(self._hold(connection, event)) for event in first]
                        await asyncio.gather(*(event.wait() for event in first))

        await asyncio.gather(*(attack() for _ in range(self.nodes)))
        self._spread.set()

    async def _hold(self, connection: iroh.Connection, first: asyncio.Event) -> None:
        while connection.close_reason() is None:
            try:
                stream = await begin(connection)
            except iroh.IrohError:
                break
            self.begun += 1
            self.open += 1
            first.set()
            self.answered += not await ended(stream)
            self.open -= 1
            if not self.again:
                break
            await self._spread.wait()
        first.set()

    async def close(self) -> None:
        for task in self._holding:
            task.cancel()
        await asyncio.gather(*self._holding, return_exceptions=True)
        await asyncio.gather(*(stranger.close() for stranger in self._endpoints))
        self._holding, self._connections, self._endpoints = [], [], []  # iroh keeps what Python still holds

    def counted(self) -> dict[str, int]:
        return {
            "begun": self.begun,
            "open": self.open,
            "answered": self.answered,
            "connected": len(self._connections),
            "closed": sum(connection.close_reason() is not None for connection in self._connections),
            "refused": self.refused,
        }


class Swallower(asyncio.DatagramProtocol):
    """A way to a node on which handshakes begin and never end: of what comes back only Retry packets pass."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._caller: tuple[str, int] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def between(cls, address: str) -> AsyncIterator[str]:
        """The address to call instead of `address`, for one endpoint."""
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: cls((host, int(port))), local_addr=(host, 0))
        try:
            own: tuple[str, int] = transport.get_extra_info("sockname")
            yield f"{own[0]}:{own[1]}"
        finally:
            transport.close()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        if sender != self._target:
            self._caller = sender
            self._transport.sendto(data, self._target)
        elif data[0] & 0xF0 == 0xF0 and self._caller is not None:  # RFC 9000, 17.2.5: long header, type 3
            self._transport.sendto(data, self._caller)


async def _main() -> None:
    node_id, address, nodes, connections, streams = sys.argv[1:]
    flood = Flood(node_id, (address,), int(nodes), int(connections), int(streams), again=True)
    await flood.spread()
    loop = asyncio.get_running_loop()
    while True:
        print(json.dumps(flood.counted()), flush=True)
        if not await loop.run_in_executor(None, sys.stdin.readline):
            break
    await flood.close()


if __name__ == "__main__":
    asyncio.run(_main())
