"""What metered work may cost at most and what it costs in the end, counted the same by both sides.

A voucher covers the ceiling before work begins and only the use is charged. A customer that counts the ceiling as the
provider does signs it with the first request and saves the round trip of an unpaid one. Prices are base units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from depin_desktop.net.signing import canonical_json

SLICE_TOKENS = 512
"""A stream is paid so many output tokens ahead; who stops paying is stopped there."""
DEFAULT_TOKENS = 1024
"""Output tokens of a request that names no limit and is not streamed."""
TEMPLATE_TOKENS = 64
"""What a model's chat template adds around a conversation at most."""
MILLION = 10**6
GIGA = 10**9
_PROMPT_FIELDS = ("messages", "prompt", "input", "tools", "functions", "response_format")


def prompt_ceiling(body: Mapping[str, Any]) -> int:
    """Tokens that the prompt of an OpenAI body cannot exceed.

    No text has more tokens than bytes, as vocabularies end in single bytes, and JSON's own punctuation pays for what
    the template adds to each message.
    """
    prompt = {name: body[name] for name in _PROMPT_FIELDS if body.get(name) is not None}
    return len(canonical_json(prompt)) + TEMPLATE_TOKENS


def output_limit(body: Mapping[str, Any], context_tokens: int = 0) -> int:
    """Output tokens that an OpenAI body asks for at most; `context_tokens` bounds them where it is known."""
    named = body.get("max_completion_tokens") or body.get("max_tokens")
    default = context_tokens if body.get("stream") and context_tokens else DEFAULT_TOKENS
    limit = int(named) if named else default
    if context_tokens:
        limit = min(limit, context_tokens)
    return max(1, limit) * max(1, int(body.get("n") or 1))


def tokens_cost(prompt: int, output: int, price_in_per_mtoken: int, price_out_per_mtoken: int) -> int:
    """Base units for so many tokens, rounded up; at least 1."""
    return max(1, -(-(prompt * price_in_per_mtoken + output * price_out_per_mtoken) // MILLION))


def tokens_ceiling(
    body: Mapping[str, Any], price_in_per_mtoken: int, price_out_per_mtoken: int, *, output: bool, context_tokens: int
) -> int:
    """Base units that a chat, a completion or (`output` false) an embedding is held for when it begins.

    A stream is held for its first slice and topped up on the way.
    """
    tokens = 0
    if output:
        tokens = output_limit(body, context_tokens)
        if body.get("stream"):
            tokens = min(tokens, SLICE_TOKENS)
    return tokens_cost(prompt_ceiling(body), tokens, price_in_per_mtoken, price_out_per_mtoken)


def seconds_cost(seconds: float, price_per_second: int) -> int:
    """Base units for wall-clock time, counted in whole milliseconds and rounded up; at least 1."""
    milliseconds = -(-round(seconds * 1_000_000) // 1000)
    return max(1, -(-milliseconds * price_per_second // 1000))


def wasm_cost(fuel: int, seconds: float, price_per_gfuel: int, price_per_second: int) -> int:
    """Base units for a WASM job that burnt `fuel` in `seconds`, or at most may; at least 1."""
    for_fuel = -(-fuel * price_per_gfuel // GIGA)
    for_time = seconds_cost(seconds, price_per_second) if price_per_second else 0
    return max(1, for_fuel + for_time)
