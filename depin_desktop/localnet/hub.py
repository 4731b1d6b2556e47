"""The hub of a local network: nats-server's settings, and whether it is ready."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from depin_desktop.localnet.folder import LOOPBACK

_READY_TIMEOUT_S = 1.0
_MEMORY_BYTES = 64 * 2**20
_FILE_BYTES = 1 * 2**30


def hub_url(port: int) -> str:
    return f"nats://{LOOPBACK}:{port}"


def command(binary: Path, port: int, folder: Path) -> list[str]:
    """Writes the settings file (JSON is valid nats-server configuration) and returns the command line. Blocking."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "listen": f"{LOOPBACK}:{port}",
        "server_name": "depin-localnet",
        "jetstream": {
            "store_dir": str(folder),
            "max_memory_store": _MEMORY_BYTES,
            "max_file_store": _FILE_BYTES,
        },
    }
    path = folder / "nats-server.conf"
    path.write_text(json.dumps(settings, indent=1), "utf-8")
    return [str(binary), "--config", str(path)]


async def is_ready(port: int) -> bool:
    """Whether a server with JetStream greets on `port`."""
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                greeting = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    if not greeting.startswith(b"INFO "):
        return False
    info = json.loads(greeting.removeprefix(b"INFO "))
    return info.get("jetstream") is True
