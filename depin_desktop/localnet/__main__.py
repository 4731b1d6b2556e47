"""The supervisor: runs one local network until it is told to stop (SIGTERM, Ctrl-C).

python -m depin_desktop.localnet --dir DIR [--period SECONDS] [--demand]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import logging.handlers
import sys
from pathlib import Path

from depin_desktop.core.errors import UserFacingError
from depin_desktop.localnet.folder import Folder
from depin_desktop.localnet.localnet import Localnet
from depin_desktop.localnet.signals import run_until_stopped

LOG_BYTES, LOG_FILES = 1_000_000, 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m depin_desktop.localnet", description="Runs a local network.")
    parser.add_argument("--dir", type=Path, required=True, help="where the network lives")
    parser.add_argument("--period", type=int, default=60, metavar="SECONDS", help="proving period of a new network")
    parser.add_argument("--demand", action="store_true", help="also run neighbours who store and read files")
    arguments = parser.parse_args()
    _log_to(Folder(arguments.dir.absolute()).logs / "supervisor.log")
    try:
        asyncio.run(run_until_stopped(_run(Localnet(arguments.dir, arguments.period, demand=arguments.demand))))
    except UserFacingError as error:
        logging.getLogger(__name__).critical("%s", error)
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run(localnet: Localnet) -> None:
    async with localnet:
        await asyncio.Event().wait()  # for ever: it ends by cancellation


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
