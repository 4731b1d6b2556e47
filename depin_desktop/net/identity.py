"""Who this node is: a 32-byte ed25519 secret in a file of its own; the public half is the node's address."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import iroh

from depin_desktop.core.errors import UserFacingError

SECRET_BYTES = 32


@dataclass(frozen=True)
class Identity:
    """A node's key pair. `node_id` is the public key as 64 hex digits; the secret never appears in `repr`."""

    secret: bytes = field(repr=False)
    node_id: str

    @staticmethod
    def from_secret(secret: bytes) -> Identity:
        """The identity of a 32-byte ed25519 seed."""
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a node secret has {SECRET_BYTES} bytes")
        return Identity(secret, iroh.SecretKey.from_bytes(secret).public().to_bytes().hex())

    @staticmethod
    def generate() -> Identity:
        """A new identity that no file keeps."""
        return Identity.from_secret(os.urandom(SECRET_BYTES))

    @staticmethod
    def load_or_create(path: Path) -> Identity:
        """Reads the secret at `path`, or makes one there that only this user may read.

        Raises:
            UserFacingError: the file is damaged, unreadable, or cannot be written.
        """
        try:
            if not path.exists():
                _write_new(path, os.urandom(SECRET_BYTES))
            secret = path.read_bytes()
        except OSError as error:
            raise UserFacingError(
                f"The node key {path} cannot be used ({error.strerror or error}).",
                "Check that the folder exists, is yours and is writable.",
                code="node-key-unusable",
                status=500,
            ) from error
        if len(secret) != SECRET_BYTES:
            raise UserFacingError(
                f"The node key {path} is damaged: it has {len(secret)} bytes instead of {SECRET_BYTES}.",
                "Put back a copy of it, or delete it to get a new node identity (and register that one).",
                code="node-key-damaged",
                status=500,
            )
        return Identity.from_secret(secret)


def _write_new(path: Path, secret: bytes) -> None:
    """Writes beside `path` and renames into place, so that a crash never leaves half a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
