"""asyncio on Qt's event loop, with references kept and an end that comes.

`run` owns the loop; `Jobs` owns the coroutines that the window starts. Nothing in this room calls `exec()` from a
coroutine: dialogs are opened with `open()` and awaited through a future.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

import qasync
from PySide6.QtCore import QTimer, SignalInstance
from PySide6.QtWidgets import QApplication

from depin_desktop.app.collector import collecting_here
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.tasks import Tasks

log = logging.getLogger(__name__)

Result = TypeVar("Result")

SHUTDOWN_S = 8.0


class Jobs:
    """Background coroutines of the window: kept, named, their failures shown or logged, ended within a deadline."""

    def __init__(self, on_problem: Callable[[UserFacingError], None]) -> None:
        self._tasks = Tasks("app")
        self._on_problem = on_problem

    def spawn(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs `work`; what a person can act on is handed to `on_problem`, anything else is logged."""
        task = self._tasks.spawn(name, self._guarded(work))
        task.add_done_callback(lambda _: work.close())  # nobody has begun it where the end came first
        return task

    async def _guarded(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except UserFacingError as problem:
            self._on_problem(problem)

    async def close(self, timeout_s: float = SHUTDOWN_S) -> None:
        """Cancels everything and waits, at most `timeout_s`."""
        await self._tasks.close(timeout_s)


def run(application: QApplication, main: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    """Runs `main(quit)` until it returns; `quit` is set by Ctrl-C, SIGTERM and the session's end.

    Returns:
        what `main` returned, as an exit status.
    """
    application.setQuitOnLastWindowClosed(False)  # else Qt would stop the loop before the shutdown has run
    with collecting_here(), asyncio.Runner(loop_factory=lambda: qasync.QEventLoop(application)) as runner:
        return runner.run(_main(main))


async def _main(main: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    quitting = asyncio.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        quitting.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    # Python runs its signal handlers between bytecodes; while Qt sleeps there are none, so it wakes now and then.
    pulse = QTimer()
    pulse.timeout.connect(lambda: None)
    pulse.start(500)
    try:
        return await main(quitting)
    finally:
        pulse.stop()
        for number, handler in previous.items():
            signal.signal(number, handler)


def future_of(done: SignalInstance, *also: SignalInstance) -> asyncio.Future[Any]:
    """A future for the first emission of `done` (its first argument) or of any other signal given (None)."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def finish(value: Any = None) -> None:
        if not future.done():
            future.set_result(value)

    done.connect(finish)
    for signal_ in also:
        signal_.connect(lambda *_: finish())
    return future
