"""BIP-39 words and the account that they stand for; the one place that touches eth-account's unaudited HD wallet."""

from __future__ import annotations

from eth_account.hdaccount import ETHEREUM_DEFAULT_PATH, generate_mnemonic, key_from_seed, seed_from_mnemonic
from eth_account.hdaccount.mnemonic import Mnemonic
from eth_account.types import Language

from depin_desktop.chain.accounts import Account, LocalAccount
from depin_desktop.core.errors import UserFacingError

WORDS = 12  # 128 bits
FIRST_PATH = str(ETHEREUM_DEFAULT_PATH)  # m/44'/60'/0'/0/0


def new_words() -> str:
    """Twelve fresh English words from the system's randomness."""
    return str(generate_mnemonic(WORDS, Language.ENGLISH))


def account_of(words: str, path: str = FIRST_PATH) -> LocalAccount:
    """The account of `words` (BIP-39, without a passphrase) at a BIP-44 path.

    Raises:
        UserFacingError: these are not valid words; the message does not repeat them.
    """
    normalised = " ".join(words.lower().split())
    if not Mnemonic(Language.ENGLISH).is_mnemonic_valid(normalised):
        raise UserFacingError(
            "These are not the words of a wallet.", "Check the spelling and the order of the words.", code="bad-words"
        )
    account: LocalAccount = Account.from_key(key_from_seed(seed_from_mnemonic(normalised, ""), path))
    return account


def index_path(index: int) -> str:
    """The BIP-44 path of account `index`."""
    return FIRST_PATH.rsplit("/", 1)[0] + f"/{index}"
