"""A contract's refusal, decoded to its named error and put into a plain sentence."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from typing import Any

from eth_abi.exceptions import DecodingError

from depin_desktop.chain.abi import Function, Interface, interface
from depin_desktop.chain.contracts import INTERFACES
from depin_desktop.chain.refusals import SENTENCES
from depin_desktop.chain.rpc import RpcError
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens

_ERROR = bytes.fromhex("08c379a0")  # Error(string)
_PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)
_PANICS = {
    0x01: "an assertion failed",
    0x11: "an amount is out of range",
    0x12: "a division by zero",
    0x32: "an index is out of range",
}
_HEX = re.compile(r"0x[0-9a-fA-F]{8,}")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Reverted(UserFacingError):
    """A contract refused; `name` and `values` are its error as Solidity declares it, argument names in snake case.

    Attributes:
        name: such as "WrongFirstPiece"; "Error", "Panic" or "Unknown" where the contract named none of ours.
        values: the error's arguments; addresses in EIP-55, bytes as bytes.
        data: the revert data as the node gave it.
        tx: the transaction's hash when it was mined and failed; None when it was refused before it cost anything.
    """

    def __init__(self, name: str, values: dict[str, Any], message: str, remedy: str = "") -> None:
        super().__init__(message, remedy, code=f"reverted-{_CAMEL.sub('-', name).lower()}", status=409)
        self.name = name
        self.values = values
        self.tx: bytes | None = None
        self.data = b""


def decode_revert(data: bytes) -> Reverted:
    """The refusal that a contract's revert data stands for; never raises, whatever the bytes are."""
    reverted = _decoded(data)
    reverted.data = data
    return reverted


def _decoded(data: bytes) -> Reverted:
    selector, rest = data[:4], data[4:]
    try:
        if selector == _ERROR:
            reason = _text().decode_arguments(rest)["value0"]
            return Reverted("Error", {"reason": reason}, f"The contract refused: {_plain(reason)}.")
        if selector == _PANIC:
            code = int.from_bytes(rest[:32], "big")
            return Reverted("Panic", {"code": code}, f"The contract stopped: {_PANICS.get(code, f'panic {code}')}.")
        if (error := _errors().get(selector)) is not None:
            return _named(error, error.decode_arguments(rest))
    except (DecodingError, ValueError, OverflowError):
        pass  # garbage that happens to begin like an error of ours
    shown = "" if not data else f" (0x{data[:4].hex()})"
    return Reverted("Unknown", {"data": data}, f"The contract refused without a reason that we know{shown}.")


def revert_of(error: RpcError) -> Reverted | None:
    """The refusal inside a node's error, or None when the node complains about something else.

    Nodes disagree on where the data lies: as the error's data, nested in it, or at the end of the message.
    """
    data = _revert_data(error.data)
    if data is None and "revert" in error.message.lower() and (match := _HEX.search(error.message)):
        data = bytes.fromhex(match.group(0)[2:]) if len(match.group(0)) % 2 == 0 else None
    if data is not None:
        return decode_revert(data)
    if error.code == 3 or "execution reverted" in error.message.lower():
        return decode_revert(b"")
    return None


def _revert_data(data: Any) -> bytes | None:
    if isinstance(data, dict):
        return next((found for value in data.values() if (found := _revert_data(value)) is not None), None)
    if not isinstance(data, str):
        return None
    text = data.removeprefix("Reverted ")
    if not text.startswith("0x"):
        return None
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        return None


def _named(error: Function, values: dict[str, Any]) -> Reverted:
    sentence, remedy = SENTENCES.get(error.name, (f"The contract refused: {_plain(error.name)}.", ""))
    plain = _NOT_TOKENS.get(error.name, frozenset())
    shown = {name: _shown("" if name in plain else name, value) for name, value in values.items()}
    return Reverted(error.name, values, sentence.format(**shown), remedy.format(**shown))


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bytes):
        return f"0x{value.hex()[:8]}…"
    if isinstance(value, str) and value.startswith("0x"):
        return f"{value[:8]}…{value[-4:]}"
    if name in _AMOUNTS and isinstance(value, int):
        return format_tokens(value)
    if name in _TIMES and isinstance(value, int):
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC" if value < _FAR else "never"
    return _plain(str(value))


_AMOUNTS = frozenset(
    {
        *("stake", "minimum", "balance", "needed", "allowance", "amount", "available", "asked", "total", "signed"),
        *("cap", "expected", "received"),
    }
)
_NOT_TOKENS = {
    "WrongFirstPiece": frozenset({"expected"}),
}
_TIMES = frozenset({"thaw_ends", "expires", "opens_at", "deadline", "valid_after", "valid_before", "ready_at"})
_FAR = 2**36  # a time beyond it means never


def _plain(text: str) -> str:
    """Text from outside, made harmless for one line on a screen."""
    return " ".join(_CAMEL.sub(" ", "".join(c if c.isprintable() else " " for c in text)).split())[:200]


@functools.cache
def _errors() -> dict[bytes, Function]:
    found: dict[bytes, Function] = {}
    for name in INTERFACES:
        found.update(interface(name).errors)
    return found


@functools.cache
def _text() -> Function:
    declared = Interface([{"type": "error", "name": "Error", "inputs": [{"name": "", "type": "string"}]}])
    return declared.errors[_ERROR]
