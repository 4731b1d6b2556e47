"""What only the owner can do with the money, looked at: checked, simulated by the chain and priced, without its key.

Sending, staking, setting the budget, changing where earnings go. The wallet stays locked for a look; taking the step
that it returns is `owner.Owner`'s.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.registry import NOBODY, ProviderState, Thaw
from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.estimates import Estimates
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import format_tokens
from depin_desktop.wallet.permits import SIGNED_FOR_S

COIN_TRANSFER_GAS = 21_000
STAKE_GAS = 130_000
"""What `stake` and its permit use at most, as a test measures: without the permit they cannot be simulated."""
_DELEGATED = "0xef0100"  # EIP-7702: code of a wallet that lets a contract act for it; it is a wallet all the same


@dataclass(frozen=True)
class Step:
    """One transaction of the owner's before it is sent.

    Attributes:
        amount: what it moves: base units, or wei where `coin`; 0 where it moves nothing.
        highest_fee: wei that it costs at most.
        to: who gets it, where anybody does.
        coin_left: wei that the owner has for gas afterwards, at least.
        ends: from when on stake that it asks back can be taken out, Unix seconds by the chain's clock.
        notes: sentences that the owner should know before saying yes.
    """

    call: Call
    purpose: str
    summary: str
    amount: int
    highest_fee: int
    coin: bool = False
    to: str = ""
    coin_left: int = 0
    ends: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """The notes in one text."""
        return " ".join(self.notes)


class Looks:
    """The steps that one owner could take now.

    Every method raises UserFacingError where a step cannot be taken: "insufficient-funds", "no-gas", "lost-address",
    "no-provider", or the contract's own refusal as Reverted.

    Args:
        operator: the operator's address.
        spender: the spender's key, which signs what gives its budget back.
        estimates: for the owner's address.
    """

    def __init__(self, chain: Chain, operator: str, spender: Signer, estimates: Estimates) -> None:
        self.address = estimates.address
        self.operator = operator
        self.chain = chain
        self._estimates = estimates
        self._spender = spender

    @property
    def spender(self) -> str:
        """The address that holds the spending budget."""
        return self._spender.address

    async def send(self, to: str, amount: int | None) -> Step:
        """Tokens to an address; all of them where `amount` is None."""
        notes = await self._check_receiver(to)
        held = await self.chain.token.balance_of(self.address)
        amount = self._within(amount, held, "wallet")
        if to == self.operator:
            notes += ("This is this machine’s operator. It has no use for tokens, and no command sends them back.",)
        call = self.chain.token.transfer(to, amount)
        return await self._step(call, "send", f"Send {self._tokens(amount)} to {to}", amount, to=to, notes=notes)

    async def send_coin(self, to: str, amount: int | None) -> Step:
        """The chain's own coin to an address, such as the operator's for gas; None for all that the fee leaves."""
        notes = await self._check_receiver(to)
        held = await self.chain.gas_balance(self.address)
        if amount is None:
            fee = await self._estimates.highest_fee(COIN_TRANSFER_GAS)
            amount = max(0, held - fee)
        if not 0 < amount <= held:
            raise _too_much(f"{format_tokens(held, significant=6)} coins", "wallet")
        call = Call(to, b"", "coin.transfer", value=amount)
        summary = f"Send {format_tokens(amount, significant=6)} of the chain's coin to {to}"
        return await self._step(call, "send coin", summary, amount, coin=True, to=to, notes=notes)

    async def set_budget(self, amount: int) -> Step | None:
        """Makes the spender hold `amount` base units, by giving to it or taking back; None where it does already.

        What lies in channels and deals is not counted. The spender needs no gas for giving back.
        """
        token, spender = self.chain.token, self._spender.address
        held = await token.balance_of(spender)
        if amount == held:
            return None
        if amount > held:
            more = self._within(amount - held, await token.balance_of(self.address), "wallet")
            summary = f"Move {self._tokens(more)} to the spending budget"
            return await self._step(token.transfer(spender, more), "budget", summary, more)
        less, nonce = held - amount, secrets.token_bytes(32)
        until = await self.chain.now() + SIGNED_FOR_S
        signature = typed_data.sign_receive(self._spender, self.chain.network, self.address, less, 0, until, nonce)
        call = token.receive_with_authorization(spender, self.address, less, 0, until, nonce, signature)
        return await self._step(call, "budget", f"Take {self._tokens(less)} back from the spending budget", less)

    # --- the provider's place in the registry ---------------------------------------------------------------------

    async def stake(self, amount: int | None) -> Step:
        """More stake, all that the wallet holds where `amount` is None; priced at the most that it can use."""
        amount = await self._stakeable(amount)
        call = self.chain.registry.stake(amount)
        return await self._step(call, "stake", f"Stake {self._tokens(amount)}", amount, gas=STAKE_GAS)

    async def _stakeable(self, amount: int | None) -> int:
        await self._provider()
        return self._within(amount, await self.chain.token.balance_of(self.address), "wallet")

    async def thaws(self) -> tuple[Thaw, ...]:
        """Releases of stake that wait, oldest first; `end_of_thaw` takes out those whose time has come."""
        return await self.chain.registry.thaws(await self._name())

    async def begin_thaw(self, amount: int | None) -> Step:
        """Asks for stake back, all that is not asked for yet where `amount` is None; it stays slashable meanwhile."""
        provider = await self._provider()
        free = provider.stake - provider.thawing
        amount = self._within(amount, free, "stake")
        registry = self.chain.registry
        thaw_s, least, now = await asyncio.gather(registry.thaw_period_s(), registry.min_stake(), self.chain.now())
        notes = [
            f"It can be taken out after {_duration(thaw_s)} and may be slashed until then.",
            "A release cannot be called back: stake again instead.",
        ]
        if free - amount < least:
            notes.append(
                f"Less than the least stake of {self._tokens(least)} is left: customers will not choose this node."
            )
        call, summary = registry.request_unstake(amount), f"Release {self._tokens(amount)} of the stake"
        return await self._step(call, "unstake", summary, amount, notes=notes, ends=float(now + thaw_s))

    async def end_of_thaw(self) -> Step | None:
        """Takes out every release whose time has come; None where there is none."""
        now = await self.chain.now()
        amount = sum(thaw.amount for thaw in await self.thaws() if thaw.ends <= now)
        if not amount:
            return None
        return await self._step(
            self.chain.registry.unstake(), "unstake", f"Take {self._tokens(amount)} of released stake out", amount
        )

    async def set_payout(self, to: str) -> Step:
        """Has what is earned from now on paid to another address."""
        notes = await self._check_receiver(to)
        if (await self._provider()).payout == to:
            raise UserFacingError(f"Earnings go to {to} already.", "", code="nothing-to-do", status=409)
        if to in (self.operator, self.spender):
            notes += ("The key of this address lies unencrypted on this machine: who steals it has the earnings.",)
        notes += ("Channels that customers have open are still paid out to the address that they were opened for.",)
        call = self.chain.registry.set_payout(to)
        return await self._step(call, "payout", f"Pay earnings to {to}", 0, to=to, notes=notes)

    # --- helpers --------------------------------------------------------------------------------------------------

    async def _step(
        self,
        call: Call,
        purpose: str,
        summary: str,
        amount: int,
        *,
        coin: bool = False,
        to: str = "",
        notes: Sequence[str] = (),
        ends: float | None = None,
        gas: int | None = None,
    ) -> Step:
        if gas is None:
            gas = await self._estimates.simulate(call)
        fee, held = await asyncio.gather(self._estimates.highest_fee(gas), self.chain.gas_balance(self.address))
        if held < fee + call.value:
            raise self._estimates.no_gas(fee + call.value, held)
        left = held - fee - call.value
        return Step(call, purpose, summary, amount, fee, coin, to, left, ends, tuple(notes))

    async def _check_receiver(self, to: str) -> tuple[str, ...]:
        """What to know of an address; what is sent to a contract of ours, or to nobody, is lost.

        Raises:
            UserFacingError: "lost-address".
        """
        addresses = self.chain.network.addresses
        if to in (NOBODY, *addresses.model_dump().values()):
            raise UserFacingError(
                f"{to} is one of the network's contracts: what is sent there is lost.",
                "Give the address of a wallet.",
                code="lost-address",
            )
        if to == self.address:
            return ("This is the wallet’s own address.",)
        code = await self.chain.rpc.request("eth_getCode", to, "latest")
        if code in (None, "0x") or code.startswith(_DELEGATED):
            return ()
        return ("There is a contract at this address: unless it is made to handle what it gets, that is lost.",)

    @staticmethod
    def _within(amount: int | None, held: int, where: str) -> int:
        wanted = held if amount is None else amount
        if not 0 < wanted <= held:
            raise _too_much(f"{format_tokens(held, significant=6)} tokens", where)
        return wanted

    async def _name(self) -> str:
        name = await self.chain.registry.provider_of(self.address)
        if name is None:
            raise UserFacingError(
                f"The wallet {self.address} is not registered as a provider.",
                "Run `depin init` first.",
                code="no-provider",
            )
        return name

    async def _provider(self) -> ProviderState:
        return await self.chain.registry.provider(await self._name())

    def _tokens(self, amount: int) -> str:
        return f"{format_tokens(amount, significant=6)} {self.chain.network.symbol}"


def _too_much(held: str, where: str) -> UserFacingError:
    return UserFacingError(
        f"The {where} holds {held}.", "Choose an amount above zero and within that.", code="insufficient-funds"
    )


def _duration(seconds: int) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{round(seconds / length)} {unit}s"
    return f"{seconds} seconds"
