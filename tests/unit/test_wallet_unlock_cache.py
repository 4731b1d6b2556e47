"""The optional memory for the wallet's password: used only where the system keeps it encrypted."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

from depin_desktop.core.errors import UserFacingError
from depin_desktop.wallet import unlock_cache

OWNER = "0x" + "1" * 40


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


class InMemory(KeyringBackend):
    """A store of this process, which the test declares to be one of the system's."""

    priority = 1.0  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.mark.parametrize("backend", [fail.Keyring(), null.Keyring(), InMemory()])
def test_without_a_trustworthy_store_nothing_is_remembered(backend: KeyringBackend) -> None:
    keyring.set_keyring(backend)
    assert not unlock_cache.available()
    with pytest.raises(UserFacingError) as failure:
        unlock_cache.remember(OWNER, "secret")
    assert "secret" not in str(failure.value)
    assert unlock_cache.recall(OWNER) is None
    unlock_cache.forget(OWNER)


def test_with_one_it_remembers_until_told_to_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InMemory, "__module__", "keyring.backends.SecretService")
    keyring.set_keyring(InMemory())
    assert unlock_cache.available()
    unlock_cache.remember(OWNER, "secret")
    assert unlock_cache.recall(OWNER) == "secret"
    assert unlock_cache.recall("0x" + "2" * 40) is None
    unlock_cache.forget(OWNER)
    unlock_cache.forget(OWNER)
    assert unlock_cache.recall(OWNER) is None
