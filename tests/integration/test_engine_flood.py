"""Ten thousand half-open connections against a whole engine: customers are served, and what it takes is bounded.

Part of `python3 dev.py test --deep`, as it keeps two cores busy for a minute or two, and by itself, for its neighbours'
sake. What is smaller and quicker, and who gives way to whom, is in test_net_flood.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from depin_desktop.net.identity import Identity
from depin_desktop.net.peer import Peer

from .homes import Node, depin
from .test_two_homes import digest, random_file

NODES, CONNECTIONS, STREAMS = 320, 4, 8  # 10,240 requests over 1,280 QUIC connections, of which 1,024 may be
NEWCOMERS = 500  # after all requests have begun, while each that is ended is begun again
AT_MOST_MIB = 384
LEAK_MIB = 64  # a tenth of what a stream costs, 60 KiB, for each request of one flood
STRANGERS = Path(__file__).with_name("net_strangers.py")

pytestmark = [
    pytest.mark.skipif(not os.environ.get("DEPIN_DEEP"), reason="takes all of the machine: python3 dev.py test --deep"),
    pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="takes all of the machine: not beside other tests"),
    pytest.mark.timeout(900),
]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "network"
    yield Path(depin("localnet", "up", "--dir", str(folder), "--period", "60"))
    depin("localnet", "down", "--dir", str(folder))


@dataclass
class Watch:
    """What the engine takes while newcomers ask."""

    engine: psutil.Process
    waits_s: list[float] = field(default_factory=list)
    peak_mib: int = 0
    peak_files: int = 0

    def look(self) -> None:
        self.peak_mib = max(self.peak_mib, self.engine.memory_info().rss >> 20)
        self.peak_files = max(self.peak_files, self.engine.num_fds())

    async def newcomer(self, node_id: str, addresses: list[str]) -> None:
        """Somebody who was never here before asks for the terms; anything but an answer is a failure."""
        peer = await Peer.bind(Identity.generate(), relays=False)
        began = time.perf_counter()
        try:
            async with peer.session(node_id, addresses).get("/storage/terms") as response:
                assert response.status == 200
                await response.read()
        finally:
            await peer.close(grace_s=0)
        self.waits_s.append(time.perf_counter() - began)
        self.look()

    def told(self) -> str:
        waits = sorted(self.waits_s)
        return (
            f"{len(waits)} newcomers served, waiting {statistics.median(waits) * 1000:.0f} ms (p50), "
            f"{waits[-1] * 1000:.0f} ms at most; engine {self.peak_mib} MiB, {self.peak_files} open files at most"
        )


@contextlib.asynccontextmanager
async def flood(node_id: str, address: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The flood's process; it says a line when it has spread, and ends with its input."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(STRANGERS), node_id, address, str(NODES), str(CONNECTIONS), str(STREAMS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def counted(process: asyncio.subprocess.Process) -> dict[str, int]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    return dict(json.loads(await process.stdout.readline()))


async def test_ten_thousand_half_open_connections_keep_no_customer_out(
    network: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    provider, buyer = Node(tmp_path / "provider"), Node(tmp_path / "buyer")
    provider.init(network)
    buyer.init(network)
    await provider.start()
    try:
        provider.cli("share", "storage", "--path", str(tmp_path / "shared"), "--size", "300MiB")
        original = random_file(tmp_path / "original", 8 << 20)
        locator = (await asyncio.to_thread(buyer.cli, "store", "put", str(tmp_path / "original")))["locator"]
        node = provider.cli("status")["node"]
        target = node["node_id"], node["addresses"]
        assert provider.process is not None
        engine = psutil.Process(provider.process.pid)
        files = engine.num_fds()
        peaks = []
        for turn in ("first", "second"):
            watch, back = Watch(engine), tmp_path / turn
            async with flood(target[0], target[1][0]) as process:
                assert process.stdout is not None
                spreading = asyncio.create_task(process.stdout.readline())
                bought = asyncio.create_task(asyncio.to_thread(buyer.cli, "store", "get", locator, str(back)))
                while not spreading.done() or not bought.done():
                    await watch.newcomer(*target)
                began = engine.cpu_times()
                since = time.perf_counter()
                for _ in range(NEWCOMERS):
                    await watch.newcomer(*target)
                spent = sum(engine.cpu_times()[:2]) - sum(began[:2])
                cpu = 100 * spent / (time.perf_counter() - since)
                held = await counted(process)
            assert digest(back) == original  # paid for, by a node that nobody knew
            assert held["begun"] >= NODES * CONNECTIONS * STREAMS
            assert held["answered"] == 0
            await provider.until("status", lambda status: status["node"]["peers"] == 0, timeout_s=90)
            assert watch.peak_files < files + 16  # a stream or a connection takes no file of its own
            record_property("measured", f"{turn} flood, {held}: {watch.told()}; {cpu:.0f} % of a core")
            peaks.append(watch.peak_mib)
        assert max(peaks) <= AT_MOST_MIB
        assert peaks[1] - peaks[0] < LEAK_MIB  # nothing was left of the first
    finally:
        provider.stop()
