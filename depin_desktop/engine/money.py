"""The owner's figures, put together from the chain, the index of its log and the vouchers on disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from depin_desktop.api.models import EarningsPoint, ServiceKind
from depin_desktop.api.wallet import HistoryEntry, Thaw, WalletStatus
from depin_desktop.chain.bindings.registry import ProviderState
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.engine.keys import Keys
from depin_desktop.payments.store import ChannelStore
from depin_desktop.services.base import Earned
from depin_desktop.wallet import ledger as rules
from depin_desktop.wallet.ledger_rows import Ledger

DAYS_SHOWN = 30


@dataclass(frozen=True)
class Figures:
    """The few numbers that *Home* shows, as last computed."""

    earned_today: int = 0
    earned_total: int = 0
    pending: int = 0
    points: tuple[EarningsPoint, ...] = ()
    services: Mapping[ServiceKind, Earned] = field(default_factory=dict)


def parties_of(keys: Keys, provider: ProviderState, network: Network) -> rules.Parties:
    """Whose ledger this is; an unregistered owner's payments would come to the owner itself."""
    return rules.Parties(
        owner=keys.owner,
        payout=provider.payout if provider.registered else keys.owner,
        operator=keys.operator.address,
        spender=keys.spender,
        contracts=network.addresses,
        faucet=network.faucet_address or "",
    )


class Money:
    """Answers what was earned, what is owed and what is owned."""

    def __init__(
        self, chain: Chain, ledger: Ledger, channels: ChannelStore, *, backed_up: Callable[[], Awaitable[bool]]
    ) -> None:
        self._chain = chain
        self._ledger = ledger
        self._channels = channels
        self._backed_up = backed_up

    async def earned(self) -> list[rules.Amount]:
        """All earnings: paid proofs from the chain's log, and vouchers on disk."""
        return [amount for amounts in (await self._by_service()).values() for amount in amounts]

    async def _by_service(self) -> dict[ServiceKind, list[rules.Amount]]:
        """The same, apart for each service: reading belongs to storage, all other work to computing."""
        found = {ServiceKind.STORAGE: await self._ledger.storage_amounts(), ServiceKind.COMPUTE: []}
        for taking in await self._channels.takings():
            kind = ServiceKind.STORAGE if rules.voucher_kind(taking.what) == rules.READS else ServiceKind.COMPUTE
            found[kind].append(rules.Amount(taking.at, taking.amount))
        return found

    async def figures(self) -> Figures:
        """The numbers for *Home*; raises UserFacingError while the chain is out of reach."""
        apart, now = await self._by_service(), time.time()
        midnight = rules.local_midnight(now)
        earned = [amount for amounts in apart.values() for amount in amounts]
        return Figures(
            earned_today=rules.earned_since(earned, midnight),
            earned_total=rules.earned_total(earned),
            pending=await self.pending(),
            points=rules.earnings_points(earned, now, step="day", count=DAYS_SHOWN),
            services={
                kind: Earned(rules.earned_since(amounts, midnight), rules.earned_total(amounts))
                for kind, amounts in apart.items()
            },
        )

    async def pending(self) -> int:
        """Earned and not yet paid out: accrued proofs, claimed vouchers, and vouchers not yet claimed."""
        parties, settlement = self._ledger.parties, self._chain.settlement
        owed, receivers = await asyncio.gather(
            self._chain.deals.owed(parties.owner),
            asyncio.gather(*(settlement.receivers(one, parties.contracts.token) for one in parties.payouts)),
        )
        unsettled = sum(receiver.total_claimed - receiver.total_settled for receiver in receivers)
        return owed + unsettled + sum(channel.unclaimed for channel in self._channels.channels.values())

    async def status(self) -> WalletStatus:
        """The wallet as the chain has it now.

        Raises:
            UserFacingError: the chain is out of reach.
        """
        chain, parties = self._chain, self._ledger.parties
        balance, budget, operator_gas, owner_gas = await asyncio.gather(
            chain.token.balance_of(parties.owner),
            chain.token.balance_of(parties.spender),
            chain.gas_balance(parties.operator),
            chain.gas_balance(parties.owner),
        )
        provider, thaws, thaw_s, least_stake = await asyncio.gather(
            chain.registry.provider(parties.owner),
            chain.registry.thaws(parties.owner),
            chain.registry.thaw_period_s(),
            chain.registry.min_stake(),
        )
        block, chain_at, pending = await asyncio.gather(chain.block(), chain.now(), self.pending())
        earned = await self.earned()
        return WalletStatus(
            owner=parties.owner,
            payout=parties.payout,
            operator=parties.operator,
            spender=parties.spender,
            backed_up=await self._backed_up(),
            registered=provider.registered,
            balance=balance,
            spending_balance=budget,
            pending=pending,
            claimed=await self._ledger.paid_out(),
            stake=provider.stake,
            thawing=tuple(Thaw(amount=thaw.amount, ends=thaw.ends) for thaw in thaws),
            least_stake=least_stake,
            thaw_s=thaw_s,
            earned_today=rules.earned_since(earned, rules.local_midnight(time.time())),
            earned_total=rules.earned_total(earned),
            operator_gas=operator_gas,
            owner_gas=owner_gas,
            as_of_block=block.number,
            as_of=time.time(),
            chain_at=chain_at,
        )

    async def learn_fees(self) -> None:
        """Reads what new lines cost; raises UserFacingError while the chain is out of reach."""
        await self._ledger.fees.fill(self._chain)

    async def history(self, limit: int, before: float | None = None) -> Sequence[HistoryEntry]:
        """The chain's lines and the vouchers' hourly lines, the newest first."""
        lines = await self._ledger.history(limit, before=before)
        fees, relayed = await self._ledger.fees.by_transaction(), await self._channels.relay_fees()
        from_chain = rules.with_fees(lines, fees, self._chain.network.fee_in_token, relayed)
        takings = await self._channels.takings()
        vouchers = [rules.voucher_entry(taking) for taking in takings if before is None or taking.at < before]
        return sorted([*from_chain, *vouchers], key=lambda entry: entry.at, reverse=True)[:limit]
