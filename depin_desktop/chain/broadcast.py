"""Handing signed transactions to the node, and understanding its answer."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from depin_desktop.chain.rpc import Rpc, RpcError


class Answer(Enum):
    """What became of a broadcast."""

    TAKEN = "taken"  # by the pool now, or known to it already
    NONCE_USED = "nonce used"  # something with this nonce is mined: perhaps this very transaction
    NONCE_CONTESTED = "nonce contested"  # something else with this nonce waits in the pool
    FEE_TOO_LOW = "fee too low"
    NO_FUNDS = "no funds"
    REFUSED = "refused"  # for good: no node takes such a transaction
    UNCLEAR = "unclear"  # a gateway's time-out, a full pool: it may have been taken, or be taken later


# Nodes have no common codes for these; the phrases are those of geth, reth, anvil, erigon, nethermind and besu.
_PHRASES = (
    (Answer.TAKEN, ("already known", "already imported", "known transaction", "already in mempool", "alreadyknown")),
    (Answer.NONCE_USED, ("nonce too low", "nonce is too low", "nonce has already been used", "old nonce")),
    (Answer.NONCE_CONTESTED, ("replacement", "too low to replace", "another transaction with same nonce")),
    (Answer.NO_FUNDS, ("insufficient funds", "insufficient balance", "insufficientfunds", "upfront cost")),
    (Answer.FEE_TOO_LOW, ("underpriced", "fee too low", "less than block base fee", "feetoolow", "gas price below")),
    (
        Answer.REFUSED,
        (
            *(
                "intrinsic gas",
                "block gas limit",
                "gas limit too high",
                "gas limit reached",
                "exceeds the configured cap",
            ),
            *("oversized", "max initcode", "invalid sender", "invalid chain id", "transaction type not supported"),
            *("tip above", "priority fee per gas higher", "floor data gas"),
        ),
    ),
)


def classify(error: RpcError) -> Answer:
    """The meaning of a node's refusal to take a transaction."""
    message = error.message.lower()
    for answer, phrases in _PHRASES:
        if any(phrase in message for phrase in phrases):
            return answer
    return Answer.UNCLEAR


async def broadcast(rpc: Rpc, raw: Sequence[bytes]) -> list[tuple[Answer, str]]:
    """Broadcasts in the given order; each one's answer and the node's words.

    Raises:
        Unreachable: nobody knows whether they were taken.
    """
    answers = await rpc.batch([("eth_sendRawTransaction", ("0x" + one.hex(),)) for one in raw])
    return [
        (classify(answer), answer.message) if isinstance(answer, RpcError) else (Answer.TAKEN, "") for answer in answers
    ]
