"""Whether two answers to the same question are the same: bit by bit, by angle, or by likelihood. Pure.

WASM is bitwise, as the provider's settings are deterministic. Embeddings of one model on different processors differ by
rounding, so their directions are compared. Greedy text of one engine build is the same text, except where two tokens
are as good as equal: batches round differently, so a divergence counts only where it was no near tie.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from depin_desktop.customer.compute.trust import Verdict

COSINE_TOLERANCE = 1e-3
LOGPROB_TOLERANCE = 0.25
"""Two tokens whose log-probabilities differ by less are a tie. Rounding moves them by some hundredths."""
PROMPT_TOLERANCE = 0.05
"""Engines may differ in how they count a prompt's frame; more than this share is over-charging."""
PROMPT_SLACK_TOKENS = 4


def same_bytes(first: bytes, second: bytes) -> Verdict:
    """WASM and other deterministic work."""
    return Verdict.RIGHT if first == second else Verdict.WRONG


# --- embeddings ------------------------------------------------------------------------------------------------------


def vectors(answer: Mapping[str, Any]) -> list[list[float]]:
    """The vectors of an OpenAI embeddings answer, in the order of their inputs, given as lists or base64.

    Raises:
        ValueError: it is no such answer.
    """
    try:
        rows = sorted(answer["data"], key=lambda row: int(row["index"]))
        return [_vector(row["embedding"]) for row in rows]
    except (KeyError, TypeError, struct.error) as error:
        raise ValueError("not an embeddings answer") from error


def _vector(said: object) -> list[float]:
    if isinstance(said, str):
        raw = base64.b64decode(said, validate=True)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    if not isinstance(said, list):
        raise TypeError("not a vector")
    return [float(number) for number in said]


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """The cosine of the angle between two vectors; 0 where one of them has no direction."""
    product = sum(left * right for left, right in zip(first, second, strict=True))
    length = math.sqrt(sum(number * number for number in first) * sum(number * number for number in second))
    return product / length if length > 0 and math.isfinite(length) else 0.0


def same_vectors(first: Mapping[str, Any], second: Mapping[str, Any], tolerance: float = COSINE_TOLERANCE) -> Verdict:
    """Two embeddings answers to one request."""
    try:
        left, right = vectors(first), vectors(second)
        if len(left) != len(right):
            return Verdict.WRONG
        alike = all(1 - cosine(one, other) <= tolerance for one, other in zip(left, right, strict=True))
    except ValueError:
        return Verdict.WRONG
    return Verdict.RIGHT if alike else Verdict.WRONG


# --- text ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Token:
    """One generated token, its log-probability, and what else came into question at its place."""

    text: str
    logprob: float
    others: Mapping[str, float]


@dataclass(frozen=True)
class Text:
    """Generated text; `tokens` where log-probabilities were asked for."""

    text: str
    finish_reason: str = ""
    tokens: tuple[Token, ...] = ()


def same_text(answer: Text, check: Text, *, greedy: bool, tolerance: float = LOGPROB_TOLERANCE) -> Verdict:
    """An answer against a check of it that was run elsewhere with log-probabilities.

    Args:
        greedy: the most likely token was to be taken each time. Sampled text that parts at a token which the check
            also thought possible proves nothing.
    """
    if answer.text == check.text:
        return Verdict.RIGHT
    if "".join(token.text for token in check.tokens) != check.text or not answer.text:
        return Verdict.UNCLEAR if answer.text else Verdict.WRONG  # no likelihoods, or none that can be located
    place = _parting(answer.text, check)
    if place is None:
        return Verdict.UNCLEAR  # the check ended first; how likely its end was is not told
    token, rest = place
    rival = max((value for text, value in token.others.items() if _could_be(text, rest)), default=None)
    if rival is None:
        return Verdict.WRONG
    if greedy and abs(token.logprob - rival) > tolerance:
        return Verdict.WRONG
    return Verdict.UNCLEAR


def _could_be(text: str, rest: str) -> bool:
    """Whether a token may be what an answer goes on with; `rest` is empty where the answer ended."""
    return rest.startswith(text) if rest and text else not rest and (not text or text.startswith("<"))


def overcounted(prompt_tokens: int, check: int) -> bool:
    """Whether a prompt was charged for as longer than it is, by another provider's count of it."""
    return prompt_tokens - check > max(PROMPT_SLACK_TOKENS, PROMPT_TOLERANCE * check)


def _parting(text: str, check: Text) -> tuple[Token, str] | None:
    """The check's first token that `text` does not have, and what `text` has from there; None if it has them all."""
    at = 0
    for token in check.tokens:
        if not text.startswith(token.text, at):
            return token, text[at:]
        at += len(token.text)
    return None


# --- a third opinion -------------------------------------------------------------------------------------------------


def break_tie(third_and_first: Verdict, third_and_second: Verdict) -> tuple[Verdict, Verdict]:
    """What a third answer makes of two that differ: whoever it agrees with is right, and the other one wrong.

    Returns:
        The verdicts on the first and on the second; both unclear where the third settles nothing.
    """
    first, second = third_and_first is Verdict.RIGHT, third_and_second is Verdict.RIGHT
    if first == second:
        return Verdict.UNCLEAR, Verdict.UNCLEAR
    return (Verdict.RIGHT, Verdict.WRONG) if first else (Verdict.WRONG, Verdict.RIGHT)
