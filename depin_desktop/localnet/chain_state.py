"""The saved states of the local chain: some rotated copies, of which the newest sound one is loaded at a start.

anvil's own periodic dump rewrites its file in place (a crash leaves it truncated) and does so every interval whether or
not a block came. So states are asked for over RPC when there is a new block, checked, and written under a new name;
anvil itself only writes one more, `exit.json`, when it is ended politely.
"""

from __future__ import annotations

import gzip
import logging
import re
from pathlib import Path

import pydantic_core

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically

log = logging.getLogger(__name__)

KEEP = 3
_NUMBERED = re.compile(r"state-(\d+)\.json")


class ChainStates:
    """The saved states in one folder. Every method blocks on the disk: call it in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exit_file = folder / "exit.json"

    def newest_sound(self) -> Path | None:
        """The newest state that is whole; None for a chain that has none yet.

        Raises:
            UserFacingError: there are states, but every one is damaged.
        """
        candidates = self._files()
        for path in candidates:
            if _is_state(path.read_bytes()):
                return path
            log.warning("the chain state %s is damaged; taking the one before it", path.name)
        if candidates:
            raise UserFacingError(
                f"Every saved state of the local chain in {self.folder} is damaged.",
                "Delete the local network's folder to begin a new network, or restore it from a backup.",
                code="chain-state-damaged",
                status=500,
            )
        return None

    def keep(self, dump: str) -> Path:
        """Writes the answer of `anvil_dumpState` (hex of gzipped JSON) as the newest state and drops the oldest.

        Raises:
            ValueError: the dump is not a state; nothing was written.
        """
        data = gzip.decompress(bytes.fromhex(dump.removeprefix("0x")))
        if not _is_state(data):
            raise ValueError("anvil's dump is not a chain state")
        path = self.folder / f"state-{self._highest() + 1:08d}.json"
        write_atomically(path, data)
        for old in sorted(self._numbered(), reverse=True)[KEEP:]:
            old.unlink(missing_ok=True)
        return path

    def _files(self) -> list[Path]:
        files = [path for path in (*self._numbered(), self.exit_file) if path.exists()]
        return sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)

    def _numbered(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if _NUMBERED.fullmatch(path.name)]

    def _highest(self) -> int:
        found = (_NUMBERED.fullmatch(path.name) for path in self._numbered())
        return max((int(match[1]) for match in found if match), default=0)


def _is_state(data: bytes) -> bool:
    try:
        state = pydantic_core.from_json(data)
    except ValueError:
        return False
    return isinstance(state, dict) and {"accounts", "best_block_number", "blocks"} <= state.keys()
