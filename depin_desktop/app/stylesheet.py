"""The small style sheet: only what the palette and painted widgets cannot say."""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

from depin_desktop.app.fonts import ASSETS

if TYPE_CHECKING:
    from depin_desktop.app.theme import Tokens

_SHEET = Template("""
QLabel[tone="muted"] { color: $muted; }
QLabel[tone="faint"] { color: $faint; }
QLabel[tone="accent"] { color: $accent; }
QLabel[tone="warning"] { color: $warning; }
QLabel[tone="fault"] { color: $fault; }
QLabel[tone="info"] { color: $info; }

QPushButton {
  background: $surface; color: $text; border: 1px solid $line; border-radius: 8px; padding: 0 14px;
  min-height: 34px; max-height: 34px;
}
QPushButton:hover { background: $raised; border-color: $control_line; }
QPushButton:pressed { background: $line; }
QPushButton:focus { border: 2px solid $accent; padding: 0 13px; min-height: 32px; max-height: 32px; }
QPushButton:disabled { color: $faint; background: $background; border-color: $line; }
QPushButton[kind="filled"] { background: $accent; color: $on_accent; border-color: $accent; }
QPushButton[kind="filled"]:hover, QPushButton[kind="filled"]:pressed { background: $accent_hover; }
QPushButton[kind="filled"]:focus { border: 2px solid $text; }
QPushButton[kind="filled"]:disabled { background: $track; color: $muted; border-color: $track; }
QPushButton[kind="danger"] { background: $fault; color: $on_fault; border-color: $fault; }
QPushButton[kind="danger"]:focus { border: 2px solid $text; }
QPushButton[kind="quiet"] {
  background: transparent; border-color: transparent; color: $muted; padding: 0 8px;
  min-height: 28px; max-height: 28px;
}
QPushButton[kind="quiet"]:hover { background: $raised; color: $text; }
QPushButton[kind="quiet"]:focus {
  border: 2px solid $accent; padding: 0 7px; min-height: 26px; max-height: 26px;
}
QPushButton[kind="quiet"]:disabled { color: $faint; }
QPushButton[kind="link"] {
  background: transparent; border: none; border-bottom: 1px solid transparent; border-radius: 0; color: $muted;
  padding: 0; min-height: 24px; max-height: 24px;
}
QPushButton[kind="link"]:hover { color: $text; border-bottom-color: $control_line; }
QPushButton[kind="link"]:focus { border: none; border-bottom: 2px solid $accent; color: $text; }
QPushButton[kind="link"]:disabled { color: $faint; background: transparent; }
QPushButton[kind="small"] { min-height: 28px; max-height: 28px; padding: 0 10px; }
QPushButton[kind="small"]:focus { min-height: 26px; max-height: 26px; padding: 0 9px; }

QPushButton[kind="segment"] {
  background: transparent; border-color: transparent; color: $muted; padding: 0 12px;
  min-height: 30px; max-height: 30px;
}
QPushButton[kind="segment"]:hover { color: $text; background: $raised; }
QPushButton[kind="segment"]:checked { background: $surface; border-color: $line; color: $text; }
QPushButton[kind="segment"]:focus { border: 2px solid $accent; padding: 0 11px; min-height: 28px; max-height: 28px; }

QLineEdit, QComboBox, QAbstractSpinBox {
  background: $surface; color: $text; border: 1px solid $control_line; border-radius: 8px; padding: 0 10px;
  min-height: 34px; max-height: 34px; selection-background-color: $accent; selection-color: $on_accent;
}
QLineEdit:focus, QComboBox:focus, QAbstractSpinBox:focus {
  border: 2px solid $accent; padding: 0 9px; min-height: 32px; max-height: 32px;
}
QLineEdit[compact="true"], QComboBox[compact="true"] { min-height: 28px; max-height: 28px; }
QLineEdit[compact="true"]:focus, QComboBox[compact="true"]:focus { min-height: 26px; max-height: 26px; }
QLineEdit:disabled, QComboBox:disabled { color: $faint; border-color: $line; }
QLineEdit[invalid="true"] { border-color: $fault; }
QComboBox::drop-down { border: none; width: 24px; }
QComboBox::down-arrow { image: url("$icons/chevron-$mode.svg"); width: 12px; height: 12px; }
QComboBox QAbstractItemView {
  background: $surface; color: $text; border: 1px solid $line; selection-background-color: $accent_soft;
  selection-color: $text; outline: none; padding: 4px;
}

QPlainTextEdit {
  background: $surface; color: $text; border: 1px solid $line; border-radius: 8px; padding: 6px;
  selection-background-color: $accent; selection-color: $on_accent;
}
QPlainTextEdit:focus { border: 2px solid $accent; padding: 5px; }

QSlider { min-height: 26px; }
QSlider::groove:horizontal { height: 4px; background: $line; border-radius: 2px; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::handle:horizontal {
  width: 16px; height: 16px; margin: -7px 0; border-radius: 9px; background: $surface; border: 2px solid $accent;
}
QSlider::handle:horizontal:focus { background: $accent_soft; border: 3px solid $accent; width: 14px; height: 14px; }
QSlider::handle:horizontal:hover { background: $accent_soft; }
QSlider::sub-page:horizontal:disabled { background: $control_line; }
QSlider::handle:horizontal:disabled { border-color: $control_line; background: $surface; }

QToolTip { background: $surface; color: $text; border: 1px solid $control_line; padding: 5px 7px; }
QMenu { background: $surface; color: $text; border: 1px solid $line; border-radius: 8px; padding: 6px; }
QMenu::item { padding: 7px 24px 7px 28px; border-radius: 6px; }
QMenu::item:selected { background: $accent_soft; }
QMenu::item:disabled { color: $faint; }
QMenu::separator { height: 1px; background: $line; margin: 6px 4px; }
QMenu::indicator { width: 14px; height: 14px; left: 8px; }
QMenu::indicator:checked { image: url("$icons/check-$mode.svg"); }
QMenu::indicator:unchecked { image: none; }

QScrollArea, QScrollArea > QWidget > QWidget#page { background: transparent; border: none; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 2px; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 2px; }
QScrollBar::handle { background: $line; border-radius: 3px; min-height: 32px; min-width: 32px; }
QScrollBar::handle:hover { background: $control_line; }
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {
  background: none; border: none; width: 0; height: 0;
}

QTableView {
  background: $surface; color: $text; border: none; outline: none; gridline-color: transparent;
  selection-background-color: $accent_soft; selection-color: $text;
}
QTableView::item { border-bottom: 1px solid $line; padding: 0 5px; }
QTableView::item:selected { background: $accent_soft; color: $text; }
QHeaderView { background: $surface; border: none; }
QHeaderView::section {
  background: $surface; color: $muted; border: none; border-bottom: 1px solid $line; padding: 0 8px; height: 34px;
}
QHeaderView::section:hover { color: $text; }
QHeaderView::up-arrow, QHeaderView::down-arrow { image: none; width: 0; height: 0; }
QTableCornerButton::section { background: $surface; border: none; }
QDialog { background: $background; }
""")


def build(now: Tokens) -> str:
    """The style sheet of one appearance."""
    colours = {name: value for name, value in vars(now).items() if isinstance(value, str)}
    icons = (ASSETS / "icons").as_posix()
    return _SHEET.substitute(colours, icons=icons, mode="dark" if now.dark else "light")
