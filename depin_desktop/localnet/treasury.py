"""The accounts that own a local network: made at random once per network, never the well-known development keys."""

from __future__ import annotations

import json
from pathlib import Path

from depin_desktop.chain.accounts import LocalAccount
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import create_private
from depin_desktop.wallet.mnemonic import account_of, index_path, new_words


class Treasury:
    """The deployer, who holds the first tokens, and the faucet, who gives them away."""

    def __init__(self, words: str) -> None:
        self.deployer: LocalAccount = account_of(words, index_path(0))
        self.faucet: LocalAccount = account_of(words, index_path(1))

    @staticmethod
    def load_or_create(path: Path) -> Treasury:
        """Reads the network's words, or makes them (a file of mode 0600). Blocking.

        Raises:
            UserFacingError: the file is damaged.
        """
        if not path.exists():
            create_private(path, json.dumps({"words": new_words()}).encode())
        try:
            return Treasury(json.loads(path.read_bytes())["words"])
        except (ValueError, KeyError, TypeError, UserFacingError) as error:
            raise UserFacingError(
                f"{path} is damaged, and with it the keys of the local network.",
                "Delete the local network's folder to begin a new network.",
                code="treasury-damaged",
                status=500,
            ) from error
