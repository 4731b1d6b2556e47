"""The arithmetic of one channel: which part of the signed total has been charged, and what may be charged next.

A voucher for `total` that pays `price` stands for the interval [total - price, total) of the channel's money. An
interval is charged at most once, whatever the order in which vouchers arrive; so replays and lower totals fail by
construction while several requests may be in flight. With one request at a time this is x402's rule: total = charged +
price.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_GAPS = 64
"""Vouchers that may be late at once. Beyond it the oldest gap is given up: never charged, and no longer accepted."""


@dataclass(frozen=True)
class Book:
    """One channel's totals in base units.

    Attributes:
        signed: the highest total that the payer has signed.
        charged: what has been charged, never more than `signed`.
        gaps: signed but uncharged intervals below `signed`, ascending, half open.
    """

    signed: int = 0
    charged: int = 0
    gaps: tuple[tuple[int, int], ...] = ()

    def take(self, total: int, price: int, agreed: int | None = None) -> Book | None:
        """The book after a voucher for `total` paid `price`; None when any part of its interval is not free.

        Args:
            agreed: what the payer signed for, `price` where absent. Of a larger sum only the lower part is charged; the
                rest stays free for the next voucher.
        """
        start = total - (price if agreed is None else agreed)
        end = start + price
        if start < 0 or not 0 <= price <= total - start:
            return None
        joined = _join((*self.gaps, (self.signed, max(self.signed, total))))
        for index, (low, high) in enumerate(joined):
            if low <= start and end <= high:
                rest = [*joined[:index], (low, start), (end, high), *joined[index + 1 :]]
                gaps = tuple(gap for gap in rest if gap[0] < gap[1])[-MAX_GAPS:]
                return Book(max(self.signed, total), self.charged + price, gaps)
        return None


def _join(intervals: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """Ascending intervals with touching neighbours merged."""
    joined: list[tuple[int, int]] = []
    for low, high in intervals:
        if joined and joined[-1][1] == low:
            joined[-1] = (joined[-1][0], high)
        elif low < high or not joined:
            joined.append((low, high))
    return joined
