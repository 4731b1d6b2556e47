"""Accounts without the import of what key files need: the same accounts, and key files still work."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from depin_desktop.chain.accounts import Account
heavy = {"py_ecc", "eth_keyfile"} & set(sys.modules)
assert not heavy, heavy
account = Account.from_key(bytes(31) + b"\\x07")
signed = account.sign_transaction({
    "type": 2, "chainId": 1, "nonce": 0, "to": account.address, "value": 1, "gas": 21000,
    "maxFeePerGas": 1, "maxPriorityFeePerGas": 1,
})
kept = account.encrypt("secret", kdf="pbkdf2", iterations=2)
assert Account.decrypt(kept, "secret") == account.key
import eth_keyfile
assert eth_keyfile.__file__, "whoever imports it now has the real one"
print(account.address, signed.raw_transaction.hex())
"""
PLAIN = PROGRAM.replace("from depin_desktop.chain.accounts import Account", "from eth_account import Account").replace(
    "assert not heavy", "assert heavy"
)


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_accounts_are_the_same_and_key_files_are_read_when_they_are_needed() -> None:
    assert run(PROGRAM) == run(PLAIN)


def test_the_engine_starts_without_what_key_files_need() -> None:
    assert run("import sys, depin_desktop.engine.main; print('py_ecc' in sys.modules)") == "False\n"
