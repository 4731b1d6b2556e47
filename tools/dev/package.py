"""`dev.py package`: the wheel that others install."""

from __future__ import annotations

from tools.dev.commands import run_quietly
from tools.dev.places import PYTHON, ROOT, shown
from tools.dev.python_packages import ensure_python_packages
from tools.dev.say import say


def build() -> int:
    """Builds the wheel into `dist/` with the build tools of the lock file."""
    ensure_python_packages()
    dist = ROOT / "dist"
    say("building the wheel")
    run_quietly(
        [PYTHON, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", dist, ROOT],
        log="package",
        failure="The wheel could not be built",
        remedy="Mend what the build complains about.",
        env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    newest = max(dist.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    say(f"built {shown(newest)} ({newest.stat().st_size / 1e6:.1f} MB)")
    return 0
