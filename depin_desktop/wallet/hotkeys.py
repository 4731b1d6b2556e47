"""The hot keys of this machine: the operator, which earns, and the spender, which holds a customer's budget.

They are kept in the clear (mode 0600), because the machine must use them while nobody is there to type a password. So
neither may hold more than its owner can afford to lose: the operator only gas, the spender only its budget.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from depin_desktop.chain.accounts import Account, LocalAccount
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import create_private
from depin_desktop.core.home import Home

NODE_SECRET_BYTES = 32


def operator(home: Home) -> LocalAccount:
    """The operator's account, made at the first call. Blocking."""
    return load_or_create(home.keys / "operator.key")


def spender(home: Home) -> LocalAccount:
    """The spender's account, made at the first call. Blocking."""
    return load_or_create(home.keys / "spender.key")


def load_or_create(path: Path) -> LocalAccount:
    """The account whose key (64 hex digits) is in `path`; a new one where there is no file. Blocking.

    Raises:
        UserFacingError: the file is no key. It is never replaced.
    """
    if not path.exists():
        fresh: LocalAccount = Account.create()
        with contextlib.suppress(FileExistsError):  # another process was faster: its key counts
            create_private(path, fresh.key.hex().removeprefix("0x").encode() + b"\n")
    return load(path)


def load(path: Path) -> LocalAccount:
    """The account whose key (64 hex digits) is in `path`. Blocking.

    Raises:
        UserFacingError: the file is no key.
    """
    try:
        account: LocalAccount = Account.from_key(bytes.fromhex(path.read_text("ascii").strip().removeprefix("0x")))
    except (ValueError, UnicodeDecodeError):
        # The cause could quote the file's contents, which may be most of a key.
        raise UserFacingError(
            f"{path} is not a key.", "Restore it from a backup; it is never replaced by itself.", code="bad-key-file"
        ) from None
    return account


def node_id(home: Home) -> str:
    """The node's public key as 64 hex digits; its secret (32 random bytes) is made at the first call. Blocking.

    The same as `net.identity.Identity`, which opens the endpoint; here without loading the QUIC library for it.

    Raises:
        UserFacingError: the file is no secret. It is never replaced.
    """
    path = home.keys / "node.key"
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            create_private(path, os.urandom(NODE_SECRET_BYTES))
    secret = path.read_bytes()
    if len(secret) != NODE_SECRET_BYTES:
        raise UserFacingError(
            f"{path} is not a node's key.",
            "Restore it from a backup; it is never replaced by itself.",
            code="bad-key-file",
        )
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw().hex()
