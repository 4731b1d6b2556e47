"""`up`, `down` and `status` of a network that runs by itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.localnet.control import down, status, up
from depin_desktop.localnet.status import LocalnetStatus

PERIOD_S = 3600


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """A folder whose network is down when the test ends, however it ends."""
    yield tmp_path / "net"
    await down(tmp_path / "net")


async def test_up_status_down(folder: Path) -> None:
    assert not (await status(folder)).running
    file = await up(folder, PERIOD_S)
    chain = await Chain.connect(Network.load(file))
    height = (await chain.block()).number
    await chain.close()
    seen = await status(folder)
    assert seen.running
    assert seen.network == str(file)
    assert seen.block == height
    assert [process.name for process in seen.processes] == ["anvil", "nats-server"]
    assert all(psutil.pid_exists(process.pid) for process in seen.processes)
    assert LocalnetStatus.model_validate_json(seen.model_dump_json()) == seen
    assert await down(folder)
    assert not (await status(folder)).running
    assert not any(psutil.pid_exists(process.pid) for process in seen.processes)


async def test_up_and_down_twice_are_as_good_as_once(folder: Path) -> None:
    one, two = await asyncio.gather(up(folder, PERIOD_S), up(folder, PERIOD_S))
    first = (await status(folder)).supervisor_pid
    assert one == two == await up(folder, PERIOD_S)
    assert (await status(folder)).supervisor_pid == first
    assert await down(folder)
    assert not await down(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
async def test_a_killed_supervisor_leaves_nothing_behind(folder: Path) -> None:
    await up(folder, PERIOD_S)
    seen = await status(folder)
    children = [psutil.Process(process.pid) for process in seen.processes]
    assert seen.supervisor_pid is not None
    psutil.Process(seen.supervisor_pid).kill()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 10)
    assert alive == []
    assert not (await status(folder)).running
    file = await up(folder, PERIOD_S)  # and its folder is as good as before
    await (await Chain.connect(Network.load(file))).close()


async def test_what_prevents_a_start_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPIN_ANVIL", str(folder / "nothing"))
    with pytest.raises(UserFacingError) as failure:
        await up(folder, PERIOD_S)
    assert failure.value.code == "localnet-not-started"
    assert "DEPIN_ANVIL" in failure.value.message


async def test_told_to_stop_again_and_again_it_still_ends_cleanly(folder: Path) -> None:
    await up(folder, PERIOD_S)
    seen = await status(folder)
    assert seen.supervisor_pid is not None
    supervisor = psutil.Process(seen.supervisor_pid)
    for _ in range(5):
        supervisor.terminate()
    _, alive = await asyncio.to_thread(psutil.wait_procs, [supervisor], 20)
    assert alive == []
    assert not any(psutil.pid_exists(process.pid) for process in seen.processes)
    assert not (folder / "status.json").exists(), "it took its note away, so it came to its end"
