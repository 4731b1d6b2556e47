"""Tahoe-LAFS as an anchor: one introducer, one storage node, one client, 1-of-1, on loopback.

Tahoe lives in a virtual environment of its own (it needs older packages); `dev.py bench` makes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.benchmarks.memory import touch_memory

READY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Rates:
    """MB/s of puts and gets of the same bytes."""

    put: float
    get: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def grid(tahoe: Path, folder: Path) -> AsyncIterator[str]:
    """Runs the three nodes below `folder`; yields the client's web address."""
    introducer, storage, client = folder / "introducer", folder / "storage", folder / "client"
    running: list[subprocess.Popen[bytes]] = []

    def create(*arguments: str) -> None:
        subprocess.run([tahoe, *arguments], check=True, capture_output=True)

    def start(node: Path) -> None:
        log = (node / "stdout.log").open("wb")
        command = [tahoe, "run", "--allow-stdin-close", node]
        running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def listen() -> list[str]:
        port = free_port()
        return [f"--port=tcp:{port}:interface=127.0.0.1", f"--location=tcp:127.0.0.1:{port}"]

    try:
        create("create-introducer", "--listen=tcp", *listen(), str(introducer))
        start(introducer)
        furl = introducer / "private" / "introducer.furl"
        await _until(furl.exists)
        shares = ["--shares-needed=1", "--shares-happy=1", "--shares-total=1"]
        web = free_port()
        joined = [f"--introducer={furl.read_text().strip()}", *shares]
        create("create-node", *joined, "--webport=none", "--listen=tcp", *listen(), str(storage))
        create("create-client", *joined, f"--webport=tcp:{web}:interface=127.0.0.1", str(client))
        start(storage)
        start(client)
        address = f"http://127.0.0.1:{web}"
        await _until_connected(address)
        yield address
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=20)


async def _until(condition: object, timeout_s: float = READY_TIMEOUT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError("Tahoe did not become ready")
        await asyncio.sleep(0.1)


async def _until_connected(address: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with session.get(f"{address}/?t=json") as response:
                    servers = (await response.json(content_type=None)).get("servers", [])
                    if any("connected" in server.get("connection_status", "").lower() for server in servers):
                        return
            await asyncio.sleep(0.2)
    raise TimeoutError("Tahoe's client found no storage node")


async def measure(tahoe: Path, folder: Path, size: int, rounds: int) -> Rates:
    """Puts and gets files of `size` random bytes, from disk to disk as ours are; medians after a small warm-up."""
    puts, gets = [], []
    timeout = aiohttp.ClientTimeout(total=600)
    source, out = folder / "in", folder / "out"
    async with grid(tahoe, folder) as address, aiohttp.ClientSession(timeout=timeout) as session:
        for number in range(rounds + 1):
            data = os.urandom(size if number else 1 << 20)
            source.write_bytes(data)
            touch_memory(folder, 2 * size)
            began = time.perf_counter()
            capability = await _put(session, address, source)
            put_s = time.perf_counter() - began
            touch_memory(folder, 2 * size)
            began = time.perf_counter()
            await _get(session, f"{address}/uri/{capability}", out)
            get_s = time.perf_counter() - began
            assert out.read_bytes() == data
            source.unlink()
            out.unlink()
            if number:
                puts.append(size / put_s / 1e6)
                gets.append(size / get_s / 1e6)
    return Rates(statistics.median(puts), statistics.median(gets))


async def _put(session: aiohttp.ClientSession, address: str, source: Path) -> str:
    with source.open("rb") as file:
        async with session.put(f"{address}/uri", data=file) as response:
            response.raise_for_status()
            return await response.text()


async def _get(session: aiohttp.ClientSession, address: str, out: Path) -> None:
    with out.open("wb", buffering=0) as file:
        async with session.get(address) as response:
            response.raise_for_status()
            async for part in response.content.iter_any():
                file.write(part)


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        print(asyncio.run(measure(Path(sys.argv[1]), Path(temporary), 128 << 20, 3)))
