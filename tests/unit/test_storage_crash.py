"""What was acknowledged survives SIGKILL, and what was not leaves no trace that matters."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from depin_desktop.core.units import MIB
from depin_desktop.sealing import seal
from depin_desktop.services.storage import policy

from .storage_rig import noise, rig

KILLS = 20
OWNER = "0x" + "0c" * 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_every_acknowledged_piece_survives_twenty_sigkills_during_puts(tmp_path: Path):
    crasher = Path(__file__).with_name("storage_crasher.py")
    seed = random.randrange(2**31)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(crasher), str(tmp_path), str(KILLS), str(seed)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    acknowledged = done.stdout.split()
    assert len(acknowledged) >= KILLS
    async with rig(tmp_path, share=None, owner=OWNER) as r:
        for root in acknowledged:
            status, data, _ = await r.get(root)
            assert (status, seal(data).root.hex() if status == 200 else "") == (200, root), f"seed {seed}"
        shared = r.service.storage_status().folders[0]
        on_disk = list((r.folder / "depin-storage/pieces").rglob("*.piece"))
        assert shared.pieces == len(on_disk)
        assert shared.stored_bytes == sum(policy.footprint(path.stat().st_size) for path in on_disk)
        assert shared.reserved_bytes == 0
        assert r.leftovers == []


async def test_counters_and_rows_are_rebuilt_from_the_disk_when_the_database_is_lost(tmp_path: Path):
    pieces = [noise(size, size) for size in (1, 300, 70_000, 2 * MIB)]
    async with rig(tmp_path, owner=OWNER) as r:
        for data in pieces:
            assert (await r.put(data))[0] == 201
        before = r.service.storage_status().folders[0]
    for name in ("engine.sqlite", "engine.sqlite-wal", "engine.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    async with rig(tmp_path, owner=OWNER) as r:
        after = r.service.storage_status().folders[0]
        assert (after.pieces, after.stored_bytes, after.id) == (before.pieces, before.stored_bytes, before.id)
        for data in pieces:
            assert (await r.get(seal(data).root.hex()))[1] == data


async def test_a_piece_that_vanished_while_stopped_is_told_and_no_longer_offered(tmp_path: Path):
    data = noise(90_000)
    async with rig(tmp_path, owner=OWNER) as r:
        await r.put(data)
        path = r.piece_path(seal(data).root.hex())
    path.unlink()
    async with rig(tmp_path, share=None, owner=OWNER) as r:
        assert (await r.get(seal(data).root.hex()))[0] == 404
        assert r.service.storage_status().folders[0].pieces == 0
        assert (await r.put(data))[0] == 201  # the customer may bring it back
        assert (await r.get(seal(data).root.hex()))[1] == data


async def test_a_piece_that_was_cut_short_is_quarantined_at_start(tmp_path: Path):
    data = noise(90_000)
    async with rig(tmp_path, owner=OWNER) as r:
        await r.put(data)
        path = r.piece_path(seal(data).root.hex())
    path.write_bytes(data[:1000])
    async with rig(tmp_path, share=None, owner=OWNER) as r:
        assert (await r.get(seal(data).root.hex()))[0] == 404
        assert not path.exists()
        assert (r.folder / "depin-storage/quarantine" / path.name).read_bytes() == data[:1000]


async def test_leftovers_of_a_crash_are_removed_at_start_and_nothing_else(tmp_path: Path):
    async with rig(tmp_path, owner=OWNER) as r:
        folder = r.folder
    (folder / "depin-storage/tmp/left.part").write_bytes(b"x")
    (folder / "tmp").mkdir()
    (folder / "tmp/mine.part").write_bytes(b"x")
    async with rig(tmp_path, share=None, owner=OWNER) as r:
        assert r.leftovers == []
        assert (folder / "tmp/mine.part").exists()
