"""A Ray cluster of two nodes on loopback, in a process of its own: what an owner runs elsewhere.

Prints its addresses (as a node, and for the thin client), ends its second node when it reads a line, and the whole
cluster when its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

TOKEN = "a-token-of-the-cluster-long-enough"
START_S = 90.0
OBJECTS_BYTES = 80 << 20


@dataclass(frozen=True)
class RayCluster:
    """A running one."""

    address: str
    thin: str
    token: str
    process: asyncio.subprocess.Process

    def kill(self) -> None:
        """Ends every process of it at once, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def lose_a_node(self) -> None:
        """Ends one of its two nodes; returns when that is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()
        await self.process.stdout.readline()


@contextlib.asynccontextmanager
async def ray_cluster(port: int = 0) -> AsyncIterator[RayCluster]:
    """Starts one, at a given port or a free one; nothing of it is left on leaving."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a short path: sockets' names are short
    environment = os.environ | {
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, str(port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(START_S):
            words = (await process.stdout.readline()).decode().split()
        assert words, "the Ray cluster did not start"
        cluster = RayCluster(words[0], words[1], TOKEN, process)
        try:
            yield cluster
        finally:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    port, thin = parser.parse_args().port or _free_port(), _free_port()
    (Path(os.environ["RAY_TMPDIR"]) / "ray").mkdir(exist_ok=True)

    from ray.cluster_utils import Cluster

    common = {"num_cpus": 1, "object_store_memory": OBJECTS_BYTES, "node_ip_address": "127.0.0.2"}
    quiet = {"include_dashboard": False, "include_log_monitor": False}
    cluster = Cluster(
        initialize_head=True,
        head_node_args=common | quiet | {"gcs_server_port": port, "ray_client_server_port": thin},
        shutdown_at_exit=False,
    )
    second = cluster.add_node(**common)
    print(cluster.address, f"ray://127.0.0.2:{thin}", flush=True)
    if sys.stdin.buffer.readline():
        cluster.remove_node(second)
        print("gone", flush=True)
        sys.stdin.buffer.read()
    cluster.shutdown()
    os.killpg(0, signal.SIGKILL)  # what may be left of it


if __name__ == "__main__":
    _serve()
