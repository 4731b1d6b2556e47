"""The service's tie to the chain: what is called, who sends, and how time is cut into proving periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from depin_desktop.chain.bindings.deals import DataSetState
from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.services.storage.deal_store import SetState


@dataclass(frozen=True)
class Schedule:
    """Proving periods: period `p` runs from genesis + p × period_s; its last window_s seconds are for proofs."""

    genesis: int
    period_s: int
    window_s: int

    def period_at(self, time: int) -> int:
        return (time - self.genesis) // self.period_s

    def start_of(self, period: int) -> int:
        return self.genesis + period * self.period_s

    def window_of(self, period: int) -> int:
        """When the challenge window of `period` opens."""
        return self.start_of(period + 1) - self.window_s

    def end_of(self, state: DataSetState) -> int:
        """The first period that is neither challenged nor paid."""
        expiry = max(0, state.expires - self.genesis) // self.period_s
        return min(expiry, state.ends_after + 1)

    def life(self, state: DataSetState, period: int) -> SetState:
        """Where a data set is in its life during `period`."""
        end = self.end_of(state)
        if period >= end:
            return SetState.ENDED
        if period == end - 1:
            return SetState.ENDING
        return SetState.UNFUNDED if state.escrow < state.price * state.leaf_count else SetState.ACTIVE


@dataclass(frozen=True)
class Link:
    """One provider on one chain; `provider` is the owner's address, the sender sends as its operator."""

    chain: Chain
    sender: Sender
    schedule: Schedule
    provider: str

    @property
    def network(self) -> Network:
        return self.chain.network

    @classmethod
    async def make(cls, chain: Chain, sender: Sender, provider: str) -> Link:
        """Reads the contract's schedule. Raises UserFacingError when the chain cannot be reached."""
        deals = chain.deals
        return cls(
            chain, sender, Schedule(await deals.genesis(), await deals.period_s(), await deals.window_s()), provider
        )

    async def fee(self, call: Call) -> int | None:
        """Base units that sending a call costs now; 0 where gas has no price, None where nobody says what it is worth.

        Raises:
            Reverted: the contract would refuse it.
            UserFacingError: the chain cannot be asked.
        """
        network = self.network
        if not network.tokens_per_coin:
            return 0 if network.private else None
        gas = await self.sender.simulate(call)
        return network.fee_in_token(gas * int(await self.chain.rpc.request("eth_gasPrice"), 16))

    def together(self, calls: Sequence[Call]) -> Call:
        """Several calls of StorageDeals in one transaction, all or none."""
        if len(calls) == 1:
            return calls[0]
        multicall = self.chain.deals.interface.functions["multicall"]
        data = multicall.encode([call.data for call in calls])
        return Call(self.chain.deals.address, data, "+".join(call.name for call in calls))
