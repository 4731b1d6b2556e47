"""What work a neighbour has done next: pure decisions, and how it knows that a job was done well."""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

# Assembled from tests/unit/primes.wat.
PRIMES = base64.b64decode(
    "AGFzbQEAAAABDAJgBH9/f38Bf2AAAAJEAhZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxB2ZkX3JlYWQAABZ3YXNpX3NuYXBzaG90X3ByZXZpZXcx"
    "CGZkX3dyaXRlAAADAgEBBQMBAAEHEwIGbWVtb3J5AgAGX3N0YXJ0AAIK9gEB8wEBB39BAEHAADYCAEEEQSA2AgBBAEEAQQFBCBAAGkHAACEA"
    "QcAAQQgoAgBqIQECQANAIAAgAU8NASAALQAAQTBrIQIgAkEJSw0BIANBCmwgAmohAyAAQQFqIQAMAAsLQQIhBQJAA0AgBSADTw0BQQIhBgJA"
    "AkADQCAGIAZsIAVLDQEgBSAGcEUNAiAGQQFqIQYMAAsLIARBAWohBAsgBUEBaiEFDAALC0GfASEAIABBCjoAAANAIABBAWshACAAQTAgBEEK"
    "cGo6AAAgBEEKbiEEIAQNAAtBACAANgIAQQRBoAEgAGs2AgBBAUEAQQFBCBABGgsAjwEEbmFtZQEOAgAEcmVhZAEFd3JpdGUCMQECBwACYXQB"
    "A2VuZAIFZGlnaXQDBWxpbWl0BAVjb3VudAUGbnVtYmVyBgZmYWN0b3IDRQECCAAGcGFyc2VkAQVwYXJzZQIHY291bnRlZAMEbmV4dAQJY29t"
    "cG9zaXRlBQVwcmltZQYDdHJ5Bwt3cml0ZV9kaWdpdA=="
)
FEWEST, MOST = 10_000, 200_000
FUEL, SECONDS, MEMORY = 2 * 10**9, 10.0, 16 << 20
SHORTEST_REPLY, LONGEST_REPLY = 16, 96

_THINGS = ("a river", "a violin", "the moon", "bread", "a lighthouse", "a bee", "an old map", "thunder", "a bicycle")
_QUESTIONS = (
    "Explain {} to a child in two sentences.",
    "Write a short story about {}.",
    "What would be different without {}?",
    "List three facts about {}.",
    "Write a note to a friend who has never seen {}.",
)
_SENTENCES = ("I have lost {}.", "{} was here before us.", "Is {} for sale?", "We dreamt of {} last night.")


class Work(Enum):
    """The value names the kind in offers."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    WASM = "wasm"


@dataclass(frozen=True)
class Errand:
    """One piece of work to be bought.

    Attributes:
        text: the question.
        texts: to be embedded.
        below: how far primes are counted.
        options: of the question, in OpenAI's words.
    """

    work: Work
    text: str = ""
    texts: tuple[str, ...] = ()
    below: int = 0
    options: dict[str, Any] = field(default_factory=dict)


def decide_errand(kinds: Collection[str], dice: random.Random) -> Errand | None:
    """Something of what is offered; None where that is nothing that neighbours need."""
    wanted = [work for work in Work if work.value in kinds]
    if not wanted:
        return None
    work = dice.choice(wanted)
    if work is Work.CHAT:
        # Most want the likeliest words: such answers can be compared with those of others.
        temperature = 0 if dice.random() < 0.7 else round(dice.uniform(0.2, 1.0), 1)
        options = {"max_tokens": dice.randint(SHORTEST_REPLY, LONGEST_REPLY), "temperature": temperature}
        return Errand(work, text=dice.choice(_QUESTIONS).format(dice.choice(_THINGS)), options=options)
    if work is Work.EMBEDDING:
        many = dice.randint(1, 8)
        return Errand(
            work, texts=tuple(dice.choice(_SENTENCES).format(dice.choice(_THINGS)).capitalize() for _ in range(many))
        )
    return Errand(work, below=dice.randint(FEWEST, MOST))


def primes_below(limit: int) -> int:
    """How many there are, by Eratosthenes' sieve."""
    if limit <= 2:
        return 0
    sieve = bytearray([1]) * limit
    sieve[:2] = b"\0\0"
    for number in range(2, math.isqrt(limit - 1) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return sum(sieve)
