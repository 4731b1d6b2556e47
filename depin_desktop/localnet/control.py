"""Starting, stopping and asking after a local network that runs by itself in the background."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil

from depin_desktop.core.errors import UserFacingError
from depin_desktop.localnet.children import detached, end_leftovers
from depin_desktop.localnet.folder import Folder
from depin_desktop.localnet.status import LocalnetStatus, Record, describe

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
_POLL_S = 0.02


async def up(root: Path, period_s: int, *, demand: bool = False) -> Path:
    """Starts the network in `root`, unless it runs, and returns its network file once it is ready.

    Args:
        period_s: the proving period of a new network, seconds; an existing one keeps its own.
        demand: also run neighbours who store and read files; ignored when the network runs already.

    Raises:
        UserFacingError: it did not start; the message says why.
    """
    folder = Folder(root)
    if _running(folder):
        return folder.network
    arguments = ["--dir", str(folder.root), "--period", str(period_s), *(["--demand"] if demand else [])]
    process = await asyncio.to_thread(_spawn, arguments, folder)
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            # Somebody else's supervisor may have won the race for the folder; then ours ends and theirs becomes ready.
            while not _running(folder):
                if process.poll() is not None and not _alive(folder):
                    raise _did_not_start(folder, _last_words(folder))
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        process.terminate()
        raise _did_not_start(folder, "it took too long") from None
    return folder.network


async def down(root: Path) -> bool:
    """Stops the network in `root`; its state is kept. Returns whether it was running."""
    folder = Folder(root)
    record = Record.read(folder)
    supervisor = record.supervisor.process() if record is not None else None
    if record is None:
        return False
    if supervisor is not None:
        supervisor.terminate()
        _, alive = await asyncio.to_thread(psutil.wait_procs, [supervisor], STOP_TIMEOUT_S)
        for process in alive:
            process.kill()
    # Nothing is left after a supervisor that ended by itself; this is for one that was killed.
    await asyncio.to_thread(end_leftovers, record.leftovers())
    return supervisor is not None


async def status(root: Path) -> LocalnetStatus:
    """How the network in `root` is; one that never ran is simply not running."""
    return await asyncio.to_thread(describe, root)


def _spawn(arguments: list[str], folder: Folder) -> subprocess.Popen[bytes]:
    folder.logs.mkdir(parents=True, exist_ok=True)
    with folder.last_words.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own interpreter with our own module
            [sys.executable, "-m", "depin_desktop.localnet", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **detached(),
        )


def _running(folder: Folder) -> bool:
    record = Record.read(folder)
    return record is not None and record.ready and record.alive


def _alive(folder: Folder) -> bool:
    record = Record.read(folder)
    return record is not None and record.alive


def _last_words(folder: Folder) -> str:
    lines = folder.last_words.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "no reason was given"


def _did_not_start(folder: Folder, reason: str) -> UserFacingError:
    return UserFacingError(
        f"The local network did not start: {reason}",
        f"Look into {folder.logs}.",
        code="localnet-not-started",
        status=500,
    )
