"""A customer's deposits: sized within the budget, asked for, on disk before they leave, and followed to their end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from depin_desktop.chain import typed_data
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.units import format_tokens
from depin_desktop.net.offers import NodeOffer
from depin_desktop.payments import headers as wire
from depin_desktop.payments import policy
from depin_desktop.payments.payer_store import DepositIntent, PayerChannel, PayerStore
from depin_desktop.payments.payer_terms import MAX_AUTHORISATION_S, PaymentFailed

EXPIRY_MARGIN_S = 30


@dataclass(frozen=True)
class TopUp:
    """A deposit that is about to be signed."""

    provider: str
    amount: int
    deposited_before: int


@dataclass(frozen=True)
class Budget:
    """How much may be put into channels.

    Attributes:
        limit: base units over all deposits ever made by this customer's home; None for what the wallet holds.
        ask: decides on each deposit; everything within the limit is allowed without it.
        deposits: how deposits are sized.
    """

    limit: int | None = None
    ask: Callable[[TopUp], Awaitable[bool]] | None = None
    deposits: policy.DepositPolicy = field(default_factory=policy.DepositPolicy)


@dataclass(frozen=True)
class Wallet:
    """What every account of one payer shares; one deposit is sized, asked for and noted at a time."""

    chain: Chain
    signer: Signer
    store: PayerStore
    budget: Budget
    depositing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Deposits:
    """The deposits of one account; their limit is the whole home's."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet

    async def intent_for(
        self, provider: NodeOffer, way: wire.Requirements, channel: PayerChannel, total: int, price: int, expect: int
    ) -> DepositIntent | None:
        """The deposit to send along: one signed before whose fate is open, else a new one within the budget.

        None when an earlier one turns out to have reached the chain: the channel's balance is to be read again.

        Args:
            total: what the channel has to cover.

        Raises:
            PaymentFailed: the budget or the funds do not suffice, or it was not allowed.
        """
        wallet, smallest = self._wallet, _smallest(way, channel, price)
        now = await wallet.chain.now()
        for intent in await wallet.store.open_intents(channel.id):
            if await self.conclude(intent):
                return None
            still_good = now < intent.valid_before - EXPIRY_MARGIN_S and intent.amount >= smallest
            if still_good and total <= channel.balance + intent.amount:
                return intent
        async with wallet.depositing:
            while True:
                amount = await self._amount(provider, channel, total - channel.balance, smallest, price, expect)
                # An answer may have taken its time: the authorisation is good from now on.
                until = await wallet.chain.now() + min(way.max_timeout_seconds, MAX_AUTHORISATION_S)
                intent = DepositIntent(channel.id, secrets.token_bytes(32), amount, until)
                if await wallet.store.intend(intent, wallet.budget.limit):
                    return intent
                # Another process has deposited meanwhile: what is left now is looked at, and asked for, anew.

    async def _amount(
        self, provider: NodeOffer, channel: PayerChannel, missing: int, smallest: int, price: int, expect: int
    ) -> int:
        wallet, budget = self._wallet, self._wallet.budget
        deposited, held = await wallet.store.deposited(), await wallet.chain.token.balance_of(wallet.signer.address)
        amount = policy.deposit_amount(
            price,
            missing=missing,
            minimum=smallest,
            wished=max(channel.signed, expect),
            allowed=held if budget.limit is None else min(held, budget.limit - deposited),
            policy=budget.deposits,
        )
        if amount is None:
            raise self._cannot_deposit(max(missing, smallest), held, deposited)
        wish = TopUp(provider.owner, amount, deposited)
        if budget.ask is not None and not await budget.ask(wish):
            raise PaymentFailed("The deposit was not allowed.", "Allow it, or raise the budget.", code="budget-refused")
        return amount

    def _cannot_deposit(self, needed: int, held: int, deposited: int) -> PaymentFailed:
        symbol = self._wallet.chain.network.symbol
        if held < needed:
            return PaymentFailed(
                f"The spending account {self._wallet.signer.address} holds {format_tokens(held)} {symbol};"
                f" a deposit of at least {format_tokens(needed)} {symbol} is needed.",
                "Move tokens to the spending account.",
                code="insufficient-funds",
                status=402,
            )
        return PaymentFailed(
            f"The budget of {format_tokens(self._wallet.budget.limit or 0)} {symbol} does not allow a deposit of"
            f" {format_tokens(needed)} {symbol} after {format_tokens(deposited)} {symbol}.",
            "Raise the budget, or have unused deposits back: depin wallet reclaim",
            code="budget-exhausted",
            status=402,
        )

    def authorised(self, intent: DepositIntent) -> wire.Deposit:
        """The deposit that an intent stands for; signing is deterministic, so it is the same every time."""
        signature = typed_data.sign_deposit(
            self._wallet.signer,
            self._wallet.chain.network,
            intent.channel,
            intent.amount,
            0,
            intent.valid_before,
            intent.salt,
        )
        authorization = wire.Erc3009Authorization(
            valid_after=0, valid_before=intent.valid_before, salt=intent.salt, signature=signature
        )
        return wire.Deposit(
            amount=intent.amount, authorization=wire.DepositAuthorization(erc3009_authorization=authorization)
        )

    async def conclude(self, intent: DepositIntent) -> bool:
        """Learns what became of an authorisation and writes it down; True when the chain has used it."""
        wallet = self._wallet
        nonce = typed_data.authorization_nonce(intent.channel, intent.salt)
        used = await wallet.chain.token.authorization_state(wallet.signer.address, nonce)
        if used:
            await wallet.store.conclude(intent, made=True)
        elif await wallet.chain.now() >= intent.valid_before:
            await wallet.store.conclude(intent, made=False)
        return used


def _smallest(way: wire.Requirements, channel: PayerChannel, price: int) -> int:
    """The smallest deposit that the provider takes; a top-up has none of its own, except where gas is dear."""
    usual = price * policy.MIN_DEPOSIT_REQUESTS
    announced = way.extra.min_deposit or usual
    return announced if channel.balance == 0 or announced > usual else 0
