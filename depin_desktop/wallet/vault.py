"""The owner's wallet: twelve words in a file, encrypted by a password.

AES-256-GCM (NIST SP 800-38D) under a key from scrypt (RFC 7914); the public fields are authenticated with the words, so
that nobody can put another address in front of them. The address and whether the words were backed up are readable
without the password, which is needed only to spend, to stake and to see the words.
"""

from __future__ import annotations

import base64
import os
import unicodedata
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from depin_desktop.chain.accounts import LocalAccount
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import create_private, write_atomically
from depin_desktop.wallet.mnemonic import account_of, new_words

KEY_BYTES = 32
SALT_BYTES = 16
NONCE_BYTES = 12

Base64 = Annotated[
    bytes,
    BeforeValidator(lambda value: base64.b64decode(value, validate=True) if isinstance(value, str) else value),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str, when_used="json"),
]


class Cost(BaseModel):
    """scrypt's parameters; 2^17, 8, 1 take about 0.3 s and 128 MiB, the interactive cost that OWASP recommends.

    Bounded, so that a file from elsewhere can neither exhaust the memory nor be weak beyond use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=2**17, ge=2**4, le=2**18)
    r: int = Field(default=8, ge=1, le=16)
    p: int = Field(default=1, ge=1, le=16)


class _File(BaseModel):
    """The vault file. `backed_up` is outside of what is authenticated: it changes without the password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    owner: str
    backed_up: bool = False
    kdf: Literal["scrypt"] = "scrypt"
    cost: Cost
    salt: Annotated[Base64, Field(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    cipher: Literal["AES-256-GCM"] = "AES-256-GCM"
    nonce: Annotated[Base64, Field(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    words: Base64

    @property
    def public(self) -> bytes:
        """What is authenticated along with the words."""
        cost = self.cost
        return f"depin-vault|{self.version}|{self.owner}|{self.kdf}|{cost.n}|{cost.r}|{cost.p}|{self.cipher}".encode()


class Vault:
    """One wallet file. Methods that take the password are slow on purpose: call them in a thread."""

    def __init__(self, path: Path, content: _File) -> None:
        self._path = path
        self._content = content

    @staticmethod
    def create(path: Path, password: str, *, words: str | None = None, cost: Cost | None = None) -> Vault:
        """Makes a wallet from fresh words, or from given ones (which then count as backed up).

        Raises:
            FileExistsError: there is one; it is untouched. UserFacingError: the given words are not valid.
        """
        chosen = new_words() if words is None else " ".join(words.lower().split())
        owner = account_of(chosen).address
        content = _sealed(chosen, password, owner, backed_up=words is not None, cost=cost or Cost())
        create_private(path, _encoded(content))
        return Vault(path, content)

    @staticmethod
    def load(path: Path) -> Vault:
        """Reads a wallet file; no password is needed for its public part.

        Raises:
            UserFacingError: there is none, or it is damaged.
        """
        try:
            return Vault(path, _File.model_validate_json(path.read_bytes()))
        except FileNotFoundError as error:
            raise UserFacingError(
                "There is no wallet here yet.", "Run `depin init` first.", code="no-wallet", status=404
            ) from error
        except (OSError, ValidationError) as error:
            raise UserFacingError(
                f"The wallet file {path} cannot be read.",
                "Restore it from a backup, or make a new wallet from your twelve words.",
                code="wallet-unreadable",
            ) from error

    @property
    def owner(self) -> str:
        """The wallet's address, EIP-55."""
        return self._content.owner

    @property
    def backed_up(self) -> bool:
        """Whether the words have been written down, as far as we were told."""
        return self._content.backed_up

    def words(self, password: str) -> str:
        """The twelve words.

        Raises:
            UserFacingError: the password is wrong, or the file was tampered with.
        """
        content = self._content
        key = _key(password, content.salt, content.cost)
        try:
            return AESGCM(key).decrypt(content.nonce, content.words, content.public).decode()
        except InvalidTag:
            raise UserFacingError(
                "The password is wrong.",
                "Try again, or make the wallet anew from its twelve words.",
                code="wrong-password",
                status=403,
            ) from None

    def unlock(self, password: str) -> LocalAccount:
        """The owner's account, able to sign. Keep it only as long as it is needed.

        Raises:
            UserFacingError: the password is wrong.
        """
        return account_of(self.words(password))

    def mark_backed_up(self) -> None:
        """Remembers that the words have been written down."""
        newest = Vault.load(self._path)._content  # the password may have been changed by another process
        self._replace(newest.model_copy(update={"backed_up": True}))

    def change_password(self, old: str, new: str) -> None:
        """Encrypts the words anew, at today's cost.

        Raises:
            UserFacingError: the old password is wrong; nothing has changed.
        """
        words = self.words(old)
        self._replace(_sealed(words, new, self.owner, backed_up=self.backed_up, cost=Cost()))

    def _replace(self, content: _File) -> None:
        write_atomically(self._path, _encoded(content), private=True)
        self._content = content

    def __repr__(self) -> str:
        return f"Vault({self.owner})"


def _sealed(words: str, password: str, owner: str, *, backed_up: bool, cost: Cost) -> _File:
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    blank = _File(owner=owner, backed_up=backed_up, cost=cost, salt=salt, nonce=nonce, words=b"")
    sealed = AESGCM(_key(password, salt, cost)).encrypt(nonce, words.encode(), blank.public)
    return blank.model_copy(update={"words": sealed})


def _encoded(content: _File) -> bytes:
    return content.model_dump_json(indent=1).encode() + b"\n"


def _key(password: str, salt: bytes, cost: Cost) -> bytes:
    kdf = Scrypt(salt=salt, length=KEY_BYTES, n=cost.n, r=cost.r, p=cost.p)
    # Keyboards differ in how they compose accents: the same password must give the same bytes everywhere.
    return kdf.derive(unicodedata.normalize("NFKC", password).encode())
