"""What only the owner can do with the money: send it, stake it, set the budget, change where earnings go.

Every step is looked at before it is taken: the chain has simulated it and its highest fee is known when `Step` is
returned, and nothing has been signed for the chain until `take`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

from depin_desktop.api.models import Money, Snapshot
from depin_desktop.chain import typed_data
from depin_desktop.chain.accounts import LocalAccount
from depin_desktop.chain.bindings.registry import ProviderState, Thaw
from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.sender import Sender
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.core.units import format_tokens
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.joining import joined_network
from depin_desktop.wallet.permits import SIGNED_FOR_S, with_permit
from depin_desktop.wallet.vault import Vault

COIN_TRANSFER_GAS = 21_000
NOBODY = "0x" + "0" * 40


@dataclass(frozen=True)
class Step:
    """One transaction of the owner's before it is sent.

    Attributes:
        amount: what it moves: base units, or wei where `coin`; 0 where it moves nothing.
        highest_fee: wei that it costs at most.
        note: what the owner should know before saying yes; may be empty.
    """

    call: Call
    purpose: str
    summary: str
    amount: int
    highest_fee: int
    coin: bool = False
    note: str = ""


class Taken(Snapshot):
    """A step that is on the chain: its transaction, and the fee that it cost in wei and in tokens (0: no price)."""

    transaction: str
    block: int
    amount: Money
    fee: Money
    fee_worth: Money


class Owner:
    """The owner's account on its network, unlocked. Keep it only as long as it is needed; `open_owner` makes it.

    Args:
        operator: the operator's address.
        spender: the spender's key, which is used to give its budget back.
    """

    def __init__(self, chain: Chain, account: LocalAccount, sender: Sender, operator: str, spender: Signer) -> None:
        self.address: str = account.address
        self.operator = operator
        self.chain = chain
        self._account = account
        self._sender = sender
        self._spender = spender

    @property
    def spender(self) -> str:
        """The address that holds the spending budget."""
        return self._spender.address

    async def send(self, to: str, amount: int | None) -> Step:
        """Tokens to an address; all of them where `amount` is None.

        Raises:
            UserFacingError: not enough of them, or an address at which they would be lost.
        """
        self._check_receiver(to)
        held = await self.chain.token.balance_of(self.address)
        amount = self._within(amount, held, "wallet")
        return await self._step(
            self.chain.token.transfer(to, amount), "send", f"Send {self._tokens(amount)} to {to}", amount
        )

    async def send_coin(self, to: str, amount: int | None) -> Step:
        """The chain's own coin to an address, such as the operator's for gas; None for all that the fee leaves.

        Raises:
            UserFacingError: as `send`.
        """
        self._check_receiver(to)
        held = await self.chain.gas_balance(self.address)
        if amount is None:
            fee = await self._sender.highest_fee(COIN_TRANSFER_GAS)
            amount = max(0, held - fee)
        if not 0 < amount <= held:
            raise _too_much(f"{format_tokens(held, significant=6)} coins", "wallet")
        call = Call(to, b"", "coin.transfer", value=amount)
        summary = f"Send {format_tokens(amount, significant=6)} of the chain's coin to {to}"
        return await self._step(call, "send coin", summary, amount, coin=True)

    async def set_budget(self, amount: int) -> Step | None:
        """Makes the spender hold `amount` base units, by giving to it or taking back; None where it does already.

        What lies in channels and deals is not counted. The spender needs no gas for giving back.

        Raises:
            UserFacingError: the wallet holds too little.
        """
        token, spender = self.chain.token, self._spender.address
        held = await token.balance_of(spender)
        if amount == held:
            return None
        if amount > held:
            more = self._within(amount - held, await token.balance_of(self.address), "wallet")
            return await self._step(
                token.transfer(spender, more), "budget", f"Move {self._tokens(more)} to the spending budget", more
            )
        less, nonce = held - amount, secrets.token_bytes(32)
        until = await self.chain.now() + SIGNED_FOR_S
        signature = typed_data.sign_receive(self._spender, self.chain.network, self.address, less, 0, until, nonce)
        call = token.receive_with_authorization(spender, self.address, less, 0, until, nonce, signature)
        return await self._step(call, "budget", f"Take {self._tokens(less)} back from the spending budget", less)

    # --- the provider's place in the registry ---------------------------------------------------------------------

    async def stake(self, amount: int) -> Step:
        """More stake, in one transaction: the allowance is a permit's, which others may have used before us.

        Raises:
            UserFacingError: the wallet holds too little, or provides nothing.
        """
        await self._provider()
        amount = self._within(amount, await self.chain.token.balance_of(self.address), "wallet")
        call = await with_permit(self.chain, self._account, amount, self.chain.registry.stake(amount))
        return await self._step(call, "stake", f"Stake {self._tokens(amount)}", amount)

    async def thaws(self) -> tuple[Thaw, ...]:
        """Releases of stake that wait, oldest first; `end_of_thaw` takes out those whose time has come."""
        return await self.chain.registry.thaws(await self._name())

    async def begin_thaw(self, amount: int | None) -> Step:
        """Asks for stake back, all that is not asked for yet where `amount` is None; it stays slashable meanwhile.

        Raises:
            UserFacingError: so much is not staked.
        """
        provider = await self._provider()
        free = provider.stake - provider.thawing
        amount = self._within(amount, free, "stake")
        registry = self.chain.registry
        thaw_s, least = await asyncio.gather(registry.thaw_period_s(), registry.min_stake())
        note = f"It can be taken out after {_duration(thaw_s)} and may be slashed until then."
        if free - amount < least:
            note += f" Less than the least stake of {self._tokens(least)} is left: customers will not choose this node."
        return await self._step(
            registry.request_unstake(amount),
            "unstake",
            f"Release {self._tokens(amount)} of the stake",
            amount,
            note=note,
        )

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
        """Has what is earned from now on paid to another address.

        Raises:
            UserFacingError: an address at which it would be lost, or the wallet provides nothing.
        """
        self._check_receiver(to)
        await self._provider()
        note = (
            "Channels that customers have open go on paying the address that they were opened for."
            " Start the engine anew, so that it offers the new one."
        )
        return await self._step(self.chain.registry.set_payout(to), "payout", f"Pay earnings to {to}", 0, note=note)

    # --- taking a step --------------------------------------------------------------------------------------------

    async def take(self, step: Step) -> Taken:
        """Sends it and waits until it is on the chain.

        Raises:
            Reverted, UserFacingError: as `Sender.send`.
        """
        receipt = await self._sender.send(step.call, purpose=step.purpose)
        return Taken(
            transaction="0x" + receipt.tx.hex(),
            block=receipt.block,
            amount=step.amount,
            fee=receipt.fee,
            fee_worth=self.chain.network.fee_in_token(receipt.fee),
        )

    async def _step(
        self, call: Call, purpose: str, summary: str, amount: int, *, coin: bool = False, note: str = ""
    ) -> Step:
        fee = await self._sender.highest_fee(await self._sender.simulate(call))
        return Step(call, purpose, summary, amount, fee, coin, note)

    def _check_receiver(self, to: str) -> None:
        """What is sent to a contract of ours, or to nobody, is lost."""
        addresses = self.chain.network.addresses
        if to in (NOBODY, *addresses.model_dump().values()):
            raise UserFacingError(
                f"{to} is one of the network's contracts: what is sent there is lost.",
                "Give the address of a wallet.",
                code="lost-address",
            )

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


@contextlib.asynccontextmanager
async def open_owner(home: Home, password: str) -> AsyncIterator[Owner]:
    """The owner of a home's wallet on the network in use, for as long as the block lasts.

    Raises:
        UserFacingError: no wallet, no network, a wrong password, or the chain is out of reach.
    """
    network = await asyncio.to_thread(joined_network, home)
    account = await asyncio.to_thread(lambda: Vault.load(home.vault).unlock(password))
    operator, spender = await asyncio.to_thread(lambda: (hotkeys.operator(home), hotkeys.spender(home)))
    async with contextlib.AsyncExitStack() as stack:
        chain = await Chain.connect(network)
        stack.push_async_callback(chain.close)
        database = Database(home.engine_database)  # shared with the engine: no nonce is used twice
        await database.open()
        stack.push_async_callback(database.close)
        sender = Sender(chain, account, database)
        await sender.start()
        stack.push_async_callback(sender.stop)
        yield Owner(chain, account, sender, operator.address, spender)


def _too_much(held: str, where: str) -> UserFacingError:
    return UserFacingError(
        f"The {where} holds {held}.", "Choose an amount above zero and within that.", code="insufficient-funds"
    )


def _duration(seconds: int) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"
