"""BIP-39 words and the account that they stand for, against published vectors and a derivation of our own."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from coincurve import PrivateKey
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from depin_desktop.core.errors import UserFacingError
from depin_desktop.wallet.mnemonic import account_of, index_path, new_words

ABANDON = "abandon " * 11 + "about"
HARDENED = 1 << 31


# The words are those of the published BIP-39 vectors (128 bits); the addresses are what wallets show for them at
# m/44'/60'/0'/0/i without a passphrase.
@pytest.mark.parametrize(
    ("words", "index", "address"),
    [
        (ABANDON, 0, "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"),
        (ABANDON, 1, "0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0"),
        (
            "legal winner thank year wave sausage worth useful legal winner thank yellow",
            0,
            "0x58A57ed9d8d624cBD12e2C467D34787555bB1b25",
        ),
        (
            "test test test test test test test test test test test junk",
            0,
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        ),
        (
            "test test test test test test test test test test test junk",
            1,
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        ),
    ],
)
def test_published_words_give_published_addresses(words: str, index: int, address: str) -> None:
    assert account_of(words, index_path(index)).address == address


@settings(max_examples=20, deadline=None)
@given(st.builds(new_words))
def test_the_derivation_is_bip32_over_pbkdf2(words: str) -> None:
    assert account_of(words).key == _derive(words, [44 + HARDENED, 60 + HARDENED, HARDENED, 0, 0])


def _derive(words: str, path: list[int]) -> bytes:
    """BIP-39 and BIP-32, written down once more."""
    seed = hashlib.pbkdf2_hmac("sha512", words.encode(), b"mnemonic", 2048)
    node = hmac.digest(b"Bitcoin seed", seed, "sha512")
    for index in path:
        key, chain_code = PrivateKey(node[:32]), node[32:]
        start = b"\0" + key.secret if index >= HARDENED else key.public_key.format()
        node = hmac.digest(chain_code, start + index.to_bytes(4, "big"), "sha512")
        node = key.add(node[:32]).secret + node[32:]
    return node[:32]


def test_fresh_words_are_twelve_and_never_the_same() -> None:
    made = {new_words() for _ in range(20)}
    assert len(made) == 20
    assert {len(words.split()) for words in made} == {12}


def test_case_and_spaces_do_not_matter() -> None:
    assert account_of("  " + ABANDON.upper().replace(" ", "   ") + "\n").address == account_of(ABANDON).address


@pytest.mark.parametrize("wrong", ["", "abandon", "abandon " * 12, "foo " * 12, ABANDON.replace("about", "abouts")])
def test_other_words_are_refused_without_repeating_them(wrong: str) -> None:
    with pytest.raises(UserFacingError) as failure:
        account_of(wrong)
    assert failure.value.code == "bad-words"
    assert not wrong or wrong.strip() not in str(failure.value)
    assert failure.value.__cause__ is None


def test_the_key_really_signs_for_the_address() -> None:
    account = account_of(ABANDON)
    assert Account.from_key(account.key).address == account.address
