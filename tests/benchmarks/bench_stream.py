"""How fast and how dear a bare HTTP transfer over iroh is, with both ends in processes of their own.

Run it as `python tests/benchmarks/bench_stream.py`; `--json` prints one object. Other benchmarks import `bare_server`
and `measure` for their baseline: nothing but aiohttp, our transport and QUIC, no storage, no payment, no disk.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

if __name__ == "__main__":  # a spawned child finds the package in the same way
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp
from aiohttp import web

from depin_desktop.net.identity import Identity
from depin_desktop.net.peer import Peer

MIB = 2**20
CHUNK = 1 * MIB


@dataclass(frozen=True)
class BareServer:
    """Where the child process serves; `GET /bytes/{count}` sends zeros, `PUT /bytes` counts, `GET /` answers "ok"."""

    node_id: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class StreamFigures:
    """Rates in MB/s (10^6 bytes), CPU in seconds per GB moved, round trip in milliseconds."""

    size_bytes: int
    get_mb_s: float
    put_mb_s: float
    client_cpu_s_per_gb: float
    server_cpu_s_per_gb: float
    round_trip_p50_ms: float
    round_trip_p99_ms: float


async def _serve(pipe: Connection) -> None:
    peer = await Peer.bind(Identity.generate(), relays=False)
    app = web.Application()
    app.add_routes(
        [web.get("/bytes/{count}", _send), web.put("/bytes", _count), web.get("/", _ok), web.get("/cpu", _cpu)]
    )
    await peer.serve(app)
    pipe.send(BareServer(peer.node_id, peer.addresses))
    await asyncio.get_running_loop().run_in_executor(None, _until_closed, pipe)
    await peer.close()


def _until_closed(pipe: Connection) -> None:
    with contextlib.suppress(EOFError):
        pipe.recv()


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _cpu(_: web.Request) -> web.Response:
    return web.json_response(time.process_time())


async def _send(request: web.Request) -> web.StreamResponse:
    left = int(request.match_info["count"])
    response = web.StreamResponse(headers={"Content-Length": str(left)})
    await response.prepare(request)
    chunk = bytes(CHUNK)
    while left > 0:
        part = chunk if left >= CHUNK else chunk[:left]
        await response.write(part)
        left -= len(part)
    return response


async def _count(request: web.Request) -> web.Response:
    count = 0
    async for chunk in request.content.iter_any():
        count += len(chunk)
    return web.json_response(count)


def _child(pipe: Connection) -> None:
    asyncio.run(_serve(pipe))


@contextlib.asynccontextmanager
async def bare_server() -> AsyncIterator[BareServer]:
    """A bare server in a child process; it ends with the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(theirs,), daemon=True)
    child.start()
    theirs.close()
    loop = asyncio.get_running_loop()
    try:
        yield await loop.run_in_executor(None, ours.recv)
    finally:
        ours.close()
        await loop.run_in_executor(None, child.join, 10)


async def get_bytes(session: aiohttp.ClientSession, count: int) -> float:
    """Reads `count` bytes; returns MB/s."""
    started, received = time.perf_counter(), 0
    async with session.get(f"/bytes/{count}") as response:
        async for chunk in response.content.iter_any():
            received += len(chunk)
    assert received == count
    return count / (time.perf_counter() - started) / 1e6


async def put_bytes(session: aiohttp.ClientSession, count: int) -> float:
    """Writes `count` bytes; returns MB/s, until the server has answered how many it got."""

    async def body() -> AsyncIterator[bytes]:
        chunk, left = bytes(CHUNK), count
        while left > 0:
            yield chunk if left >= CHUNK else chunk[:left]
            left -= CHUNK

    started = time.perf_counter()
    async with session.put("/bytes", data=body(), headers={"Content-Length": str(count)}) as response:
        assert await response.json() == count
    return count / (time.perf_counter() - started) / 1e6


async def round_trips(session: aiohttp.ClientSession, count: int) -> list[float]:
    """Milliseconds of each of `count` small requests, one after another."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        async with session.get("/") as response:
            await response.read()
        times.append((time.perf_counter() - started) * 1e3)
    return times


async def _server_cpu(session: aiohttp.ClientSession) -> float:
    async with session.get("/cpu") as response:
        return float(await response.json())


async def measure(size_bytes: int = 128 * MIB, rounds: int = 3) -> StreamFigures:
    """The median of `rounds` transfers each way, after a warm-up."""
    async with bare_server() as server:
        peer = await Peer.bind(Identity.generate(), relays=False)
        try:
            session = peer.session(server.node_id, server.addresses)
            await get_bytes(session, 8 * MIB)
            await put_bytes(session, 8 * MIB)
            trips = sorted(await round_trips(session, 300))
            server_cpu, client_cpu = await _server_cpu(session), time.process_time()
            gets = [await get_bytes(session, size_bytes) for _ in range(rounds)]
            puts = [await put_bytes(session, size_bytes) for _ in range(rounds)]
            gigabytes = 2 * rounds * size_bytes / 1e9
            return StreamFigures(
                size_bytes=size_bytes,
                get_mb_s=statistics.median(gets),
                put_mb_s=statistics.median(puts),
                client_cpu_s_per_gb=(time.process_time() - client_cpu) / gigabytes,
                server_cpu_s_per_gb=(await _server_cpu(session) - server_cpu) / gigabytes,
                round_trip_p50_ms=statistics.median(trips),
                round_trip_p99_ms=trips[int(len(trips) * 0.99)],
            )
        finally:
            await peer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = asdict(asyncio.run(measure(chosen.mib * MIB, chosen.rounds)))
    if chosen.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:22} {value:,.2f}" if isinstance(value, float) else f"{name:22} {value:,}")


if __name__ == "__main__":
    main()
