"""The gateway's port and key, the same at every start, so that other programs need to be told only once."""

from __future__ import annotations

import contextlib
import secrets
import socket

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import create_private
from depin_desktop.core.home import Home

FIRST_PORT = 8402


class Kept(BaseModel):
    """What a home's gateway listens on and asks for."""

    model_config = ConfigDict(frozen=True)

    port: int
    key: str


def kept(home: Home) -> Kept:
    """This home's port and key, chosen at the first call. Blocking.

    Raises:
        UserFacingError: the file that holds them is damaged.
    """
    path = home.keys / "gateway.json"
    if not path.exists():
        fresh = Kept(port=_free_port(), key=f"depin-{secrets.token_urlsafe(24)}")
        with contextlib.suppress(FileExistsError):  # another process was faster
            create_private(path, fresh.model_dump_json().encode() + b"\n")
    try:
        return Kept.model_validate_json(path.read_bytes())
    except ValidationError:
        raise UserFacingError(
            f"{path} is damaged.", "Delete it; a new port and key are chosen then.", code="bad-key-file"
        ) from None


def _free_port() -> int:
    for port in (FIRST_PORT, 0):
        with contextlib.suppress(OSError), socket.socket() as trying:
            trying.bind(("127.0.0.1", port))
            return int(trying.getsockname()[1])
    return FIRST_PORT
