"""ProviderRegistry: who provides, who operates, where payments go, and the stake behind it."""

from __future__ import annotations

from collections.abc import Sequence
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
        owner: the wallet that acts for it now; the provider keeps the name of the one that registered it.
        services: bit by service that it offers: 0 storage, 1 compute, 2 sensing, 3 rides; 0 says nothing.
        cell: about where it is, an H3 index of resolution 5 at most; 0 says nothing.
    """

    operator: str
    payout: str
    node_id: bytes
    stake: int
    thawing: int
    thaw_ends: int
    registered_at: int
    owner: str
    services: int
    cell: int

    @property
    def registered(self) -> bool:
        return self.registered_at > 0


@dataclass(frozen=True)
class Thaw:
    """One release of stake that was asked for; it can be taken out from `ends` on, Unix seconds."""

    amount: int
    ends: int


class ProviderRegistry(Contract):
    """The registry; a provider is identified by the address that registered it, whoever owns it later."""

    async def provider(self, owner: str) -> ProviderState:
        return ProviderState(*await self._value("provider", owner))

    async def owner_of(self, provider: str) -> str | None:
        """The wallet that acts for the provider now."""
        found = await self._value("ownerOf", provider)
        return None if found == NOBODY else found

    async def provider_of(self, wallet: str) -> str | None:
        """The provider that the wallet acts for."""
        found = await self._value("providerOf", wallet)
        return None if found == NOBODY else found

    async def owner_of_operator(self, operator: str) -> str | None:
        found = await self._value("ownerOfOperator", operator)
        return None if found == NOBODY else found

    async def owner_of_node(self, node_id: bytes) -> str | None:
        found = await self._value("ownerOfNode", node_id)
        return None if found == NOBODY else found

    async def is_active(self, owner: str) -> bool:
        """Registered, with at least the minimum stake."""
        return cast(bool, await self._value("isActive", owner))

    async def is_slasher(self, module: str) -> bool:
        """Whether this contract may slash."""
        return cast(bool, await self._value("isSlasher", module))

    async def min_stake(self) -> int:
        return cast(int, await self._value("minStake"))

    async def count(self) -> int:
        return cast(int, await self._value("count"))

    async def owners(self, start: int, limit: int) -> tuple[str, ...]:
        """Providers in the order of their registration; at most 512 at a time."""
        return cast("tuple[str, ...]", await self._value("owners", start, limit))

    async def thaws(self, owner: str) -> tuple[Thaw, ...]:
        """Releases of stake that wait, oldest first."""
        return tuple(Thaw(*one) for one in await self._value("thaws", owner))

    async def slasher_from(self, module: str) -> int:
        """From when on a module may slash, Unix seconds; 0 if it never may."""
        return cast(int, await self._value("slasherFrom", module))

    async def thaw_period_s(self) -> int:
        return cast(int, await self._value("THAW_PERIOD"))

    def register(self, operator: str, payout: str, node_id: bytes, stake_amount: int) -> Call:
        """The sender becomes a provider; the stake is taken by allowance."""
        return self._call("register", operator, payout, node_id, stake_amount)

    def permit(self, value: int, deadline: int, v: int, r: bytes, s: bytes) -> Call:
        """An allowance by the sender's signature; in a `multicall` ahead of `register` or `stake`."""
        return self._call("permit", value, deadline, v, r, s)

    def multicall(self, calls: Sequence[Call]) -> Call:
        """Several of this contract's calls in one transaction, all or nothing."""
        return self._call("multicall", [call.data for call in calls])

    def propose_owner(self, wallet: str) -> Call:
        """Offers the provider, its stake included, to another wallet; `NOBODY` takes the offer back."""
        return self._call("proposeOwner", wallet)

    def accept_owner(self, provider: str) -> Call:
        """The sender takes over the provider that was offered to it."""
        return self._call("acceptOwner", provider)

    def describe(self, services: int, cell: int) -> Call:
        """Publishes, or with zeros withdraws, what is offered and about where; see `ProviderState`."""
        return self._call("describe", services, cell)

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
