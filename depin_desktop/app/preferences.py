"""What the owner chose for the window: appearance, what closing means, and where the window was."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSettings

from depin_desktop.app.theme import Appearance
from depin_desktop.core.home import Home


class Preferences:
    """Kept in `app.ini` of the home; a value that cannot be read means its default."""

    def __init__(self, home: Home) -> None:
        self._settings = QSettings(str(home.root / "app.ini"), QSettings.Format.IniFormat)

    @property
    def appearance(self) -> Appearance:
        value = str(self._settings.value("appearance", "system"))
        return Appearance(value) if value in set(Appearance) else Appearance.SYSTEM

    @appearance.setter
    def appearance(self, value: Appearance) -> None:
        self._settings.setValue("appearance", value.value)

    @property
    def keep_earning(self) -> bool:
        """Whether an engine that this app started goes on when the window closes."""
        return str(self._settings.value("keep_earning", "true")).lower() != "false"

    @keep_earning.setter
    def keep_earning(self, value: bool) -> None:
        self._settings.setValue("keep_earning", "true" if value else "false")

    @property
    def reduced_motion(self) -> bool:
        return str(self._settings.value("reduced_motion", "false")).lower() == "true"

    @reduced_motion.setter
    def reduced_motion(self, value: bool) -> None:
        self._settings.setValue("reduced_motion", "true" if value else "false")

    @property
    def geometry(self) -> QByteArray | None:
        value = self._settings.value("geometry")
        return value if isinstance(value, QByteArray) and not value.isEmpty() else None

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        self._settings.setValue("geometry", value)
