"""The engine's log: a rotating file in the home, errors also on standard error."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

MAX_FILE_BYTES = 5_000_000
KEPT_FILES = 3

_NOISY = ("aiohttp.access", "web3", "nats", "asyncio", "websockets", "urllib3")


def set_up(folder: Path, *, level: int = logging.INFO) -> None:
    """Sends the process's log to `folder/engine.log`; replaces handlers that were set up before."""
    folder.mkdir(parents=True, exist_ok=True)
    form = logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    file = logging.handlers.RotatingFileHandler(
        folder / "engine.log", maxBytes=MAX_FILE_BYTES, backupCount=KEPT_FILES, encoding="utf-8", delay=True
    )
    screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(logging.ERROR)
    for handler in (file, screen):
        handler.setFormatter(form)
    root = logging.getLogger()
    root.handlers[:] = [file, screen]
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
