"""Erasure coding: any k of n shares give a segment back. Systematic: the first k shares are the segment itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from depin_desktop.core.errors import UserFacingError

Buffer = bytes | bytearray | memoryview
MAX_SHARES = 255


def check_code(needed: int, total: int) -> None:
    """Raises UserFacingError unless 1 <= needed <= total <= 255."""
    if not 1 <= needed <= total <= MAX_SHARES:
        raise UserFacingError(
            f"“{needed}/{total}” is not a code.", "Write K/N, such as 2/4: any 2 of 4 pieces suffice.", code="bad-code"
        )


def encode(data: Buffer, share: int, needed: int, total: int) -> list[Buffer]:
    """The `total` shares of `data`, which is `needed` times `share` long.

    The first `needed` are views of `data`; with 1 of n all are, and nothing is copied.
    """
    view = memoryview(data)
    primary: list[Buffer] = [view[at * share : (at + 1) * share] for at in range(needed)]
    if needed == 1:
        return primary * total
    if total == needed:
        return primary
    from zfec import Encoder

    return primary + cast(list[Buffer], Encoder(needed, total).encode(primary, list(range(needed, total))))


def decode(shares: Mapping[int, Buffer], needed: int, total: int) -> list[Buffer]:
    """The first `needed` shares from any `needed` of them, or from any same range of bytes of each.

    Raises:
        ValueError: fewer than `needed` shares.
    """
    if len(shares) < needed:
        raise ValueError(f"{len(shares)} shares where {needed} are needed")
    if needed == 1:
        return [next(iter(shares.values()))]
    chosen = sorted(shares)[:needed]
    if chosen == list(range(needed)):
        return [shares[at] for at in chosen]
    from zfec import Decoder

    # zfec wants a primary share, where it is present, at its own place in the list.
    places: list[int | None] = [at if at in chosen else None for at in range(needed)]
    spare = iter([at for at in chosen if at >= needed])
    order = [next(spare) if at is None else at for at in places]
    return cast(list[Buffer], Decoder(needed, total).decode([shares[at] for at in order], order))
