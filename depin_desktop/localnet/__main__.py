"""The supervisor: runs one local network until it is told to stop (SIGTERM, Ctrl-C).

python -m depin_desktop.localnet --dir DIR [--period SECONDS] [--demand]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import logging.handlers
import signal
import sys
from pathlib import Path

from depin_desktop.core.errors import UserFacingError
from depin_desktop.localnet.folder import Folder
from depin_desktop.localnet.localnet import Localnet

LOG_BYTES, LOG_FILES = 1_000_000, 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m depin_desktop.localnet", description="Runs a local network.")
    parser.add_argument("--dir", type=Path, required=True, help="where the network lives")
    parser.add_argument("--period", type=int, default=60, metavar="SECONDS", help="proving period of a new network")
    parser.add_argument("--demand", action="store_true", help="also run neighbours who store and read files")
    arguments = parser.parse_args()
    _log_to(Folder(arguments.dir.absolute()).logs / "supervisor.log")
    try:
        asyncio.run(_run(Localnet(arguments.dir, arguments.period, demand=arguments.demand)))
    except UserFacingError as error:
        logging.getLogger(__name__).critical("%s", error)
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run(localnet: Localnet) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # signal.signal, because Windows' loops have no handlers of their own
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    starting = asyncio.create_task(localnet.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait([starting])
        return
    await starting
    try:
        await stopping
    finally:
        await localnet.stop()


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
