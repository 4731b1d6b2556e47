"""The vault: what it gives out to whom, and what it survives."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from depin_desktop.core.errors import UserFacingError
from depin_desktop.wallet.mnemonic import account_of, new_words
from depin_desktop.wallet.vault import Cost, Vault

FAST = Cost(n=16)
PASSWORD = "correct horse battery"

relaxed = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wallet" / "vault.json"


def fresh(path: Path, password: str = PASSWORD, words: str | None = None) -> Vault:
    path.unlink(missing_ok=True)
    return Vault.create(path, password, words=words, cost=FAST)


@relaxed
@given(password=st.text(min_size=1, max_size=40))
def test_any_password_opens_what_it_closed_and_nothing_else_does(path: Path, password: str) -> None:
    made = fresh(path, password)
    loaded = Vault.load(path)
    assert loaded.owner == made.owner
    assert account_of(loaded.words(password)).address == loaded.unlock(password).address == made.owner
    with pytest.raises(UserFacingError) as failure:
        loaded.words(password + "x")
    assert failure.value.code == "wrong-password"


def test_the_same_password_typed_on_another_keyboard_opens_it(path: Path) -> None:
    assert fresh(path, "caf\u00e9 passw\u00f6rd").words("cafe\u0301 passwo\u0308rd")


def test_the_file_is_private_and_holds_no_word(path: Path) -> None:
    vault = fresh(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    text = path.read_text()
    words, key = vault.words(PASSWORD), vault.unlock(PASSWORD).key.hex()
    assert words not in text
    assert key.removeprefix("0x") not in text
    assert words not in repr(vault)
    assert PASSWORD not in text


def test_a_wallet_is_never_replaced(path: Path) -> None:
    first = fresh(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        Vault.create(path, "another", cost=FAST)
    assert path.read_bytes() == before
    assert Vault.load(path).owner == first.owner


def test_two_wallets_with_one_password_share_nothing(path: Path) -> None:
    fresh(path)
    one = json.loads(path.read_text())
    fresh(path)
    two = json.loads(path.read_text())
    assert all(one[name] != two[name] for name in ("owner", "salt", "nonce", "words"))


@relaxed
@given(data=st.data())
def test_a_changed_file_is_noticed(path: Path, data: st.DataObject) -> None:
    vault = fresh(path, words="abandon " * 11 + "about")
    content = json.loads(path.read_text())
    name = data.draw(st.sampled_from(["owner", "salt", "nonce", "words", "cost"]))
    if name == "owner":
        content["owner"] = account_of(new_words()).address
    elif name == "cost":
        content["cost"]["n"] = data.draw(st.sampled_from([32, 64, 128]))
    else:
        text = content[name]
        at = data.draw(st.integers(0, len(text) - 5))  # the last characters may hold padding
        content[name] = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    path.write_text(json.dumps(content))
    with pytest.raises(UserFacingError) as failure:
        Vault.load(path).words(PASSWORD)
    assert failure.value.code == "wrong-password"
    assert vault.words(PASSWORD)


@pytest.mark.parametrize(
    "broken",
    [b"", b"{}", b"\xff\xfe", b'{"version": 2}', b"[]"],
)
def test_a_damaged_file_is_said_so(path: Path, broken: bytes) -> None:
    fresh(path)
    path.write_bytes(broken)
    with pytest.raises(UserFacingError) as failure:
        Vault.load(path)
    assert failure.value.code == "wallet-unreadable"


@pytest.mark.parametrize(("field", "value"), [("n", 2**30), ("r", 1000), ("p", 0), ("n", 2)])
def test_a_cost_beyond_reason_is_refused_before_it_is_paid(path: Path, field: str, value: int) -> None:
    fresh(path)
    content = json.loads(path.read_text())
    content["cost"][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserFacingError):
        Vault.load(path)


def test_no_file_is_no_wallet(path: Path) -> None:
    with pytest.raises(UserFacingError) as failure:
        Vault.load(path)
    assert failure.value.code == "no-wallet"


def test_given_words_are_kept_and_count_as_backed_up(path: Path) -> None:
    words = new_words()
    vault = fresh(path, words=f" {words.upper()} ")
    assert vault.words(PASSWORD) == words
    assert vault.backed_up
    assert not fresh(path).backed_up


def test_marking_it_backed_up_needs_no_password_and_changes_nothing_else(path: Path) -> None:
    vault = fresh(path)
    words = vault.words(PASSWORD)
    vault.mark_backed_up()
    loaded = Vault.load(path)
    assert loaded.backed_up
    assert loaded.words(PASSWORD) == words


def test_a_new_password_replaces_the_old_one(path: Path) -> None:
    vault = fresh(path)
    words = vault.words(PASSWORD)
    stale = Vault.load(path)
    with pytest.raises(UserFacingError):
        vault.change_password("wrong", "new one")
    vault.change_password(PASSWORD, "new one")
    assert Vault.load(path).words("new one") == words
    with pytest.raises(UserFacingError):
        Vault.load(path).words(PASSWORD)
    stale.mark_backed_up()  # by someone who has not seen the change: it must not come back
    assert Vault.load(path).words("new one") == words


def test_by_default_it_costs_what_an_attacker_should_pay(path: Path) -> None:
    assert Cost() == Cost(n=2**17, r=8, p=1)
