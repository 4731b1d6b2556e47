"""Design tokens for light and dark, and how they become a palette and a style sheet.

Values follow the project's look; where a text token missed WCAG AA (4.5:1) on a surface that it is used on, it was
darkened or lightened. `TEXT_PAIRS` and `SHAPE_PAIRS` name every combination in use; a test checks them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QStyle, QStyleFactory

from depin_desktop.app import fonts, stylesheet


@dataclass(frozen=True)
class Tokens:
    """Colours as #rrggbb. `x_soft` is the background that belongs to `x`."""

    dark: bool
    background: str
    surface: str
    raised: str
    line: str
    control_line: str
    text: str
    muted: str
    faint: str
    accent: str
    accent_hover: str
    accent_soft: str
    on_accent: str
    info: str
    info_soft: str
    warning: str
    warning_soft: str
    fault: str
    fault_soft: str
    on_fault: str
    yours: str
    track: str
    plots: tuple[str, str, str, str]


LIGHT = Tokens(
    dark=False,
    background="#f5f6f8",
    surface="#ffffff",
    raised="#f5f6f8",
    line="#e3e6eb",
    control_line="#858e9b",
    text="#161a20",
    muted="#5d6673",
    faint="#68717f",
    accent="#0b7a60",
    accent_hover="#086650",
    accent_soft="#e2f4ee",
    on_accent="#ffffff",
    info="#2f5fd0",
    info_soft="#e7edfb",
    warning="#9a5800",
    warning_soft="#fff2df",
    fault="#b42318",
    fault_soft="#fdeceb",
    on_fault="#ffffff",
    yours="#9a6bd6",
    track="#eceef2",
    plots=("#0f8a6d", "#2f5fd0", "#9a6bd6", "#b67a12"),
)

DARK = Tokens(
    dark=True,
    background="#0f1216",
    surface="#171b21",
    raised="#1f252d",
    line="#272d36",
    control_line="#6b7684",
    text="#eef1f5",
    muted="#a3adba",
    faint="#8a95a4",
    accent="#35c79f",
    accent_hover="#55d6b3",
    accent_soft="#12322a",
    on_accent="#07211a",
    info="#86a8ff",
    info_soft="#1c2746",
    warning="#f0b35a",
    warning_soft="#33270f",
    fault="#ff8a80",
    fault_soft="#3a1a18",
    on_fault="#2a0906",
    yours="#a889d9",
    track="#242a33",
    plots=("#35c79f", "#86a8ff", "#c19cf5", "#e9b65c"),
)

TEXT_PAIRS = (
    *((tone, base) for tone in ("text", "muted", "faint") for base in ("background", "surface", "raised")),
    *((tone, base) for tone in ("accent", "warning", "fault", "info") for base in ("background", "surface")),
    *((tone, f"{tone}_soft") for tone in ("accent", "warning", "fault", "info")),
    *(
        (tone, base)
        for tone in ("text", "muted")
        for base in ("accent_soft", "warning_soft", "fault_soft", "info_soft")
    ),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
    ("on_fault", "fault"),
    ("muted", "track"),
)
"""(text, background) token names; each needs 4.5:1."""

SHAPE_PAIRS = (("accent", "surface"), ("yours", "surface"), ("control_line", "surface"), ("control_line", "background"))
"""(shape, background) token names that carry meaning; each needs 3:1, as does every plot colour on the surface."""


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""

    def luminance(colour: str) -> float:
        channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


class Appearance(StrEnum):
    """What the owner chose."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


_current = LIGHT


def tokens() -> Tokens:
    """The tokens in force; painted widgets ask at every paint, so that a change needs no bookkeeping."""
    return _current


def colour(name: str, alpha: float = 1.0) -> QColor:
    """The token `name` as a colour."""
    value = QColor(getattr(_current, name))
    value.setAlphaF(alpha)
    return value


def motion_ms(wanted: int) -> int:
    """The length of an animation: `wanted`, or 0 where the system asks for reduced motion."""
    hint = QApplication.style().styleHint(QStyle.StyleHint.SH_Widget_Animation_Duration)
    effects = QApplication.isEffectEnabled(Qt.UIEffect.UI_General) or not _effects_are_told()
    return wanted if hint > 0 and effects and not _reduced_motion else 0


def _effects_are_told() -> bool:
    # Only these platforms report "animations off" through Qt's UI effects; elsewhere the flag says nothing.
    return QApplication.platformName() in ("windows", "cocoa")


_reduced_motion = False


class Theme(QObject):
    """Applies the appearance to the application and follows the system while that is the choice."""

    changed = Signal()

    def __init__(self, application: QApplication, appearance: Appearance = Appearance.SYSTEM) -> None:
        super().__init__(application)
        self._application = application
        self.appearance = appearance
        style = QStyleFactory.create("Fusion")
        if style is not None:
            application.setStyle(style)
        fonts.load()
        application.setFont(fonts.font("body"))
        application.styleHints().colorSchemeChanged.connect(self._system_changed)
        self.choose(appearance)

    def choose(self, appearance: Appearance) -> None:
        """Switches at once."""
        self.appearance = appearance
        scheme = {
            Appearance.SYSTEM: Qt.ColorScheme.Unknown,
            Appearance.LIGHT: Qt.ColorScheme.Light,
            Appearance.DARK: Qt.ColorScheme.Dark,
        }[appearance]
        # The platform then draws title bars and native dialogs to match.
        self._application.styleHints().setColorScheme(scheme)
        self._apply()

    def reduce_motion(self, reduced: bool) -> None:
        """The owner's own wish, in addition to the system's."""
        global _reduced_motion
        _reduced_motion = reduced

    def _system_changed(self) -> None:
        if self.appearance is Appearance.SYSTEM:
            self._apply()

    def _apply(self) -> None:
        global _current
        dark = self.appearance is Appearance.DARK or (
            self.appearance is Appearance.SYSTEM and self._application.styleHints().colorScheme() == Qt.ColorScheme.Dark
        )
        _current = DARK if dark else LIGHT
        self._application.setPalette(_palette(_current))
        self._application.setStyleSheet(stylesheet.build(_current))
        self.changed.emit()


def _palette(now: Tokens) -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    for which, value in (
        (role.Window, now.background),
        (role.WindowText, now.text),
        (role.Base, now.surface),
        (role.AlternateBase, now.raised),
        (role.Text, now.text),
        (role.PlaceholderText, now.faint),
        (role.Button, now.surface),
        (role.ButtonText, now.text),
        (role.BrightText, now.fault),
        (role.Highlight, now.accent),
        (role.HighlightedText, now.on_accent),
        (role.Accent, now.accent),
        (role.Link, now.info),
        (role.LinkVisited, now.info),
        (role.ToolTipBase, now.surface),
        (role.ToolTipText, now.text),
        (role.Light, now.surface),
        (role.Midlight, now.line),
        (role.Mid, now.line),
        (role.Dark, now.control_line),
        (role.Shadow, now.background),
    ):
        palette.setColor(which, QColor(value))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(now.faint))
    return palette
