"""Shared folders over their life: shared, probed, resized, vanished, read-only, foreign, given up; bit-rot found."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from depin_desktop.api.models import FolderState
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import MIB
from depin_desktop.sealing import seal
from depin_desktop.services.storage import guard, policy

from .storage_rig import Rig, may_mount, noise, rig, small_disk

needs_mounts = pytest.mark.skipif(not may_mount(), reason="may not mount file systems")


def state(r: Rig, at: int = 0) -> FolderState:
    return r.service.storage_status().folders[at].state


async def refusal(r: Rig, path: Path | str, size: int = 32 * MIB, **options) -> str:
    with pytest.raises(UserFacingError) as caught:
        await r.service.share(str(path), size, **options)
    assert caught.value.message.endswith(".")
    return caught.value.code


async def test_places_that_cannot_be_shared_are_refused_in_words(tmp_path: Path):
    async with rig(tmp_path) as r:
        inside, other = r.folder / "inside", tmp_path / "other"
        inside.mkdir()
        other.mkdir()
        (tmp_path / "file").touch()
        assert await refusal(r, tmp_path / "file") == "no-folder"
        assert await refusal(r, inside) == "folders-overlap"
        assert await refusal(r, tmp_path) == "folders-overlap"
        assert await refusal(r, other, MIB) == "share-too-small"
        assert await refusal(r, other, 10**18) == "not-enough-space"
        assert await refusal(r, r.folder, 10**18) == "not-enough-space"
        (other / "depin-storage").mkdir()
        (other / "depin-storage/node.json").write_text(json.dumps({"node_id": "cd" * 32, "folder_id": "1"}))
        assert await refusal(r, other) == "foreign-folder"
        (other / "depin-storage/node.json").write_text("not json")
        assert await refusal(r, other) == "folder-unusable"
        shutil.rmtree(other / "depin-storage")
        (other / "depin-storage").symlink_to(r.folder / "depin-storage")
        assert await refusal(r, other) == "already-shared"
        assert len(r.service.storage_status().folders) == 1


async def test_several_folders_fill_evenly_and_each_piece_is_found(tmp_path: Path):
    async with rig(tmp_path, share=20 * MIB) as r:
        second = tmp_path / "second"
        second.mkdir()
        await r.service.share(str(second), 20 * MIB, 0)
        pieces = [noise(4 * MIB, n) for n in range(8)]
        for data in pieces:
            assert (await r.put(data))[0] == 201
        assert [folder.pieces for folder in r.service.storage_status().folders] == [4, 4]
        assert (await r.put(pieces[0] + b"x"))[0] == 507
        for data in pieces:
            assert (await r.get(seal(data).root.hex()))[1] == data


async def test_sharing_and_prices_survive_a_restart(tmp_path: Path):
    async with rig(tmp_path) as r:
        await r.service.share(str(r.folder), 40 * MIB, 5 * MIB, 7 * 10**18)
    async with rig(tmp_path, share=None) as r:
        status = r.service.storage_status()
        assert status.price_per_tib_month == 7 * 10**18
        assert [(f.allocated_bytes, f.keep_free_bytes, f.path) for f in status.folders] == [
            (40 * MIB, 5 * MIB, str(r.folder))
        ]


async def test_shrinking_below_what_is_stored_drops_nothing(tmp_path: Path):
    async with rig(tmp_path) as r:
        pieces = [noise(8 * MIB, n) for n in range(3)]
        for data in pieces:
            await r.put(data)
        await r.service.share(str(r.folder), 16 * MIB)
        assert state(r) is FolderState.SHRINKING
        assert (await r.put(noise(10)))[0] == 507
        assert r.service.offer() is None
        for data in pieces:
            assert (await r.get(seal(data).root.hex()))[1] == data
        await r.service.share(str(r.folder), 64 * MIB)
        assert state(r) is FolderState.OK
        assert (await r.put(noise(10)))[0] == 201


async def test_unpaid_pieces_go_after_an_hour_and_their_space_comes_back(tmp_path: Path):
    now = time.time()
    async with rig(tmp_path, clock=lambda: now) as r:
        data = noise(300_000)
        assert (await r.put(data))[0] == 201
        await r.service.expiring.trigger_and_wait()
        assert r.service.storage_status().pieces == 1
        now += 3601
        await r.service.expiring.trigger_and_wait()
        shared = r.service.storage_status().folders[0]
        assert (shared.pieces, shared.stored_bytes) == (0, 0)
        assert not r.piece_path(seal(data).root.hex()).exists()
        assert (await r.get(seal(data).root.hex()))[0] == 404


async def test_unsharing_waits_for_customers_and_then_leaves_no_trace(tmp_path: Path):
    now = time.time()
    async with rig(tmp_path, clock=lambda: now) as r:
        (r.folder / "mine.txt").write_text("mine")
        await r.put(noise(1000))
        await r.service.unshare(str(r.folder))
        assert state(r) is FolderState.LEAVING
        assert (await r.put(noise(1000, 1)))[0] == 507
        assert (await r.get(seal(noise(1000)).root.hex()))[0] == 200
        now += 3601
        await r.service.expiring.trigger_and_wait()
        assert r.service.storage_status().folders == ()
        assert [path.name for path in r.folder.iterdir()] == ["mine.txt"]


async def test_an_empty_folder_is_given_up_at_once_and_unknown_ones_are_an_error(tmp_path: Path):
    async with rig(tmp_path) as r:
        with pytest.raises(UserFacingError, match="not shared"):
            await r.service.unshare("/nowhere")
        await r.service.unshare(None)
        assert r.service.storage_status().folders == ()
        assert list(r.folder.iterdir()) == []


async def test_a_folder_shared_again_takes_up_its_pieces(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = noise(70_000)
        await r.put(data)
        folder_id = r.service.storage_status().folders[0].id
        await r.service.unshare(None)
        await r.service.share(str(r.folder), 32 * MIB, 0)
        shared = r.service.storage_status().folders[0]
        assert (shared.state, shared.pieces, shared.id) == (FolderState.OK, 1, folder_id)


async def test_a_vanished_folder_is_a_state_and_comes_back_by_itself(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = noise(70_000)
        await r.put(data)
        away = tmp_path / "away"
        r.folder.rename(away)
        assert (await r.put(noise(70_000, 1)))[0] == 507  # noticed by the upload itself
        assert state(r) is FolderState.MISSING
        await r.service.guarding.trigger_and_wait()
        assert state(r) is FolderState.MISSING
        assert (await r.get(seal(data).root.hex()))[0] == 503
        assert r.service.status().state.value == "fault"
        r.folder.mkdir()  # an empty mount point in its place is not the disk
        await r.service.guarding.trigger_and_wait()
        assert state(r) is FolderState.MISSING
        assert list(r.folder.iterdir()) == []
        r.folder.rmdir()
        away.rename(r.folder)
        await r.service.guarding.trigger_and_wait()
        assert state(r) is FolderState.OK
        assert (await r.get(seal(data).root.hex()))[1] == data


async def test_a_folder_missing_at_start_does_not_hold_up_the_start(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = noise(70_000)
        await r.put(data)
        place = r.folder
    place.rename(tmp_path / "away")
    async with rig(tmp_path, share=None) as r:
        assert state(r) is FolderState.MISSING
        place.rmdir()
        (tmp_path / "away").rename(place)
        await r.service.guarding.trigger_and_wait()
        assert (state(r), r.service.storage_status().pieces) == (FolderState.OK, 1)
        assert (await r.get(seal(data).root.hex()))[1] == data


async def test_a_marker_of_another_node_stops_everything(tmp_path: Path):
    async with rig(tmp_path) as r:
        marker = r.folder / "depin-storage/node.json"
        marker.write_text(json.dumps({"node_id": "ef" * 32, "folder_id": "x"}))
        await r.service.guarding.trigger_and_wait()
        assert state(r) is FolderState.FOREIGN
        assert (await r.put(noise(10)))[0] == 507


@needs_mounts
async def test_a_disk_that_becomes_read_only_still_serves(tmp_path: Path):
    with small_disk(tmp_path / "disk", "64m") as disk:
        async with rig(tmp_path / "home", disk, share=32 * MIB) as r:
            data = noise(70_000)
            await r.put(data)
            remount = ["mount", "-o", "remount,ro", str(disk)]
            await asyncio.to_thread(subprocess.run, remount, check=True)
            r.service._folders[r.service.storage_status().folders[0].id].written_at = None  # the test write is due
            await r.service.guarding.trigger_and_wait()
            assert state(r) is FolderState.READ_ONLY
            assert (await r.put(noise(10)))[0] == 507
            assert (await r.get(seal(data).root.hex()))[1] == data
            await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,rw", str(disk)], check=True)
            await r.service.guarding.trigger_and_wait()
            assert state(r) is FolderState.OK


async def test_a_probe_that_hangs_makes_the_folder_slow_and_starts_no_second(tmp_path: Path, monkeypatch):
    async with rig(tmp_path) as r:
        folder = next(iter(r.service._folders))
        free, started = threading.Event(), []
        real = guard.probe

        def hanging(*args, **options):
            started.append(1)
            free.wait()
            return real(*args, **options)

        monkeypatch.setattr(guard, "probe", hanging)
        for _ in range(3):
            await folder.check("ab" * 32, timeout_s=0.01)
            assert folder.state is FolderState.SLOW
        assert started == [1]
        assert (await r.put(noise(10)))[0] == 507
        free.set()
        await folder.check("ab" * 32)
        await folder.check("ab" * 32)
        assert folder.state is FolderState.OK


async def test_bit_rot_is_found_quarantined_and_told(tmp_path: Path):
    now = time.time()
    async with rig(tmp_path, clock=lambda: now) as r:
        good, bad = noise(500_000, "good"), noise(500_000, "bad")
        await r.put(good)
        await r.put(bad)
        path = r.piece_path(seal(bad).root.hex())
        with path.open("r+b") as file:
            file.seek(250_000)
            byte = file.read(1)
            file.seek(250_000)
            file.write(bytes([byte[0] ^ 4]))
        await r.service.scrubbing.trigger_and_wait()
        assert path.exists()  # looked at a moment ago, when it came
        now += 8 * 86_400
        with r.bus.subscribe() as news:
            await r.service.scrubbing.trigger_and_wait()
            told = [m.data for m in news._pending if m.topic == "activity"]
        assert [(a.kind, a.title) for a in told] == [("fault", "A stored piece is damaged")]
        assert not path.exists()
        assert (r.folder / "depin-storage/quarantine" / path.name).exists()
        assert (await r.get(seal(bad).root.hex()))[0] == 404
        assert r.service.storage_status().folders[0].stored_bytes == policy.footprint(len(good))
        assert (await r.put(bad, expires=int(now) + 60))[0] == 201  # the same bytes again make it whole
        assert (await r.get(seal(bad).root.hex()))[1] == bad


async def test_a_damaged_cached_layer_is_mended_by_the_scrubber(tmp_path: Path):
    now = time.time()
    async with rig(tmp_path, clock=lambda: now) as r:
        data = noise(500_000)
        await r.put(data)
        layer = r.piece_path(seal(data).root.hex()).with_suffix(".layer")
        assert layer.read_bytes() == seal(data).layer
        layer.write_bytes(b"nonsense")
        now += 8 * 86_400
        await r.service.scrubbing.trigger_and_wait()
        assert layer.read_bytes() == seal(data).layer
