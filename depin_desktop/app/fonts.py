"""Inter, bundled under the SIL Open Font License (assets/fonts/OFL.txt), and the sizes that the app uses.

Digits are tabular everywhere, so that a number that changes does not make its neighbours dance.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PySide6.QtGui import QFont, QFontDatabase

ASSETS = Path(__file__).parent / "assets"
FAMILY = "Inter"

_SIZES_PX: dict[str, tuple[int, QFont.Weight]] = {
    "number": (34, QFont.Weight.DemiBold),
    "title": (22, QFont.Weight.DemiBold),
    "figure": (22, QFont.Weight.DemiBold),
    "reading": (17, QFont.Weight.DemiBold),
    "heading": (14, QFont.Weight.DemiBold),
    "body": (14, QFont.Weight.Normal),
    "strong": (14, QFont.Weight.Medium),
    "secondary": (13, QFont.Weight.Normal),
    "caption": (12, QFont.Weight.Normal),
    "pill": (12, QFont.Weight.DemiBold),
    "code": (13, QFont.Weight.Normal),
}


def load() -> None:
    """Registers the bundled files; call it once, after the application exists."""
    for file in sorted((ASSETS / "fonts").glob("*.ttf")):
        QFontDatabase.addApplicationFont(str(file))
    font.cache_clear()


@cache
def font(role: str) -> QFont:
    """The font of a role, such as "body" or "caption"; pixel sizes are logical, Qt scales them to the screen."""
    size, weight = _SIZES_PX[role]
    made = QFont(FAMILY)
    made.setPixelSize(size)
    made.setWeight(weight)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    features = ["tnum", "cv11"]
    if role == "code":
        features = ["tnum", "zero", "ss02"]  # 0/O and 1/l/I are told apart in addresses
    for feature in features:
        made.setFeature(QFont.Tag(feature), 1)
    if role == "code":
        made.setFeature(QFont.Tag("calt"), 0)  # else "0x8f" is drawn with a multiplication sign
    return made
