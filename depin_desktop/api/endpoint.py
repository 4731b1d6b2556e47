"""Where a running engine can be reached: a socket in its home, or loopback with a token where sockets will not do."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically
from depin_desktop.core.home import Home

SOCKET_PATH_LIMIT = 100  # bytes; the kernels' limits are 104 (macOS) and 108 (Linux)


class EngineUnreachable(UserFacingError):
    """No engine answers at this home."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"No engine is running for {home}.",
            "Start it with `depin engine`, or open the desktop app.",
            code="engine-unreachable",
            status=503,
        )


class Endpoint(BaseModel):
    """The contents of `engine.json`."""

    model_config = ConfigDict(frozen=True)

    pid: int
    version: str
    socket: str | None = None
    port: int | None = None
    token: str | None = None

    @staticmethod
    def load(home: Home) -> Endpoint:
        """Reads the running engine's endpoint.

        Raises:
            EngineUnreachable: the file is missing or not whole.
        """
        try:
            return Endpoint.model_validate_json(home.endpoint.read_text("utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise EngineUnreachable(home.root) from error

    def save(self, home: Home) -> None:
        """Writes the file so that only its owner can read it, whole or not at all."""
        write_atomically(home.endpoint, self.model_dump_json().encode(), private=True)


def socket_path(home: Home) -> Path | None:
    """The Unix socket of this home, or None where the platform or the path's length rules one out."""
    path = home.root / "engine.sock"
    usable = hasattr(socket, "AF_UNIX") and os.name == "posix" and len(os.fsencode(path)) <= SOCKET_PATH_LIMIT
    return path if usable else None
