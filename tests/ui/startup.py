"""How long the app takes to a window that is on screen, and what it weighs then: `python tests/ui/startup.py` → JSON.

The clock starts right before the process is made and stops when the window's first paint has ended.
Runs the app's real `main` on a home that has no engine, without starting one; `--first-run` takes an empty home.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHILD = """
import json, os, sys, time
import depin_desktop.__main__ as entry
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication, QWidget

class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() is QEvent.Type.Paint and isinstance(watched, QWidget) and watched.window().width() > 600:
            application.removeEventFilter(self)
            QTimer.singleShot(0, self.done)
        return False

    def done(self):
        visible = time.time() - float(os.environ["BEGAN"])
        QTimer.singleShot(1500, lambda: self.weigh(visible))

    def weigh(self, visible):
        import psutil
        weight = psutil.Process().memory_info().rss
        print(json.dumps({"visible_s": round(visible, 3), "rss_mb": round(weight / 1e6, 1)}))
        sys.stdout.flush()
        os._exit(0)

application = QApplication([])
watch = Watch()
application.installEventFilter(watch)
sys.argv[1:] = ["--home", sys.argv[1], "--no-start"]
entry.main()
"""


def measure(first_run: bool = False) -> dict[str, float]:
    """One start, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if not first_run:
            (home / "wallet").mkdir()
            (home / "network.json").write_text("{}")
            (home / "wallet" / "vault.json").write_text("{}")
        environment = {"QT_QPA_PLATFORM": "offscreen"} | os.environ | {"BEGAN": repr(time.time())}
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(home)],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
            cwd=Path(__file__).parents[2],
            check=True,
        )
    answer: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


if __name__ == "__main__":
    runs = sorted((measure("--first-run" in sys.argv) for _ in range(5)), key=lambda run: run["visible_s"])
    print(json.dumps({"median": runs[2], "best": runs[0]}))
