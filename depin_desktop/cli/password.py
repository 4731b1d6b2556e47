"""The wallet's password on the command line: from a prompt, standard input, or the system's key store."""

from __future__ import annotations

import asyncio
import sys

import click

from depin_desktop.cli import asking
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

MIN_PASSWORD_LENGTH = 8

password_option = click.option("--password-stdin", is_flag=True, help="Read the wallet's password from standard input.")


async def wallet_password(home: Home, *, from_stdin: bool) -> str:
    """The password, as the owner chose to give it; never from the arguments, which other users of a machine can read.

    Raises:
        UserFacingError: there is no wallet.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    remembered = await asyncio.to_thread(_remembered, home)
    if remembered is not None:
        return remembered
    return asking.hidden("Password")


def _remembered(home: Home) -> str | None:
    from depin_desktop.wallet import unlock_cache
    from depin_desktop.wallet.vault import Vault

    return unlock_cache.recall(Vault.load(home.vault).owner)


def new_password(*, from_stdin: bool) -> str:
    """A password chosen for a wallet, typed twice at a prompt. Blocking.

    Raises:
        UserFacingError: it is too short.
    """
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = asking.hidden("Choose a password for the wallet", twice=True)
    if len(password) < MIN_PASSWORD_LENGTH:
        raise UserFacingError(
            "The password is too short.", f"Use at least {MIN_PASSWORD_LENGTH} characters.", code="weak-password"
        )
    return password


def known_words(*, from_stdin: bool) -> str:
    """A wallet's twelve words, from a prompt that does not show them or the next line of standard input. Blocking."""
    if from_stdin:
        return sys.stdin.readline().strip()
    return asking.hidden("The twelve words")
