"""Wheels do not bring the libraries of the system that they stand on: names those that are missing.

Found with `ldd` on QtGui, QtWidgets, QtSvg and the platform plugins of PySide6-Essentials 6.11, and on what all other
wheels bring; of what those need, the C and C++ libraries and what other libraries here bring along are left out.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence

from tools.dev.say import Stop
from tools.dev.system_packages import install_or_explain

# library → the Debian and Ubuntu package that holds it
ENGINES = {"libgomp.so.1": "libgomp1"}  # of xllamacpp
WINDOW = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libX11.so.6": "libx11-6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
}
X11 = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
WAYLAND = {
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
}
_PROBE = """
import ctypes, sys
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
    except OSError:
        print(name)
"""


def wanted_libraries(*, window: bool = True, x11: bool = False, wayland: bool = False) -> dict[str, str]:
    """Library → package for working, for drawing a window without a screen, and on the given kinds of screen."""
    screen = {**(X11 if x11 else {}), **(WAYLAND if wayland else {})}
    return {**ENGINES, **WINDOW, **screen} if window else ENGINES


def missing_libraries(names: Iterable[str]) -> list[str]:
    """Those that the dynamic loader does not find; asked in a process of its own, which loads nothing into ours."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *names], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.stdout.split()


def packages_of(missing: Sequence[str], libraries: dict[str, str]) -> list[str]:
    """The packages that hold these libraries, each once."""
    return sorted({libraries[name] for name in missing})


def ensure_system_libraries(*, window: bool = True, x11: bool = False, wayland: bool = False) -> None:
    """Installs what is missing, or says which packages to install.

    Raises:
        Stop: something is missing and cannot be installed from here.
    """
    if sys.platform != "linux":
        return  # elsewhere wheels are complete
    libraries = wanted_libraries(window=window, x11=x11, wayland=wayland)
    missing = missing_libraries(libraries)
    if not missing:
        return
    reason = f"Libraries are needed that this system lacks ({', '.join(missing)})"
    install_or_explain(packages_of(missing, libraries), reason)
    still = missing_libraries(missing)
    if still:
        raise Stop(f"apt-get installed the packages, but {', '.join(still)} is still not found.")
