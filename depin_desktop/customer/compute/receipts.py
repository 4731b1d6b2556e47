"""Whether a provider's receipt says what this customer saw: pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from pydantic import ValidationError

from depin_desktop.customer.compute.asks import Ask, Request
from depin_desktop.customer.compute.hosts import Host
from depin_desktop.net.work_receipts import WorkReceipt, WorkUsage, signer_of

MAX_RECEIPT_BYTES = 16_384


class WrongReceipt(Exception):
    """A receipt that does not hold; the argument says why, as the end of a sentence about its provider."""


@dataclass(frozen=True)
class Seen:
    """What this side knows of one answer.

    Attributes:
        answer: the bytes that came, of a stream its unnamed events; `output_hash` is theirs.
        charged: base units according to the payment's own receipt; None where there was none.
    """

    ask: Ask
    host: Host
    request: Request
    customer: str
    answer: bytes
    output_hash: str
    charged: int | None


def read_receipt(text: bytes, seen: Seen) -> WorkReceipt:
    """The receipt, checked against what was seen.

    Raises:
        WrongReceipt: it is none, somebody else signed it, or it says something else.
    """
    if len(text) > MAX_RECEIPT_BYTES:
        raise WrongReceipt("sent a receipt without end")
    try:
        said = json.loads(text)
        receipt = WorkReceipt.model_validate(said)
        signer = signer_of(said)
    except (ValueError, ValidationError, AttributeError, RecursionError) as error:
        raise WrongReceipt("sent no receipt that can be read") from error
    if signer is None or signer.lower() != seen.host.node.operator.lower():
        raise WrongReceipt("did not sign its receipt")
    seen = replace(seen, host=answering(receipt, seen.host))
    for wrong, what in _CHECKS:
        if wrong(receipt, seen):
            raise WrongReceipt(what)
    return receipt


def answering(receipt: WorkReceipt, host: Host) -> Host:
    """The host by which an answer came, according to its receipt: the one asked, or one that may stand in for it."""
    named = (receipt.model, receipt.engine)
    found = next((model for model in host.stand_ins if (model.sha256, model.engine) == named), None)
    return replace(host, model=found or host.model, stand_ins=())


def _model(seen: Seen) -> str:
    return seen.host.model.sha256 if seen.host.model is not None else seen.ask.model


_CHECKS: tuple[tuple[Callable[[WorkReceipt, Seen], bool], str], ...] = (
    (lambda it, seen: it.provider != seen.host.owner, "signed for somebody else"),
    (lambda it, seen: it.customer != seen.customer, "signed a receipt of somebody else"),
    (lambda it, seen: it.kind != seen.ask.kind, "signed for other work"),
    (lambda it, seen: it.model != _model(seen), "used another model than it offered"),
    (lambda it, seen: it.engine != seen.host.key.engine, "used another engine than it offered"),
    (lambda it, seen: it.input_hash != seen.request.input_hash, "signed for another question"),
    (lambda it, seen: it.parameters_hash != seen.request.parameters_hash, "signed for other parameters"),
    (lambda it, seen: it.output_hash != seen.output_hash, "signed for another answer than it gave"),
    (lambda it, seen: seen.charged is not None and it.charged != seen.charged, "charged something else than it signed"),
    (lambda it, seen: it.charged > seen.ask.cost(seen.host, it.usage), "charged more than its offer says"),
    (lambda it, seen: not seen.ask.plausible(it.usage, seen.answer), "charged for more than it can have done"),
)


def rate_of(kind_is_text: bool, usage: WorkUsage, seconds: float) -> float:
    """Tokens a second of one answer; of other work answers a second."""
    tokens = (usage.completion_tokens or usage.prompt_tokens) if kind_is_text else 1
    return max(1, tokens) / max(seconds, 1e-6)
