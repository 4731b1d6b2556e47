"""What a call from an account would do and cost now: simulated, nothing signed or sent, so that no key is needed."""

from __future__ import annotations

from typing import Any

from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain, refused
from depin_desktop.chain.fees import FeeOracle, Fees
from depin_desktop.chain.reverts import revert_of
from depin_desktop.chain.rpc import RpcError
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens

GWEI = 10**9
MAX_FEE_CAP = 1000 * GWEI
GAS_MARGIN_PERCENT = 20  # state may change between estimate and block


class Estimates:
    """For one account.

    Args:
        fees: what to bid; its own where none is shared.
        max_fee_cap: never reckoned with more than this, in wei per gas.
    """

    def __init__(
        self, chain: Chain, address: str, *, fees: FeeOracle | None = None, max_fee_cap: int = MAX_FEE_CAP
    ) -> None:
        self.address = address
        self._chain = chain
        self._fees = fees or FeeOracle(chain.rpc)
        self._max_fee_cap = max_fee_cap

    async def bid(self) -> Fees:
        """The bid that a transaction would carry now."""
        return (await self._fees.suggest()).at_most(self._max_fee_cap)

    async def simulate(self, call: Call) -> int:
        """The gas that a call would use now; sends nothing.

        Raises:
            Reverted: the contract would refuse.
        """
        try:
            estimate = await self._chain.rpc.request("eth_estimateGas", self.body(call), self._chain.now_block)
        except RpcError as error:
            raise self.refusal(error) from error
        return int(estimate, 16)

    async def highest_fee(self, gas: int) -> int:
        """Wei that a transaction of so much gas costs at most, with the margin and the bid that it would have."""
        return with_margin(gas) * (await self.bid()).max_fee

    def body(self, call: Call) -> dict[str, Any]:
        """The call as JSON-RPC takes it."""
        body = {"from": self.address, "data": "0x" + call.data.hex(), "value": hex(call.value)}
        if call.to is not None:
            body["to"] = call.to
        return body

    def refusal(self, error: RpcError) -> UserFacingError:
        """What a node's error to a call means."""
        if (reverted := revert_of(error)) is not None:
            return reverted
        return self.rejected(error.message)

    def rejected(self, words: str) -> UserFacingError:
        """What it means that a node does not take a transaction."""
        if "insufficient" in words.lower():
            return self.no_gas(None, None)
        return refused(self._chain.rpc.url, RpcError(-32000, words))

    def no_gas(self, need: int | None, have: int | None) -> UserFacingError:
        """The account's coin does not suffice; amounts in wei where they are known."""
        detail = (
            "" if need is None or have is None else f": {format_tokens(need)} are needed, {format_tokens(have)} there"
        )
        return UserFacingError(
            f"The account {self.address} cannot pay for gas{detail}.",
            "Send some of the chain's coin to it.",
            code="no-gas",
            status=402,
        )


def with_margin(gas: int) -> int:
    """The limit for a call that was estimated to use so much gas."""
    return gas * (100 + GAS_MARGIN_PERCENT) // 100
