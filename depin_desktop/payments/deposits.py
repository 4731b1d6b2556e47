"""Deposits as the provider submits them: the customer's ERC-3009 authorisation, sent with the provider's gas."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings import settlement
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.reverts import Reverted
from depin_desktop.chain.sender import Sender
from depin_desktop.core.errors import UserFacingError
from depin_desktop.payments import headers as wire
from depin_desktop.payments import vouchers
from depin_desktop.payments.refusals import PaymentRefused, Refusal
from depin_desktop.payments.store import Channel, ChannelStore

log = logging.getLogger(__name__)

DEPOSIT_GAS = 130_000
EXPIRY_MARGIN_S = 10
"""An authorisation that ends sooner than this would not be mined in time."""


async def read_channel(chain: Chain, channel: Channel, now: float) -> Channel:
    """`channel` with the chain's balance, claimed total and withdrawal as of now."""
    state, withdrawal = await asyncio.gather(
        chain.settlement.channels(channel.id), chain.settlement.pending_withdrawals(channel.id)
    )
    return replace(
        channel,
        balance=state.balance,
        claimed=state.total_claimed,
        withdraw_at=withdrawal.initiated_at,
        checked_at=now,
    )


class Depositor:
    """Submits deposits, one at a time per channel, and never the same one twice."""

    def __init__(self, chain: Chain, sender: Sender, store: ChannelStore, clock: Callable[[], float]) -> None:
        self._chain = chain
        self._sender = sender
        self._store = store
        self._clock = clock
        self._collector = chain.network.addresses.erc3009_collector
        self._locks: dict[bytes, asyncio.Lock] = {}

    async def deposit(
        self, channel: Channel, payload: wire.ChannelPayload, way: wire.Requirements, fee_floor: int
    ) -> tuple[Channel, str]:
        """Checks and submits a deposit; returns the channel after it and the transaction's hash.

        A deposit whose authorisation was already used on chain counts as made (the answer to its first sending may have
        been lost); the hash is empty then.

        Args:
            fee_floor: the smallest deposit that is worth its fee; a top-up may be below the announced one, not this.

        Raises:
            PaymentRefused: with the reason.
        """
        if payload.deposit is None:
            raise PaymentRefused(Refusal.DEPOSIT_PAYLOAD)
        deposit = payload.deposit
        minimum = way.extra.min_deposit or 0
        if deposit.amount < max(1, fee_floor, min(minimum, way.amount) if channel.balance else minimum):
            raise PaymentRefused(Refusal.DEPOSIT_SMALL)
        if not vouchers.is_deposit_signed(self._chain.network, channel.config.payer, channel.id, deposit):
            raise PaymentRefused(Refusal.DEPOSIT_SIGNATURE)
        lock = self._locks.setdefault(channel.id, asyncio.Lock())
        try:
            async with lock:
                return await self._submit(channel, deposit)
        except Reverted as error:
            raise PaymentRefused(Refusal.DEPOSIT_FAILED, str(error)) from error
        except (UserFacingError, OSError) as error:
            raise PaymentRefused(Refusal.CHAIN, str(error)) from error
        finally:
            if not lock.locked():
                self._locks.pop(channel.id, None)

    async def _submit(self, channel: Channel, deposit: wire.Deposit) -> tuple[Channel, str]:
        authorization, payer = deposit.authorization.erc3009_authorization, channel.config.payer
        nonce = typed_data.authorization_nonce(channel.id, authorization.salt)
        used, held, now, before = await asyncio.gather(
            self._chain.token.authorization_state(payer, nonce),
            self._chain.token.balance_of(payer),
            self._chain.now(),
            read_channel(self._chain, channel, self._clock()),
        )
        if used:
            return await self._store.remember(before), ""
        if before.withdraw_at:
            raise PaymentRefused(Refusal.WITHDRAWING)
        if authorization.valid_after >= now:
            raise PaymentRefused(Refusal.DEPOSIT_EARLY)
        if authorization.valid_before <= now + EXPIRY_MARGIN_S:
            raise PaymentRefused(Refusal.DEPOSIT_EXPIRED)
        if held < deposit.amount:
            raise PaymentRefused(Refusal.DEPOSIT_FUNDS)
        call = self._chain.settlement.deposit(
            vouchers.chain_config(channel.config),
            deposit.amount,
            self._collector,
            settlement.erc3009_collector_data(
                authorization.valid_after, authorization.valid_before, authorization.salt, authorization.signature
            ),
        )
        # Sent again while the first one waits for its block, it would cost gas and fail.
        receipt = await self._sender.send(call, purpose="channel deposit", key=f"deposit {nonce.hex()}")
        after = await read_channel(self._chain, channel, self._clock())
        return await self._store.remember(after), "0x" + receipt.tx.hex()
