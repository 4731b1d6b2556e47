"""`python -m depin_desktop`: the desktop."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Opens the window; what it needs is imported here, so that `--help` of other tools never pays for Qt."""
    os.environ.setdefault("QT_API", "pyside6")
    try:
        from depin_desktop.app.main import start
    except ImportError as error:
        if error.name is None or not error.name.startswith("PySide6"):
            raise
        sys.stderr.write(
            f"The desktop needs Qt, which could not be loaded ({error}).\n"
            "Install it with `pip install PySide6-Essentials`, or use the command line: depin --help\n"
        )
        return 1
    return start()


if __name__ == "__main__":
    sys.exit(main())
