"""A storage service on a real disk and a real database, with its routes on plain TCP, and a customer beside it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from eth_account import Account
from eth_account.signers.local import LocalAccount

from depin_desktop.chain.network import Addresses, Network
from depin_desktop.core.bus import EventBus
from depin_desktop.core.database import Database
from depin_desktop.core.units import MIB
from depin_desktop.sealing import seal
from depin_desktop.services.base import Provider
from depin_desktop.services.storage import wire
from depin_desktop.services.storage.intake import IntakeLimits
from depin_desktop.services.storage.service import StorageService

NOBODY = "0x" + "00" * 20
NETWORK = Network(
    name="test",
    chain_id=31337,
    rpc_url="http://127.0.0.1:1",
    ws_url="",
    hub_urls=(),
    addresses=Addresses(
        token=NOBODY, registry=NOBODY, settlement=NOBODY, erc3009_collector=NOBODY, deals=NOBODY, multicall3=NOBODY
    ),
    private=True,
    period_s=60,
    window_s=20,
    min_stake=0,
    suggested_price_per_tib_month=10**18,
    suggested_price_per_gib_read=10**15,
)
NODE_ID = "ab" * 32
SHARE = 64 * MIB


def noise(size: int, seed: object = 0) -> bytes:
    """Bytes that look random and are the same every time."""
    return hashlib.shake_128(repr(seed).encode()).digest(size)


def authorization(
    customer: LocalAccount,
    provider: str,
    root: str,
    size: int,
    *,
    expires: int | None = None,
    forged: dict[str, Any] | None = None,
) -> str:
    """The header as `docs/protocol.md` describes it; `forged` fields are changed after signing."""
    fields: dict[str, Any] = {
        "customer": customer.address,
        "expires": int(time.time()) + 600 if expires is None else expires,
        "provider": provider,
        "root": root,
        "size": size,
    }
    signature = wire.sign_fields(customer, fields)
    sent = {
        **{key: value for key, value in fields.items() if key != "provider"},
        "signature": signature,
        **(forged or {}),
    }
    return "Depin " + base64.urlsafe_b64encode(json.dumps(sent).encode()).decode().rstrip("=")


@dataclass
class Rig:
    """One provider and the means to talk to it."""

    service: StorageService
    client: TestClient[web.Request, web.Application]
    database: Database
    bus: EventBus
    owner: str
    operator: LocalAccount
    folder: Path
    customer: LocalAccount

    def headers(self, data: bytes, root: str | None = None, **changes: Any) -> dict[str, str]:
        named = seal(data).root.hex() if root is None else root
        return {"Authorization": authorization(self.customer, self.owner, named, len(data), **changes)}

    async def put(self, data: bytes, *, root: str | None = None, **changes: Any) -> tuple[int, dict[str, Any]]:
        """Uploads `data`; status and JSON of the answer."""
        named = seal(data).root.hex() if root is None else root
        headers = self.headers(data, named, **changes)
        async with self.client.put(f"/storage/pieces/{named}", data=data, headers=headers) as response:
            return response.status, await response.json()

    async def get(self, root: str, **headers: str) -> tuple[int, bytes, Any]:
        async with self.client.get(f"/storage/pieces/{root}", headers=headers) as response:
            return response.status, await response.read(), response.headers

    def piece_path(self, root: str) -> Path:
        return self.folder / "depin-storage" / "pieces" / root[:2] / f"{root}.piece"

    @property
    def leftovers(self) -> list[Path]:
        return list((self.folder / "depin-storage" / "tmp").iterdir())


@contextlib.asynccontextmanager
async def rig(
    home: Path,
    folder: Path | None = None,
    *,
    share: int | None = SHARE,
    keep_free: int = 0,
    limits: IntakeLimits | None = None,
    **options: Any,
) -> AsyncIterator[Rig]:
    """A running service whose rows are in `home` and whose pieces are in `folder` (by default `home/disk`)."""
    home.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
    operator, customer = Account.create(), Account.create()
    owner = options.pop("owner", Account.create().address)
    database, bus = Database(home / "engine.sqlite"), EventBus()
    await database.open()
    provider = Provider(owner, options.pop("operator", operator), options.pop("node_id", NODE_ID))
    service = StorageService(database, bus, provider, options.pop("network", NETWORK), limits=limits, **options)
    await service.start()
    place = home / "disk" if folder is None else folder
    try:
        place.mkdir(exist_ok=True)
        if share is not None:
            await service.share(str(place), share, keep_free)
        app = web.Application()
        app.add_routes(service.routes())
        async with TestClient(TestServer(app), timeout=aiohttp.ClientTimeout(total=30)) as client:
            yield Rig(service, client, database, bus, owner, provider.operator, place, customer)
    finally:
        await service.stop()
        await database.close()


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A real file system of that size at `place`; needs root."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def may_mount() -> bool:
    """Whether this process may mount file systems."""
    if os.name != "posix" or os.geteuid() != 0:
        return False
    with contextlib.suppress(OSError, ValueError):
        effective = next(
            line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")
        )
        return bool(int(effective.split()[1], 16) >> 21 & 1)  # CAP_SYS_ADMIN
    return False
