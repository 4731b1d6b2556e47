"""Frees anvil of the call traces that it keeps of every transaction, which nobody asks a local network for.

A proof's trace holds its leaves and hashes once more for each of some 600 calls, so traces were 19 parts in 20 of all
that anvil's memory and its saved states grew by. No option turns them off. But anvil puts the transactions of a state
that it is told to load in the place of those that it has; a state of nothing but transactions changes nothing else.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

PER_CALL = 500  # transactions; some 4 kB each


def without_traces(dump: str, up_to: int) -> Iterator[str]:
    """Answers for `anvil_loadState` that take the traces from a chain whose `anvil_dumpState` this was.

    Args:
        up_to: the newest block whose transactions are touched.

    Raises:
        ValueError: the dump is written otherwise than we know.
    """
    lean: list[dict[str, Any]] = []
    for transaction in _transactions(gzip.decompress(bytes.fromhex(dump.removeprefix("0x"))).decode()):
        if transaction["info"]["traces"] and transaction["block_number"] <= up_to:
            transaction["info"]["traces"] = []
            lean.append(transaction)
        if len(lean) == PER_CALL:
            yield _state_of(lean)
            lean = []
    if lean:
        yield _state_of(lean)


def _transactions(state: str) -> Iterator[dict[str, Any]]:
    """The mined transactions of a state, one at a time: as objects all of them would take ten times its size."""
    opening = '"transactions":['
    at = state.rfind(opening)  # blocks have such lists, too; the chain's own comes last
    if at < 0:
        raise ValueError("a chain state without transactions")
    decoder, at = json.JSONDecoder(), at + len(opening)
    while state[at : at + 1] != "]":
        transaction, at = decoder.raw_decode(state, at)
        match transaction:
            case {"info": {"traces": list()}, "block_number": int()}:
                yield transaction
            case _:
                raise ValueError("a transaction of a kind that is not known")
        at += state[at : at + 1] == ","


def _state_of(transactions: list[dict[str, Any]]) -> str:
    state: dict[str, Any] = {
        "block": None,
        "accounts": {},
        "best_block_number": None,
        "blocks": [],
        "transactions": transactions,
        "historical_states": None,
    }
    return "0x" + gzip.compress(json.dumps(state).encode(), 1).hex()
