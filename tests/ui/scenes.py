"""Draws the pages in every state to look at: `python -m tests.ui.scenes FOLDER [SCENE …]`.

The pictures of a running engine, for the README, are `dev.py screenshots`' business; these are for whoever changes a
page and wants to see what that does to it when nothing is shared, the engine is away, or names are long.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QApplication

from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.pages.compute import RULES, WORK, ComputePage
from depin_desktop.app.preferences import Preferences
from depin_desktop.app.theme import Appearance, Theme
from depin_desktop.app.window import PAGES, MainWindow
from depin_desktop.core.home import Home

from . import samples

SIZES = ((1280, 820), (1000, 640))


def draw_rules(window: MainWindow, application: QApplication) -> QPixmap:
    """The second view of Compute."""
    page = window.page("compute")
    assert isinstance(page, ComputePage)
    window.open_page("compute")
    page.views.choose(RULES)
    window.refresh()
    application.processEvents()
    application.processEvents()
    drawn = window.grab()
    page.views.choose(WORK)
    return drawn


def draw(folder: Path, scenes: list[str]) -> None:
    """Writes SCENE-PAGE-APPEARANCE-WIDTH.png for each of `scenes`."""
    application = QApplication(sys.argv[:1])
    theme = Theme(application)
    theme.reduce_motion(True)
    folder.mkdir(parents=True, exist_ok=True)
    time.time = lambda: samples.NOW
    with tempfile.TemporaryDirectory() as home:
        for scene in scenes:
            link = EngineLink(Home(Path(home)), start_engine=False)
            link.known = samples.SCENES[scene]()
            window = MainWindow(link, theme, Preferences(link.home))
            window.show()
            for appearance in (Appearance.LIGHT, Appearance.DARK):
                theme.choose(appearance)
                for size in SIZES:
                    window.resize(*size)
                    for page in PAGES:
                        window.open_page(page)
                        application.processEvents()
                        application.processEvents()
                        window.grab().save(str(folder / f"{scene}-{page}-{appearance.value}-{size[0]}.png"))
                    draw_rules(window, application).save(
                        str(folder / f"{scene}-rules-{appearance.value}-{size[0]}.png")
                    )
            window.hide()


if __name__ == "__main__":
    draw(Path(sys.argv[1]), sys.argv[2:] or list(samples.SCENES))
