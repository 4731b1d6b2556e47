"""Saves what the real app shows of a running engine: each page, light and dark. Started by `dev.py screenshots`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from PySide6.QtWidgets import QApplication

from depin_desktop.api.compute import CPU
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.known import Known
from depin_desktop.app.loop import Jobs, future_of, run
from depin_desktop.app.pages.compute import RULES, WORK, ComputePage
from depin_desktop.app.preferences import Preferences
from depin_desktop.app.theme import Appearance, Theme
from depin_desktop.app.window import PAGES, MainWindow
from depin_desktop.core.home import Home

HEARD_S = 150.0  # how long the engine may take to tell everything that the pages show
PLOTTED = 45  # readings of the processor's load, one every two seconds, so that there is a curve to see
SETTLE_S = 1.5  # for plots and transitions to be drawn


def _whole(known: Known) -> bool:
    told = (known.status, known.storage, known.wallet, known.inventory, known.compute, known.controls)
    return None not in told and len(known.loads.get(CPU, ())) >= PLOTTED


async def take(application: QApplication, home: Home, folder: Path) -> int:
    """Saves `PAGE-light.png` and `PAGE-dark.png` of every page, and of Compute's rules; returns the exit status."""
    theme = Theme(application, Appearance.LIGHT)
    theme.reduce_motion(True)
    link = EngineLink(home, start_engine=False)
    window = MainWindow(link, theme, Preferences(home))
    window.show()
    jobs = Jobs(lambda problem: print(problem, file=sys.stderr))
    jobs.spawn("link", link.run())
    try:
        async with asyncio.timeout(HEARD_S):
            while not _whole(link.known):
                await future_of(link.changed)
    except TimeoutError:
        print(f"The engine of {home.root} does not tell what the pages show.", file=sys.stderr)
        await jobs.close()
        return 1
    for appearance in (Appearance.LIGHT, Appearance.DARK):
        theme.choose(appearance)
        for page in PAGES:
            window.open_page(page)
            await asyncio.sleep(SETTLE_S)
            window.grab().save(str(folder / f"{page}-{appearance.value}.png"))
        compute = window.page("compute")
        assert isinstance(compute, ComputePage)
        window.open_page("compute")
        compute.views.choose(RULES)
        await asyncio.sleep(SETTLE_S)
        window.grab().save(str(folder / f"rules-{appearance.value}.png"))
        compute.views.choose(WORK)
    await jobs.close()
    window.hide()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", required=True, help="the home of a running engine")
    parser.add_argument("--out", type=Path, required=True, help="the folder to save to")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    application = QApplication(sys.argv[:1])
    return run(application, lambda _quitting: take(application, Home.choose(options.home), options.out))


if __name__ == "__main__":
    sys.exit(main())
