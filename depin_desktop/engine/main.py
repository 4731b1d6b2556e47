"""Runs the engine in the foreground: one per home, signals, and a shutdown with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable

from filelock import FileLock, Timeout

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.engine import logs
from depin_desktop.engine.engine import Engine

log = logging.getLogger(__name__)

SHUTDOWN_DEADLINE_S = 15.0


def run(home: Home) -> None:
    """Runs until SIGINT, SIGTERM or a request of the API.

    Raises:
        UserFacingError: the home is not initialised, or another engine runs on it.
    """
    if not home.initialised:
        raise UserFacingError(
            f"{home.root} has no wallet yet.", "Run `depin init --network FILE` first.", code="not-initialised"
        )
    lock = FileLock(home.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserFacingError(
            f"Another engine is already running on {home.root}.",
            "Use that one, or give this one a home of its own with --home.",
            code="already-running",
        ) from error
    with lock:
        logs.set_up(home.logs)
        with asyncio.Runner() as runner:
            runner.run(_serve(home))


async def _serve(home: Home) -> None:
    engine = Engine(home)
    stop = asyncio.Event()
    _on_signals(stop.set)
    try:
        await engine.start(stop.set)
        await stop.wait()
    finally:
        try:
            await asyncio.wait_for(engine.stop(), SHUTDOWN_DEADLINE_S)
        except TimeoutError:
            # Everything acknowledged is on disk already; a hung disk or peer must not keep the process alive.
            log.error("shutdown took longer than %.0f s, leaving at once", SHUTDOWN_DEADLINE_S)  # noqa: TRY400
            logging.shutdown()
            os._exit(1)


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows' loop has none; the interpreter's own handlers serve there
            with contextlib.suppress(ValueError):
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    if sys.platform != "win32":
        # A closed terminal must not end the earning; the launcher's SIGTERM does.
        loop.add_signal_handler(signal.SIGHUP, lambda: log.info("the terminal was closed"))
