"""Uploads: what is acknowledged is on disk and signed for; what is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.core.units import MIB
from depin_desktop.sealing import SPAN, seal
from depin_desktop.services.storage import intake, policy, wire
from depin_desktop.services.storage.intake import IntakeLimits

from .storage_rig import may_mount, noise, rig, small_disk

needs_mounts = pytest.mark.skipif(not may_mount(), reason="may not mount file systems")


@pytest.mark.parametrize("size", [1, 256, 70_000, SPAN, 3 * MIB + 17])
async def test_a_stored_piece_is_on_disk_and_signed_for(tmp_path: Path, size: int):
    async with rig(tmp_path) as r:
        data = noise(size)
        sealed = seal(data)
        status, receipt = await r.put(data)
        assert status == 201
        assert r.piece_path(sealed.root.hex()).read_bytes() == data
        fields = {key: value for key, value in receipt.items() if key != "signature"}
        assert wire.signer_of(fields, receipt["signature"]) == r.operator.address
        assert fields["root"] == sealed.root.hex()
        assert (fields["size"], fields["leaf_count"]) == (size, sealed.leaf_count)
        assert (fields["customer"], fields["provider"]) == (r.customer.address, r.owner)
        assert fields["expires_at"] - fields["stored_at"] == 3600
        assert r.leftovers == []
        shared = r.service.storage_status().folders[0]
        assert (shared.pieces, shared.stored_bytes, shared.reserved_bytes) == (1, policy.footprint(size), 0)


async def test_a_held_piece_is_acknowledged_again_with_the_same_receipt(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = noise(100_000)
        first = await r.put(data)
        assert await r.put(data) == (200, first[1])
        assert r.service.storage_status().pieces == 1


async def test_roots_are_accepted_with_prefix_and_in_upper_case(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = noise(500)
        status, receipt = await r.put(data, root="0x" + seal(data).root.hex().upper())
        assert (status, receipt["root"]) == (201, seal(data).root.hex())


async def test_bytes_that_do_not_give_the_root_are_refused(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = bytearray(noise(200_000))
        root = seal(data).root.hex()
        data[123_456] ^= 1
        status, problem = await r.put(bytes(data), root=root)
        assert (status, problem["code"]) == (400, "wrong-root")
        assert r.leftovers == []
        assert not r.piece_path(root).exists()
        assert r.service.storage_status().folders[0].reserved_bytes == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": 1},
        {"expires": int(time.time()) + 10**6},
        {"forged": {"expires": int(time.time()) + 601}},
        {"forged": {"size": 5}},
        {"forged": {"root": "00" * 32}},
        {"forged": {"customer": "0x" + "11" * 20}},
        {"forged": {"signature": "0x" + "00" * 65}},
        {"forged": {"signature": "0x12"}},
        {"forged": {"extra": 1}},
    ],
    ids=str,
)
async def test_a_forged_or_expired_authorisation_is_refused(tmp_path: Path, changes: dict[str, Any]):
    async with rig(tmp_path) as r:
        status, problem = await r.put(noise(3000), **changes)
        assert (status, problem["code"]) == (401, "bad-authorization")
        assert r.service.storage_status().pieces == 0


async def test_an_authorisation_for_another_provider_is_refused(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = noise(3000)
        r.owner = "0x" + "22" * 20
        assert (await r.put(data))[0] == 401


async def test_no_authorisation_and_no_sense_are_refused(tmp_path: Path):
    async with rig(tmp_path) as r:
        root = seal(b"x").root.hex()
        for value in (None, "Bearer x", "Depin !!!", "Depin " + "A" * 5000, "Depin bnVsbA"):
            headers = {} if value is None else {"Authorization": value}
            async with r.client.put(f"/storage/pieces/{root}", data=b"x", headers=headers) as response:
                assert response.status == 401
        async with r.client.put("/storage/pieces/nonsense", data=b"x") as response:
            assert (response.status, (await response.json())["code"]) == (400, "bad-identifier")


async def test_length_is_required_and_bounded(tmp_path: Path):
    async with rig(tmp_path, limits=IntakeLimits(max_piece=1000)) as r:
        data = noise(1001)
        assert (await r.put(data))[0] == 413
        assert (await r.put(b"", root="00" * 32))[0] == 400

        async def chunks():
            yield data

        path = f"/storage/pieces/{seal(data).root.hex()}"
        async with r.client.put(path, data=chunks(), headers=r.headers(data)) as response:
            assert response.status == 411


async def test_a_truncated_body_leaves_nothing(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = noise(2 * MIB)
        root = seal(data).root.hex()
        server = r.client.server
        _, writer = await asyncio.open_connection(server.host, server.port)
        head = f"PUT /storage/pieces/{root} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
        writer.write(f"{head}Authorization: {r.headers(data)['Authorization']}\r\n\r\n".encode() + data[:MIB])
        await writer.drain()
        taking = r.service._intake
        while not taking.uploads:  # noqa: ASYNC110 (until the request has been read)
            await asyncio.sleep(0)
        ended = asyncio.ensure_future(taking.upload_ended.wait())
        await asyncio.sleep(0)
        writer.close()
        await ended
        assert r.leftovers == []
        assert r.service.storage_status().folders[0].reserved_bytes == 0
        assert not r.piece_path(root).exists()
        assert (await r.put(data))[0] == 201  # and it can be sent again


async def test_an_upload_that_stands_still_gives_its_room_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intake, "IDLE_S", 0.02)
    async with rig(tmp_path) as r:
        data, go_on = noise(MIB), asyncio.Event()

        async def body():
            yield data[:1000]
            await go_on.wait()

        headers = {**r.headers(data), "Content-Length": str(len(data))}
        async with r.client.put(f"/storage/pieces/{seal(data).root.hex()}", data=body(), headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (408, "too-slow")
        assert r.leftovers == []
        assert r.service.storage_status().folders[0].reserved_bytes == 0


async def test_a_refused_upload_sends_no_bytes_when_it_asks_first(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = noise(MIB)
        root = seal(data).root.hex()
        sent = []

        async def chunks():
            sent.append(1)
            yield data

        headers = {**r.headers(data, expires=1), "Content-Length": str(len(data))}
        async with r.client.put(f"/storage/pieces/{root}", data=chunks(), headers=headers, expect100=True) as response:
            assert response.status == 401
        assert sent == []
        headers = {**r.headers(data), "Content-Length": str(len(data))}
        async with r.client.put(f"/storage/pieces/{root}", data=chunks(), headers=headers, expect100=True) as response:
            assert response.status == 201
        assert sent == [1]


async def test_one_customer_cannot_store_without_end_unpaid(tmp_path: Path):
    async with rig(tmp_path, limits=IntakeLimits(unpaid_per_customer=250_000)) as r:
        assert (await r.put(noise(100_000, 1)))[0] == 201
        assert (await r.put(noise(100_000, 2)))[0] == 201
        status, problem = await r.put(noise(100_000, 3))
        assert (status, problem["code"]) == (429, "too-much-unpaid")


async def test_concurrent_uploads_never_exceed_the_allocation(tmp_path: Path):
    async with rig(tmp_path, share=16 * MIB) as r:
        pieces = [noise(3 * MIB, n) for n in range(8)]
        answers = await asyncio.gather(*(r.put(piece) for piece in pieces))
        statuses = sorted(status for status, _ in answers)
        assert statuses == [201] * 5 + [507] * 3
        shared = r.service.storage_status().folders[0]
        assert shared.stored_bytes <= shared.allocated_bytes
        assert shared.reserved_bytes == 0
        on_disk = sum(path.stat().st_size for path in (r.folder / "depin-storage/pieces").rglob("*.*"))
        assert on_disk <= 16 * MIB


async def test_the_same_piece_twice_at_once_is_stored_once(tmp_path: Path):
    async with rig(tmp_path) as r:
        data = noise(2 * MIB)
        answers = await asyncio.gather(*(r.put(data) for _ in range(4)))
        assert sorted(status for status, _ in answers)[-1] == 201
        assert {status for status, _ in answers} <= {200, 201}
        shared = r.service.storage_status().folders[0]
        assert (shared.pieces, shared.stored_bytes) == (1, policy.footprint(len(data)))
        assert r.leftovers == []


async def test_nothing_is_taken_while_sharing_is_off_but_reading_goes_on(tmp_path: Path):
    on = True
    async with rig(tmp_path, sharing=lambda: on) as r:
        data = noise(1000)
        await r.put(data)
        on = False
        assert (await r.put(noise(1000, 1)))[0] == 503
        assert r.service.offer() is None
        assert (await r.get(seal(data).root.hex()))[1] == data


@needs_mounts
async def test_a_disk_that_fills_up_mid_write_gives_507_and_everything_back(tmp_path: Path):
    with small_disk(tmp_path / "disk", "24m") as disk:
        async with rig(tmp_path / "home", disk, share=20 * MIB) as r:
            assert (await r.put(noise(MIB)))[0] == 201
            hog = disk / "hog"
            data = noise(12 * MIB, 1)
            root = seal(data).root.hex()
            got_on = asyncio.Event()

            async def body():
                yield data[: 4 * MIB]
                free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
                hog.write_bytes(bytes(free - 2 * MIB))  # another program takes what was free a moment ago
                got_on.set()
                yield data[4 * MIB :]

            headers = {**r.headers(data), "Content-Length": str(len(data))}
            async with r.client.put(f"/storage/pieces/{root}", data=body(), headers=headers) as response:
                assert (response.status, (await response.json())["code"]) == (507, "no-space")
            assert got_on.is_set()
            shared = r.service.storage_status().folders[0]
            assert (shared.state.value, shared.reserved_bytes, shared.pieces) == ("full", 0, 1)
            assert r.leftovers == []
            hog.unlink()
            await r.service.guarding.trigger_and_wait()
            assert r.service.storage_status().folders[0].state.value == "ok"
            assert (await r.put(data))[0] == 201


@needs_mounts
async def test_the_free_space_that_the_owner_keeps_is_never_used(tmp_path: Path):
    with small_disk(tmp_path / "disk", "40m") as disk:
        async with rig(tmp_path / "home", disk, share=30 * MIB, keep_free=8 * MIB) as r:
            (disk / "mine").write_bytes(bytes(14 * MIB))  # the owner's own file, after sharing
            statuses = [(await r.put(noise(3 * MIB, n)))[0] for n in range(8)]
            assert statuses.count(201) == 5
            assert set(statuses[5:]) == {507}
            assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize >= 8 * MIB


async def test_a_write_error_of_the_disk_is_a_folder_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with rig(tmp_path) as r:
        real = os.fsync

        def failing(descriptor: int) -> None:
            if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".part"):
                raise OSError(errno.EIO, "Input/output error")
            real(descriptor)

        monkeypatch.setattr(os, "fsync", failing)
        status, problem = await r.put(noise(1000))
        assert (status, problem["code"]) == (507, "no-space")
        shared = r.service.storage_status().folders[0]
        assert (shared.state.value, "Input/output error" in shared.detail) == ("read-only", True)
        assert r.leftovers == []
        monkeypatch.undo()
        await r.service.guarding.trigger_and_wait()
        assert (await r.put(noise(1000)))[0] == 201
