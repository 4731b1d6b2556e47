"""`dev.py screenshots`: the pictures in the README, taken from the real app."""

from __future__ import annotations

from tools.dev.places import PYTHON, ROOT
from tools.dev.processes import Family
from tools.dev.say import Stop
from tools.dev.testing import set_up_for_tests

_SCRIPT = ROOT / "tools" / "screenshots.py"


def take() -> int:
    """Runs the script that opens the app without a screen and saves its pages to `docs/screenshots`."""
    if not _SCRIPT.exists():
        raise Stop("There is nothing yet that takes screenshots.")
    set_up_for_tests()
    family = Family()
    try:
        return family.run([PYTHON, _SCRIPT], env={"QT_QPA_PLATFORM": "offscreen"})
    finally:
        family.end_others(10.0)
