"""Questions whose answers are known, to be mixed in with real work.

For WASM there are as many as one likes: a small module that hashes its input from a salt in its data, and the same sum
in Python. For models, what two providers have agreed on before is asked of others later.
"""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass

from depin_desktop.customer.compute.asks import Ask, EmbeddingAsk, TextAsk
from depin_desktop.customer.compute.hosts import CHAT, COMPLETION, EMBEDDING, WASM
from depin_desktop.customer.compute.jobs import WasmAsk

MAX_KEPT_BYTES = 8192
_SALT = b"saltsalt"
_ROUNDS = 20_000
_MASK = 2**64 - 1
# Assembled from tests/unit/canary.wat.
_MODULE = base64.b64decode(
    "AGFzbQEAAAABDAJgBH9/f38Bf2AAAAJEAhZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxB2ZkX3JlYWQAABZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxCGZk"
    "X3dyaXRlAAADAgEBBQMBAAIHEwIGbWVtb3J5AgAGX3N0YXJ0AAIKugEBtwECAX4Cf0EQKQMAIQACQANAQQBBgAg2AgBBBEGAgAQ2AgBBAEEAQQFB"
    "CBAADQFBCCgCAEUNAUEAIQEDQCAAIAExAIAIhUKzg4CAgCB+IQAgAUEBaiEBIAFBCCgCAEkNAAsMAAsLQaCcASECA0AgACAAQg2GhSEAIAAgAEIH"
    "iIUhACAAIABCEYaFIQAgAkEBayECIAINAAtBGCAANwMAQQBBGDYCAEEEQQg2AgBBAUEAQQFBCBABGgsLDgEAQRALCHNhbHRzYWx0AEYEbmFtZQEO"
    "AgAEcmVhZAEFd3JpdGUCFAECAwAEaGFzaAECYXQCBXJvdW5kAxkBAgQAA2VuZAEEbW9yZQIEYnl0ZQMDbWl4"
)


@dataclass(frozen=True)
class Canary:
    """An ask and what its `checking` form answers."""

    ask: Ask
    answer: bytes


def wasm_canary(dice: random.Random) -> Canary:
    """A WASM job with a module and an input that nobody has seen before."""
    salt, stdin = dice.randbytes(len(_SALT)), dice.randbytes(dice.randrange(1, 4096))
    return Canary(WasmAsk(_MODULE.replace(_SALT, salt), stdin, fuel=10**9, seconds=10.0), wasm_answer(salt, stdin))


def wasm_answer(salt: bytes, stdin: bytes) -> bytes:
    """What the module writes: FNV-1a over the input, begun at the salt, stirred by xorshift."""
    value = int.from_bytes(salt, "little")
    for byte in stdin:
        value = ((value ^ byte) * 0x100000001B3) & _MASK
    for _ in range(_ROUNDS):
        value ^= (value << 13) & _MASK
        value ^= value >> 7
        value ^= (value << 17) & _MASK
    return value.to_bytes(8, "little")


def keep(ask: Ask) -> str | None:
    """An ask as text, so that it can be asked again later; None where it is too long for that, or not of a model."""
    if not isinstance(ask, TextAsk | EmbeddingAsk):
        return None
    text = json.dumps({"kind": ask.kind, "body": dict(ask.body)})
    return text if len(text) <= MAX_KEPT_BYTES else None


def recall(text: str) -> Ask:
    """The ask that `keep` has kept."""
    kept = json.loads(text)
    if kept["kind"] == EMBEDDING:
        return EmbeddingAsk(kept["body"])
    return TextAsk(kept["kind"], kept["body"])


def worth_keeping(ask: Ask) -> bool:
    """Whether an agreed answer to this ask may serve as a canary: sampled text depends on more than the model."""
    if isinstance(ask, TextAsk):
        return ask.kind in (CHAT, COMPLETION) and ask.greedy and ask.comparable and keep(ask) is not None
    return ask.kind != WASM and keep(ask) is not None
