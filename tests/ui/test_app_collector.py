"""Garbage is collected on Qt's thread only: a Qt object freed elsewhere would crash the loop."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

from PySide6.QtWidgets import QApplication

from depin_desktop.app.collector import collect_due, collecting_here

FREED_ELSEWHERE = """
import threading
from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication
from depin_desktop.app.collector import collecting_here

class Ticking(QObject):
    def __init__(self):
        super().__init__()
        self.itself = self
        self.startTimer(1)

def allocate():
    for _ in range(50):
        kept = [[] for _ in range(5000)]

app = QApplication([])
with collecting_here() as timer:
    timer.setInterval(20)
    for _ in range(300):
        Ticking()
    thread = threading.Thread(target=allocate)
    thread.start()
    thread.join()
    QTimer.singleShot(200, app.quit)
    app.exec()
print("alive")
"""


def test_qt_objects_in_cycles_survive_threads_that_allocate() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FREED_ELSEWHERE], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout == "alive\n"
    assert "another thread" not in run.stderr
    assert run.returncode == 0


def test_other_threads_do_not_collect(qapp: QApplication) -> None:
    collected_in: list[int] = []
    note = lambda phase, _info: collected_in.append(threading.get_ident())  # noqa: E731
    gc.callbacks.append(note)
    try:
        with collecting_here():
            collected_in.clear()
            thread = threading.Thread(target=lambda: [[[]] for _ in range(20_000)])
            thread.start()
            thread.join()
            assert collected_in == []
            held = [[[]] for _ in range(2_000)]
            assert collect_due() is not None
            del held
            assert set(collected_in) == {threading.get_ident()}
    finally:
        gc.callbacks.remove(note)


def test_python_collects_again_afterwards(qapp: QApplication) -> None:
    before = gc.isenabled()
    gc.enable()
    with collecting_here():
        assert not gc.isenabled()
    assert gc.isenabled()
    if not before:
        gc.disable()
