"""The saved states of the local chain: some rotated copies, of which the newest sound one is loaded at a start.

anvil's own periodic dump rewrites its file in place (a crash leaves it truncated) and does so every interval whether or
not a block came. So states are asked for over RPC when there is a new block, checked, and written under a new name, as
the gzip stream that anvil makes: a tenth of the size, with a checksum of the whole. anvil itself only writes one more,
`exit.json`, when it is ended politely.
"""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
import zlib
from pathlib import Path

import pydantic_core

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically

log = logging.getLogger(__name__)

KEEP = 3
_NUMBERED = re.compile(r"state-(\d+)\.json\.gz")
_DAMAGE = (OSError, EOFError, zlib.error, ValueError)
_CHUNK = 1 << 20


class ChainStates:
    """The saved states in one folder. Every method blocks on the disk: call it in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exit_file = folder / "exit.json"
        self._unpacked = folder / "loaded.json"

    @property
    def empty(self) -> bool:
        """Whether the chain has never been saved."""
        return not self._files()

    def restore(self) -> Path:
        """The newest state that is whole, as a JSON file that anvil can load.

        Raises:
            UserFacingError: every one is damaged. Nothing is deleted.
        """
        for path in self._files():
            try:
                if path == self.exit_file:
                    _check_json(path)
                    return path
                self._unpack(path)
                return self._unpacked
            except _DAMAGE as error:
                log.warning("the chain state %s is damaged (%s); taking the one before it", path.name, error)
        raise UserFacingError(
            f"Every saved state of the local chain in {self.folder} is damaged.",
            "Delete the local network's folder to begin a new network, or restore it from a backup.",
            code="chain-state-damaged",
            status=500,
        )

    def keep(self, dump: str) -> Path:
        """Writes the answer of `anvil_dumpState` (hex of gzipped JSON) as the newest state and drops the oldest.

        Raises:
            ValueError: the dump is not whole; nothing was written.
        """
        data = bytes.fromhex(dump.removeprefix("0x"))
        try:
            inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: gzip, whose checksum is verified at the end
            for start in range(0, len(data), _CHUNK):
                inflater.decompress(data[start : start + _CHUNK])
        except zlib.error as error:
            raise ValueError("anvil's dump is damaged") from error
        if not inflater.eof:
            raise ValueError("anvil's dump is cut off")
        path = self.folder / f"state-{self._highest() + 1:08d}.json.gz"
        write_atomically(path, data)
        for old in sorted(self._numbered(), reverse=True)[KEEP:]:
            old.unlink(missing_ok=True)
        return path

    def _unpack(self, path: Path) -> None:
        temporary = self._unpacked.with_suffix(".new")
        with gzip.open(path) as packed, temporary.open("wb") as plain:
            shutil.copyfileobj(packed, plain, _CHUNK)
            if plain.tell() == 0:  # an empty file is a valid gzip stream of nothing
                raise ValueError("empty")
        os.replace(temporary, self._unpacked)

    def _files(self) -> list[Path]:
        """All states, the newest first."""
        files = [path for path in (*self._numbered(), self.exit_file) if path.exists()]
        return sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)

    def _numbered(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if _NUMBERED.fullmatch(path.name)]

    def _highest(self) -> int:
        found = (_NUMBERED.fullmatch(path.name) for path in self._numbered())
        return max((int(match[1]) for match in found if match), default=0)


def _check_json(path: Path) -> None:
    state = pydantic_core.from_json(path.read_bytes())
    if not isinstance(state, dict) or "accounts" not in state:
        raise ValueError("not a chain state")
