"""PySide6 6.12.0 on Python 3.11 drops a reference to None with every void call, and aborts after some thousand."""

from __future__ import annotations

import sys

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QApplication, QLabel

CALLS = 20_000
SLACK = 500  # other threads and caches move the count a little; the bug moves it by CALLS


class _Emitter(QObject):
    told = Signal(bool)


def test_qt_calls_do_not_eat_references_to_singletons(qapp: QApplication) -> None:
    label, emitter = QLabel(), _Emitter()
    before = sys.getrefcount(None), sys.getrefcount(True)
    for _ in range(CALLS):
        label.setText("x")
        emitter.told.emit(True)
    assert sys.getrefcount(None) > before[0] - SLACK
    assert sys.getrefcount(True) > before[1] - SLACK
