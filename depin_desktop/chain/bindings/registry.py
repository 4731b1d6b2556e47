"""ProviderRegistry: who provides, who operates, where payments go, and the stake behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from depin_desktop.chain.bindings.contract import Contract
from depin_desktop.chain.calls import Call

NOBODY = "0x0000000000000000000000000000000000000000"


@dataclass(frozen=True)
class ProviderState:
    """One provider as the registry knows it; amounts in base units, times in Unix seconds.

    Attributes:
        stake: what may be slashed now, the thawing part included.
        thaw_ends: 0 while nothing thaws.
        registered_at: 0 for an address that never registered.
    """

    operator: str
    payout: str
    node_id: bytes
    stake: int
    thawing: int
    thaw_ends: int
    registered_at: int

    @property
    def registered(self) -> bool:
        return self.registered_at > 0


@dataclass(frozen=True)
class Thaw:
    """One release of stake that was asked for; it can be taken out from `ends` on, Unix seconds."""

    amount: int
    ends: int


class ProviderRegistry(Contract):
    """The registry; a provider is identified by its owner's address."""

    async def provider(self, owner: str) -> ProviderState:
        return ProviderState(*await self._value("provider", owner))

    async def owner_of_operator(self, operator: str) -> str | None:
        found = await self._value("ownerOfOperator", operator)
        return None if found == NOBODY else found

    async def owner_of_node(self, node_id: bytes) -> str | None:
        found = await self._value("ownerOfNode", node_id)
        return None if found == NOBODY else found

    async def is_active(self, owner: str) -> bool:
        """Registered, with at least the minimum stake."""
        return cast(bool, await self._value("isActive", owner))

    async def min_stake(self) -> int:
        return cast(int, await self._value("minStake"))

    async def count(self) -> int:
        return cast(int, await self._value("count"))

    async def owners(self, start: int, limit: int) -> tuple[str, ...]:
        return cast("tuple[str, ...]", await self._value("owners", start, limit))

    async def thaws(self, owner: str) -> tuple[Thaw, ...]:
        """Releases of stake that wait, oldest first."""
        return tuple(Thaw(*one) for one in await self._value("thaws", owner))

    async def thaw_period_s(self) -> int:
        return cast(int, await self._value("THAW_PERIOD"))

    def register(self, operator: str, payout: str, node_id: bytes, stake_amount: int) -> Call:
        """The sender becomes a provider; the stake is taken by allowance."""
        return self._call("register", operator, payout, node_id, stake_amount)

    def set_operator(self, operator: str) -> Call:
        return self._call("setOperator", operator)

    def set_payout(self, payout: str) -> Call:
        return self._call("setPayout", payout)

    def set_node(self, node_id: bytes) -> Call:
        return self._call("setNode", node_id)

    def stake(self, amount: int) -> Call:
        return self._call("stake", amount)

    def request_unstake(self, amount: int) -> Call:
        return self._call("requestUnstake", amount)

    def unstake(self) -> Call:
        return self._call("unstake")
