"""Colours, fonts and motion."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QFontInfo, QFontMetricsF
from PySide6.QtWidgets import QApplication, QLabel

from depin_desktop.app import fonts, icons, theme
from depin_desktop.app.theme import DARK, LIGHT, SHAPE_PAIRS, TEXT_PAIRS, Appearance, Theme, Tokens, contrast

BOTH = pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=["light", "dark"])


def test_contrast_agrees_with_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@BOTH
@pytest.mark.parametrize(("text", "background"), TEXT_PAIRS)
def test_every_text_token_is_readable_on_what_it_is_used_on(tokens: Tokens, text: str, background: str) -> None:
    assert contrast(getattr(tokens, text), getattr(tokens, background)) >= 4.5


@BOTH
@pytest.mark.parametrize(("shape", "background"), SHAPE_PAIRS)
def test_shapes_that_carry_meaning_stand_out(tokens: Tokens, shape: str, background: str) -> None:
    assert contrast(getattr(tokens, shape), getattr(tokens, background)) >= 3


@BOTH
def test_plot_lines_stand_out_on_cards(tokens: Tokens) -> None:
    assert all(contrast(colour, tokens.surface) >= 3 for colour in tokens.plots)


def test_inter_is_bundled_and_its_digits_are_tabular(theme: Theme) -> None:
    for role in ("number", "title", "body", "strong", "caption", "code"):
        assert QFontInfo(fonts.font(role)).family().startswith("Inter")
        metrics = QFontMetricsF(fonts.font(role))
        assert len({metrics.horizontalAdvance(digit * 8) for digit in "0123456789"}) == 1
    assert (fonts.ASSETS / "fonts" / "OFL.txt").read_text("utf-8").startswith("Copyright")


def test_switching_the_appearance_recolours_what_is_there(theme: Theme, qapp: QApplication) -> None:
    label = QLabel("text")
    label.setProperty("tone", "muted")
    label.ensurePolished()
    try:
        theme.choose(Appearance.DARK)
        assert label.palette().windowText().color().name() == DARK.muted
        assert qapp.palette().window().color().name() == DARK.background
    finally:
        theme.choose(Appearance.LIGHT)
    assert label.palette().windowText().color().name() == LIGHT.muted


def test_reduced_motion_means_none(theme: Theme) -> None:
    assert theme_motion() == 0
    theme.reduce_motion(False)
    try:
        assert theme_motion() in (0, 140)
    finally:
        theme.reduce_motion(True)


def theme_motion() -> int:
    return theme.motion_ms(140)


@pytest.mark.parametrize("name", icons.names())
def test_every_icon_draws_something(qapp: QApplication, name: str) -> None:
    image = icons.pixmap(name, 20, theme.colour("text")).toImage()
    assert any(image.pixelColor(x, y).alpha() > 60 for x in range(20) for y in range(20))
