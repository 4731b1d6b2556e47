"""EIP-1559 fees: what to bid now, and how to outbid oneself."""

from __future__ import annotations

import time
from dataclasses import dataclass

from depin_desktop.chain.rpc import Rpc, RpcError
from depin_desktop.core.errors import UserFacingError

MINIMUM_TIP = 1  # wei; some chains ask for nothing, but replacing needs something to grow from
BUMP_PERCENT = 25  # nodes want at least 10 on both figures before they accept a replacement


@dataclass(frozen=True)
class Fees:
    """Bids in wei per gas: `max_fee` in all, of which `tip` for the block's builder."""

    max_fee: int
    tip: int

    def outbid(self, suggested: Fees) -> Fees:
        """A replacement's bid: both figures raised enough for nodes to accept it, and no lower than suggested now."""
        tip = max(_raised(self.tip), suggested.tip)
        return Fees(max(_raised(self.max_fee), suggested.max_fee, tip), tip)

    def at_most(self, cap: int) -> Fees:
        """The same bid, cut to `cap` wei per gas in all."""
        return self if self.max_fee <= cap else Fees(cap, min(self.tip, cap))


def _raised(value: int) -> int:
    return value * (100 + BUMP_PERCENT) // 100 + 1


class FeeOracle:
    """The node's suggestion, asked at most every `fresh_s` seconds."""

    def __init__(self, rpc: Rpc, *, fresh_s: float = 3.0) -> None:
        self._rpc = rpc
        self._fresh_s = fresh_s
        self._asked_at = -fresh_s
        self._known: tuple[int, Fees] | None = None

    async def suggest(self) -> Fees:
        """A bid that lasts while the base fee doubles (some six full blocks).

        Raises:
            UserFacingError: "no-fee-market" when the chain does not have EIP-1559.
        """
        return (await self._ask())[1]

    async def base_fee(self) -> int:
        """The next block's base fee, in wei per gas."""
        return (await self._ask())[0]

    async def _ask(self) -> tuple[int, Fees]:
        if self._known is None or time.monotonic() - self._asked_at >= self._fresh_s:
            history, tip = await self._rpc.batch(
                [("eth_feeHistory", ("0x4", "latest", [50])), ("eth_maxPriorityFeePerGas", ())]
            )
            if isinstance(history, RpcError) or not history or not history.get("baseFeePerGas"):
                raise UserFacingError(
                    "This chain's node does not report EIP-1559 fees.",
                    "Use another node, or a network whose chain has them.",
                    code="no-fee-market",
                    status=502,
                )
            base = int(history["baseFeePerGas"][-1], 16)
            rewards = sorted(int(reward[0], 16) for reward in history.get("reward") or [] if reward)
            suggested = int(tip, 16) if isinstance(tip, str) else rewards[len(rewards) // 2] if rewards else 0
            tip_bid = max(suggested, MINIMUM_TIP)
            self._known = (base, Fees(2 * base + tip_bid, tip_bid))
            self._asked_at = time.monotonic()
        return self._known
