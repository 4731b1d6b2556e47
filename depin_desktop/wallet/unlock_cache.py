"""The system's own key store, as an optional convenience: it remembers the wallet's password for this login.

Whoever wants it asks for it; the vault itself never depends on it. Where there is no such store (many servers and plain
window managers), `available` is False and the password is typed each time.
"""

from __future__ import annotations

import keyring
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend
from keyring.errors import KeyringError

from depin_desktop.core.errors import UserFacingError

SERVICE = "depin-desktop"
# Stores that encrypt with the login. Anything else (no store, a null one, files in the clear) is not used.
_TRUSTED = (
    "keyring.backends.SecretService",
    "keyring.backends.libsecret",
    "keyring.backends.kwallet",
    "keyring.backends.macOS",
    "keyring.backends.Windows",
)


def available() -> bool:
    """Whether there is a store that may hold the password. Blocking: it may ask the session bus."""
    return _trusted(keyring.get_keyring())


def remember(owner: str, password: str) -> None:
    """Keeps the password of the wallet with address `owner`. Blocking.

    Raises:
        UserFacingError: there is no store, or it refuses.
    """
    backend = keyring.get_keyring()
    if not _trusted(backend):
        raise UserFacingError(
            "This system has no key store that could remember the password.",
            "Type the password when it is asked for.",
            code="no-key-store",
        )
    try:
        backend.set_password(SERVICE, owner, password)
    except KeyringError as error:
        raise UserFacingError(
            "The system's key store refused to remember the password.",
            "Unlock it, or type the password when it is asked for.",
            code="key-store-refused",
        ) from error


def recall(owner: str) -> str | None:
    """The remembered password; None when there is none or the store is locked or missing. Blocking."""
    backend = keyring.get_keyring()
    if not _trusted(backend):
        return None
    try:
        return backend.get_password(SERVICE, owner)
    except KeyringError:
        return None


def forget(owner: str) -> None:
    """Forgets the password, if it was remembered. Blocking."""
    backend = keyring.get_keyring()
    try:
        if _trusted(backend) and backend.get_password(SERVICE, owner) is not None:
            backend.delete_password(SERVICE, owner)
    except KeyringError as error:
        raise UserFacingError(
            "The system's key store did not forget the password.",
            "Unlock it and try again.",
            code="key-store-refused",
        ) from error


def _trusted(backend: KeyringBackend) -> bool:
    if isinstance(backend, ChainerBackend):  # asks several in turn, and would write to the first
        return bool(backend.backends) and all(_trusted(one) for one in backend.backends)
    return type(backend).__module__ in _TRUSTED
