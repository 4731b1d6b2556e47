"""What travels between bindings, sender and indexer: calls to be sent, decoded logs, receipts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """A state change that nobody has sent yet.

    Attributes:
        to: the contract, EIP-55; None creates a contract.
        data: selector and encoded arguments.
        name: what it is, for people and logs, such as "deals.prove".
        value: native coin sent along, in wei.
    """

    to: str | None
    data: bytes = field(repr=False)
    name: str
    value: int = 0


@dataclass(frozen=True)
class LogEvent:
    """One decoded log of our contracts, and the block that said it.

    Attributes:
        name: the event's name in Solidity, such as "Proven".
        contract: which of our contracts: "token", "registry", "settlement" or "deals", as in `Addresses`.
        args: arguments by name in snake case; addresses in EIP-55, bytes as bytes, numbers as int, structs as tuples.
        block_time: Unix seconds; 0 in a receipt, where nobody asked for it.
        removed: true when a reorganisation of the chain took the log back.
    """

    name: str
    contract: str
    args: dict[str, Any]
    block: int
    block_hash: bytes
    block_time: int
    tx: bytes
    log_index: int
    removed: bool = False


@dataclass(frozen=True)
class Receipt:
    """A mined transaction that succeeded.

    Attributes:
        fee: what it cost in wei: gas used times the effective price, plus a roll-up's fee for data where there is one.
    """

    tx: bytes
    block: int
    block_hash: bytes
    gas_used: int
    fee: int
    events: tuple[LogEvent, ...]
    created: str | None = None  # the address of a contract that it created

    def event(self, name: str) -> LogEvent:
        """The first event of that name; LookupError when there is none."""
        for event in self.events:
            if event.name == name:
                return event
        raise LookupError(f"the transaction emitted no {name}")


@dataclass(frozen=True)
class Block:
    """A block's header, as far as we need it; `time` in Unix seconds."""

    number: int
    hash: bytes
    parent: bytes
    time: int
    base_fee: int | None
