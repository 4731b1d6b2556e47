"""The receipt for one piece of work: the provider's word on what was asked, what did it, what came out and its price.

Both sides make the same hashes, so a receipt proves to anybody who holds the question and the answer that this provider
gave the one to the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from depin_desktop.api.models import Money
from depin_desktop.net.signing import Account, canonical_json, recover_json, sign_json

RECEIPT_HEADER = "Depin-Receipt"
RECEIPT_EVENT = "depin.receipt"
PAYMENT_EVENT = "x402.payment-response"
MORE_EVENT = "x402.more"
JOB_HEADER = "Depin-Job"

_PROMPT = ("messages", "prompt", "input")
_VOLATILE = ("stream", "stream_options", "user", "metadata", "store", "model", "models")
"""How an answer travels and what it is called there; the model itself is named by its hash in the receipt."""


class WorkUsage(BaseModel):
    """What a job took: tokens, WASM fuel, seconds of the worker's wall clock."""

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    fuel: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)


class WorkReceipt(BaseModel):
    """What is signed. `model` is a SHA-256 (of the module for WASM), the hashes are SHA-256 in hex, `finished_at` Unix
    seconds, `charged` base units; `customer` is the payer's address and `provider` the owner's."""

    model_config = ConfigDict(frozen=True, extra="allow")  # a newer provider may say, and sign, more

    job: str
    kind: str
    model: str
    engine: str
    parameters_hash: str
    input_hash: str
    output_hash: str
    usage: WorkUsage
    charged: Money
    customer: str
    provider: str
    finished_at: float


def sign_receipt(receipt: WorkReceipt, operator: Account) -> dict[str, Any]:
    """The receipt as JSON with the operator's personal signature over its canonical form."""
    said = receipt.model_dump(mode="json")
    return said | {"signature": sign_json(operator, said)}


def signer_of(said: Mapping[str, Any]) -> str | None:
    """Who signed a receipt's JSON: a checksummed address, or None where nobody has."""
    return recover_json({name: value for name, value in said.items() if name != "signature"}, said.get("signature"))


def sign_verdict(customer: Account, job: str, provider: str, verdict: str) -> dict[str, str]:
    """What a customer tells a provider of a check of its job: "right" or "wrong", signed by the payer's account."""
    return {"job": job, "verdict": verdict, "signature": sign_json(customer, _verdict(job, provider, verdict))}


def verdict_signer(job: str, provider: str, verdict: str, signature: object) -> str | None:
    """Who signed a verdict: a checksummed address, or None where nobody has."""
    return recover_json(_verdict(job, provider, verdict), signature)


def _verdict(job: str, provider: str, verdict: str) -> dict[str, str]:
    return {"job": job, "provider": provider, "verdict": verdict}


def text_input_hash(body: Mapping[str, Any]) -> str:
    """Of an OpenAI body: its prompt fields."""
    return _hash({name: body[name] for name in _PROMPT if name in body})


def text_parameters_hash(body: Mapping[str, Any]) -> str:
    """Of an OpenAI body: everything that shapes the answer but the prompt and the model."""
    return _hash({name: value for name, value in body.items() if name not in _PROMPT and name not in _VOLATILE})


def parameters_hash(parameters: Mapping[str, Any]) -> str:
    """Of other work: its limits as the request named them (WASM: fuel, memory, seconds; ONNX: none)."""
    return _hash(dict(parameters))


def bytes_hash(data: bytes) -> str:
    """Of standard input, of .npz inputs, and of every answer: the body's bytes as they were sent.

    A stream's output is its unnamed events before the end ("data: [DONE]"), each with its blank line.
    """
    return hashlib.sha256(data).hexdigest()


def _hash(value: object) -> str:
    return hashlib.sha256(canonical_json(json.loads(json.dumps(value)))).hexdigest()
