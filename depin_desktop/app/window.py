"""The main window: sidebar, pages, banner, status line, toasts; keys; what is repainted when."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QDesktopServices,
    QHideEvent,
    QKeySequence,
    QShortcut,
    QShowEvent,
)
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QMenu, QStackedWidget, QVBoxLayout, QWidget

from depin_desktop import __version__
from depin_desktop.api.models import ServiceState
from depin_desktop.app import icons
from depin_desktop.app.controller import Controller
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.pages.base import MARGIN_X, Page
from depin_desktop.app.pages.home import HomePage
from depin_desktop.app.preferences import Preferences
from depin_desktop.app.presenters import common
from depin_desktop.app.theme import Appearance, Theme, colour
from depin_desktop.app.widgets.banner import Banner, Toasts
from depin_desktop.app.widgets.chrome import Sidebar, StatusBar
from depin_desktop.app.words import tr
from depin_desktop.core.units import format_tokens

TICK_MS = 1000
SIZE = QSize(1280, 820)
LEAST = QSize(900, 600)
PAGES = ("home", "storage", "compute", "wallet")


class MainWindow(QMainWindow):
    """Signals: `closing()` when its owner wants to leave."""

    closing = Signal()

    def __init__(self, link: EngineLink, theme: Theme, preferences: Preferences) -> None:
        super().__init__()
        self._link, self._theme, self._preferences = link, theme, preferences
        self.setWindowTitle(tr("DePIN Desktop"))
        self.setWindowIcon(icons.icon("storage", colour("accent"), 64))
        self.setMinimumSize(LEAST)
        self.resize(SIZE)
        if preferences.geometry is not None:
            self.restoreGeometry(preferences.geometry)
        names = [
            (tr("Home"), "home", "Ctrl+1"),
            (tr("Storage"), "storage", "Ctrl+2"),
            (tr("Compute"), "chip", "Ctrl+3"),
            (tr("Wallet"), "wallet", "Ctrl+4"),
        ]
        self.sidebar = Sidebar(names)
        self.stack = QStackedWidget()
        self.status = StatusBar()
        self.banner = Banner(wide=True)
        self.banner.hide()
        self._lay_out()
        self.toasts = Toasts(self._whole)
        self.controller = Controller(self, link, self.toasts)
        self.pages: dict[str, Page] = {"home": HomePage(self.controller)}
        self.stack.addWidget(self.pages["home"])
        self.current = "home"
        self.sidebar.show_chosen(0)
        self._connect()
        self.menu = self._settings_menu()
        self._tick = QTimer(self)
        self._tick.setInterval(TICK_MS)
        self._tick.timeout.connect(self.refresh)

    def _lay_out(self) -> None:
        self._whole = whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.sidebar)
        column = QVBoxLayout()
        column.setSpacing(0)
        self._banner_host = QWidget()
        host = QVBoxLayout(self._banner_host)
        host.setContentsMargins(MARGIN_X, 16, MARGIN_X, 0)
        host.addWidget(self.banner)
        self._banner_host.hide()
        column.addWidget(self._banner_host)
        column.addWidget(self.stack, 1)
        column.addWidget(self.status)
        row.addLayout(column, 1)
        self.setCentralWidget(whole)

    def _connect(self) -> None:
        self.sidebar.chosen.connect(lambda index: self.open_page(PAGES[index]))
        self.sidebar.settings.connect(self._open_settings)
        self.banner.pressed.connect(lambda _: self._link.retry())
        self.controller.page_wanted.connect(self.open_page)
        self.controller.refresh_wanted.connect(self.refresh)
        self._link.changed.connect(self._on_news)
        keys: list[tuple[str, Callable[[], object]]] = [
            *((f"Ctrl+{number}", partial(self.open_page, name)) for number, name in enumerate(PAGES, 1)),
            ("F5", self.controller.refresh),
            ("Ctrl+N", self.controller.add_folder),
            ("Ctrl+F", self._find),
            ("Ctrl+,", self._open_settings),
            ("Escape", self.toasts.dismiss_all),
            ("Ctrl+Q", self.close),
        ]
        for key, act in keys:
            QShortcut(QKeySequence(key), self).activated.connect(act)

    # --- pages ------------------------------------------------------------------------------------------------------

    def page(self, name: str) -> Page:
        """The page `name`; made when first wanted, so that the window is there sooner."""
        if name not in self.pages:
            if name == "storage":
                from depin_desktop.app.pages.storage import StoragePage

                self.pages[name] = StoragePage(self.controller)
            elif name == "compute":
                from depin_desktop.app.pages.compute import ComputePage

                self.pages[name] = ComputePage(self.controller)
            else:
                from depin_desktop.app.pages.wallet import WalletPage

                self.pages[name] = WalletPage(self.controller)
            self.stack.addWidget(self.pages[name])
        return self.pages[name]

    def open_page(self, name: str) -> None:
        """Brings a page to the front."""
        page, focused = self.page(name), self.focusWidget()
        if name != self.current and focused is not None and self.pages[self.current].isAncestorOf(focused):
            # Else Qt gives the focus, and its ring, to whatever comes first on the new page.
            self.sidebar.items[PAGES.index(name)].setFocus(Qt.FocusReason.OtherFocusReason)
        self.current = name
        self.sidebar.show_chosen(PAGES.index(name))
        self.stack.setCurrentWidget(page)
        self.refresh()

    def _find(self) -> None:
        from depin_desktop.app.pages.wallet import WalletPage

        self.open_page("wallet")
        page = self.page("wallet")
        assert isinstance(page, WalletPage)
        page.history.filter.setFocus()

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _on_news(self, _fields: object) -> None:
        self.controller.snapshots_changed()
        self.refresh()

    @property
    def on_screen(self) -> bool:
        """Whether anybody can see it; a hidden or minimised window repaints nothing and its ages rest."""
        return self.isVisible() and not self.isMinimized()

    def refresh(self) -> None:
        """Shows what is known on the page in front; texts that did not change are not repainted."""
        if not self.on_screen:
            return
        known, now = self._link.known, time.time()
        self.pages[self.current].present(known, now)
        line = common.status_line(known, now)
        *parts, worth = [
            (part.text, part.tone, part.tip) for part in (line.state, line.network, line.hub, line.peers, line.worth)
        ]
        self.status.say(parts, worth)
        self._show_hints()
        notice = common.link_notice(known.link, now)
        self._banner_host.setVisible(notice is not None)
        self.banner.setVisible(notice is not None)
        if notice is not None:
            self.banner.say(notice.headline, notice.sentence, notice.tone, notice.action, notice.action_label)

    def _show_hints(self) -> None:
        for name, service in (
            ("storage", common.storage_service(self._link.known)),
            ("compute", common.compute_service(self._link.known)),
        ):
            off = service is not None and service.state is ServiceState.OFF
            hint = "" if service is None else tr("off") if off else format_tokens(service.earned_today)
            self.sidebar.items[PAGES.index(name)].say(hint)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._tick.start()
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        self._tick.stop()
        super().hideEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange and hasattr(self, "_tick"):
            if self.on_screen:
                self._tick.start()
                self.refresh()
            else:
                self._tick.stop()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Hides at once and says so; the application ends when its shutdown has run."""
        self._preferences.geometry = self.saveGeometry()
        event.ignore()
        self.hide()
        self.closing.emit()

    # --- settings ---------------------------------------------------------------------------------------------------

    def _settings_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAccessibleName(tr("Settings"))
        heading = menu.addAction(tr("Appearance"))
        heading.setEnabled(False)
        group = QActionGroup(menu)
        names = {Appearance.SYSTEM: tr("As the system"), Appearance.LIGHT: tr("Light"), Appearance.DARK: tr("Dark")}
        for appearance, name in names.items():
            action = QAction(name, menu, checkable=True)
            action.setChecked(self._theme.appearance is appearance)
            action.triggered.connect(lambda _=False, chosen=appearance: self._choose(chosen))
            group.addAction(action)
            menu.addAction(action)
        menu.addSeparator()
        self.keep_earning = menu.addAction(tr("Keep earning when this window closes"))
        self.keep_earning.setCheckable(True)
        self.keep_earning.setChecked(self._preferences.keep_earning)
        self.keep_earning.toggled.connect(self._keep_earning)
        motion = menu.addAction(tr("Reduce motion"))
        motion.setCheckable(True)
        motion.setChecked(self._preferences.reduced_motion)
        motion.toggled.connect(self._reduce_motion)
        menu.addSeparator()
        menu.addAction(tr("Open the data folder")).triggered.connect(
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._link.home.root)))
        )
        about = menu.addAction(tr("DePIN Desktop {version}", version=__version__))
        about.setEnabled(False)
        return menu

    def _open_settings(self) -> None:
        corner = self.sidebar.settings_button.mapToGlobal(self.sidebar.settings_button.rect().topLeft())
        corner.setY(corner.y() - self.menu.sizeHint().height() - 4)
        self.menu.popup(corner)

    def _choose(self, appearance: Appearance) -> None:
        self._preferences.appearance = appearance
        self._theme.choose(appearance)

    def _keep_earning(self, on: bool) -> None:
        self._preferences.keep_earning = on

    def _reduce_motion(self, on: bool) -> None:
        self._preferences.reduced_motion = on
        self._theme.reduce_motion(on)
