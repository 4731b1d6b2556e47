"""From the command line to the window and back: the life of the app."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from PySide6.QtWidgets import QApplication

from depin_desktop import __version__
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.loop import Jobs, run
from depin_desktop.app.preferences import Preferences
from depin_desktop.app.theme import Appearance, Theme
from depin_desktop.app.window import PAGES, MainWindow
from depin_desktop.core.home import Home

STOP_ENGINE_S = 20.0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the desktop."""
    parser = argparse.ArgumentParser(prog="depin-desktop", description="Share what you own, and see what it earns.")
    parser.add_argument("--home", metavar="DIR", help="the home folder (default: DEPIN_HOME, else yours)")
    parser.add_argument("--network", metavar="FILE", default="", help="the network file that a first run offers")
    parser.add_argument(
        "--stop-engine-on-exit", action="store_true", help="stop the engine on exit, if this app started it"
    )
    parser.add_argument("--no-start", action="store_true", help="never start an engine, only attach to one")
    parser.add_argument("--appearance", choices=[value.value for value in Appearance], help="for this run only")
    parser.add_argument("--page", choices=PAGES, default="home", help="the page to open")
    parser.add_argument("--version", action="version", version=f"DePIN Desktop {__version__}")
    return parser.parse_args(arguments)


def start(arguments: Sequence[str] | None = None) -> int:
    """Runs the desktop until its window is closed; returns the exit status."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    application.setApplicationName("depin-desktop")
    application.setApplicationDisplayName("DePIN Desktop")
    application.setDesktopFileName("depin-desktop")
    return run(application, lambda quitting: _live(application, options, quitting))


async def _live(application: QApplication, options: argparse.Namespace, quitting: asyncio.Event) -> int:
    home = Home.choose(options.home)
    preferences = Preferences(home)
    theme = Theme(application, Appearance(options.appearance) if options.appearance else preferences.appearance)
    theme.reduce_motion(preferences.reduced_motion)
    application.commitDataRequest.connect(lambda _: quitting.set())  # the session ends
    if not home.initialised and not await _first_run(home, options.network, quitting):
        return 0
    link = EngineLink(home, start_engine=not options.no_start)
    window = MainWindow(link, theme, preferences)
    window.closing.connect(quitting.set)
    window.open_page(options.page)
    window.show()
    background = Jobs(window.controller.show_problem)
    background.spawn("link", link.run())
    await quitting.wait()
    window.hide()
    await window.controller.jobs.close()
    if options.stop_engine_on_exit or not preferences.keep_earning:
        await asyncio.wait_for(link.stop_engine(), STOP_ENGINE_S)
    await background.close()
    return 0


async def _first_run(home: Home, network_file: str, quitting: asyncio.Event) -> bool:
    """Whether the home became usable."""
    from depin_desktop.app.first_run import FirstRun  # not needed at any other start

    page = FirstRun(home, network_file)
    ready = asyncio.Event()
    page.done.connect(ready.set)
    page.closing.connect(quitting.set)
    page.show()
    waits = [asyncio.ensure_future(ready.wait()), asyncio.ensure_future(quitting.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await page.jobs.close()
    page.hide()
    page.deleteLater()
    return ready.is_set()
