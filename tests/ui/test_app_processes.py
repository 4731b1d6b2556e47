"""What the app starts: the engine, and the command line for what the engine must not see."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from depin_desktop.api.client import EngineClient, EngineUnreachable
from depin_desktop.api.endpoint import Endpoint
from depin_desktop.app.backup import HIDDEN, BackupDialog
from depin_desktop.app.cli_process import depin
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.engine_process import EngineProcess
from depin_desktop.app.first_run import FirstRun
from depin_desktop.app.known import Phase
from depin_desktop.app.loop import Jobs, future_of
from depin_desktop.app.theme import Theme
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.core.tasks import Tasks
from depin_desktop.wallet.vault import Vault

ENGINE = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from depin_desktop.core.home import Home
from tests.ui.small_engine import SmallEngine

async def main():
    engine = SmallEngine(Home(Path(sys.argv[2])))
    await engine.start()
    while not engine.shutdown_wanted:
        await asyncio.sleep(0.02)
    await engine.stop()

asyncio.run(main())
"""
ROOT = str(Path(__file__).parents[2])


def initialised(home: Home) -> Home:
    home.network.write_text("{}")
    home.vault.parent.mkdir(parents=True)
    home.vault.write_text("{}")
    return home


async def until(link: EngineLink, phase: Phase, timeout_s: float = 20) -> None:
    reached = asyncio.Event()
    link.changed.connect(lambda _: link.known.link.phase is phase and reached.set())
    if link.known.link.phase is not phase:
        async with asyncio.timeout(timeout_s):
            await reached.wait()


async def test_it_starts_an_engine_where_none_runs_and_stops_it_again(qapp: QApplication, home: Home) -> None:
    process = EngineProcess(initialised(home), [sys.executable, "-c", ENGINE, ROOT, str(home.root)])
    link, tasks = EngineLink(home, process=process), Tasks("test")
    tasks.spawn("link", link.run())
    await until(link, Phase.LIVE)
    assert process.started
    assert process.running
    pid = process.pid
    await link.stop_engine()
    assert not psutil.pid_exists(pid or 0)
    assert not home.endpoint.exists(), "it was asked before it was made to"
    await tasks.close()


async def test_an_engine_that_dies_is_started_again_only_if_it_was_ours(qapp: QApplication, home: Home) -> None:
    process = EngineProcess(initialised(home), [sys.executable, "-c", ENGINE, ROOT, str(home.root)])
    link, tasks = EngineLink(home, process=process), Tasks("test")
    tasks.spawn("link", link.run())
    await until(link, Phase.LIVE)
    first = process.pid
    psutil.Process(first).kill()
    await until(link, Phase.STARTING)
    await until(link, Phase.LIVE)
    assert process.pid not in (None, first)
    await link.stop_engine()
    await tasks.close()


async def test_an_engine_that_ends_at_once_says_why(qapp: QApplication, home: Home) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('The database is newer than this program.')"]
    link, tasks = EngineLink(initialised(home), process=EngineProcess(home, command)), Tasks("test")
    tasks.spawn("link", link.run())
    await until(link, Phase.FAILED)
    assert link.known.link.detail == "The database is newer than this program."
    await tasks.close()


async def test_a_refusal_of_the_command_line_keeps_its_words(qapp: QApplication, home: Home) -> None:
    with pytest.raises(UserFacingError) as caught:
        await depin(home, "init", "--network", str(home.root / "none.json"), "--password-stdin", password="long enough")
    assert caught.value.message
    assert not home.vault.exists()


async def test_a_first_run_makes_the_wallet_and_a_backup_shows_its_words(
    qapp: QApplication, theme: Theme, home: Home, localnet: Any, qtbot: QtBot
) -> None:
    """The real command line, on the real embedded network."""
    page = FirstRun(home, str(localnet.file))
    qtbot.addWidget(page)
    page.show()
    for field in (page.password, page.again):
        qtbot.keyClicks(field, "correct horse battery")
    assert page.go.isEnabled()
    done = future_of(page.done)
    qtbot.mouseClick(page.go, Qt.MouseButton.LeftButton)
    assert not page.password.isEnabled()
    await asyncio.wait_for(done, 60)
    assert home.initialised
    assert page.password.text() == ""
    await page.jobs.close()

    problems: list[UserFacingError] = []
    jobs = Jobs(problems.append)
    dialog = BackupDialog(page, home, jobs)
    dialog.open()
    qtbot.keyClicks(dialog.password, "wrong horse battery")
    qtbot.mouseClick(dialog.next, Qt.MouseButton.LeftButton)
    await _while(lambda: not dialog.next.isEnabled())
    assert dialog.problem.isVisible()
    qtbot.keyClicks(dialog.password, "correct horse battery")
    qtbot.mouseClick(dialog.next, Qt.MouseButton.LeftButton)
    await _while(lambda: not dialog.card.isVisible())
    assert {label.text() for label in dialog._labels} == {HIDDEN}
    qtbot.mouseClick(dialog.next, Qt.MouseButton.LeftButton)
    assert len([label.text() for label in dialog._labels if label.text().isalpha()]) == 12
    assert not Vault.load(home.vault).backed_up
    left: list[str] = []
    dialog.finished.connect(lambda: left.extend({label.text() for label in dialog._labels}))
    closed = future_of(dialog.finished)
    qtbot.mouseClick(dialog.next, Qt.MouseButton.LeftButton)  # they are on paper
    await asyncio.wait_for(closed, 60)
    assert left == [""]
    assert Vault.load(home.vault).backed_up
    assert problems == []
    await jobs.close()


async def _while(busy: Callable[[], bool], timeout_s: float = 60) -> None:
    async with asyncio.timeout(timeout_s):
        while busy():  # noqa: ASYNC110  # what is waited for is on screen, and says nothing
            await asyncio.sleep(0.02)


def test_a_first_run_that_is_refused_says_why_and_lets_one_try_again(qtbot: QtBot, theme: Theme, home: Home) -> None:
    page = FirstRun(home)
    qtbot.addWidget(page)
    page.show()
    page._busy(True)
    page._refused(UserFacingError("That is no network file.", "Choose another."))
    assert page.problem.isVisible()
    assert page.problem.text() == "That is no network file. Choose another."
    assert page.password.isEnabled()


async def _app(home: Home, *options: str) -> asyncio.subprocess.Process:
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "depin_desktop", "--home", str(home.root), *options, cwd=ROOT, env=environment
    )


async def _until_reachable(home: Home, timeout_s: float = 60) -> EngineClient:
    client = EngineClient(home)
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                await client.connect()
            except EngineUnreachable:
                await asyncio.sleep(0.05)
            else:
                return client


async def test_the_app_leaves_an_engine_running_or_takes_it_along_as_told(make_home: Any) -> None:
    """The real thing, as `python -m depin_desktop`: start, SIGTERM, and what is left."""
    home = await make_home()
    app = await _app(home)
    client = await _until_reachable(home)
    app.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(app.wait(), 15) == 0
    await client.status()  # it goes on earning
    first = psutil.Process(Endpoint.load(home).pid)
    await client.shutdown()
    await client.close()
    await asyncio.to_thread(first.wait, 20)

    app = await _app(home, "--stop-engine-on-exit")
    client = await _until_reachable(home)
    await client.close()
    engine = psutil.Process(Endpoint.load(home).pid)
    app.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(app.wait(), 30) == 0
    assert not engine.is_running()
