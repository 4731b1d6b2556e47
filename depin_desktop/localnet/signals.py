"""Ends a coroutine when the process is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


async def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` until it ends or SIGTERM or Ctrl-C comes; then it is cancelled and its clean-up awaited."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)

    def stop() -> None:
        if not task.cancelling():  # a second signal must not cut the clean-up short
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):  # not the loop's own handlers: Windows' loops have none
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
