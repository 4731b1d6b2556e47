"""A channel is held by one piece of work at a time, for a bounded time; what may come to be owed is always known."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from depin_desktop.core.errors import UserFacingError
from depin_desktop.payments.answers import Payment
from depin_desktop.payments.headers import ChannelConfig
from depin_desktop.payments.holds import Hold, Holds
from depin_desktop.payments.refusals import PaymentRefused
from depin_desktop.payments.store import Channel, Promise

TIMEOUT_S = 10.0
payers = st.sampled_from(["0x" + "aa" * 20, "0x" + "bb" * 20])
numbers = st.integers(0, 3)


class Holding(RuleBasedStateMachine):
    """Any order of holds, charges, ends and time, against a plain list of what is open."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.holds = Holds(lambda: self.now)
        self.open: list[Hold] = []
        self.single: list[tuple[Channel, int, Any]] = []
        self.charged = 0

    def channel(self, number: int, payer: str) -> Channel:
        config = ChannelConfig(
            payer=payer, payer_authorizer=payer, receiver=payer, receiver_authorizer=payer, token=payer,
            withdraw_delay=900, salt=bytes(32),
        )  # fmt: skip
        return Channel(bytes([number]) + payer.encode(), config)

    def busy(self, channel: Channel) -> bool:
        return any(hold.channel.id == channel.id for hold in self.open)

    async def charge(self, hold: Hold, actual: int) -> Payment:
        self.charged += actual
        return Payment({}, hold.customer, actual, hold.channel_id)

    async def extend(self, hold: Hold, request: object, more: int) -> None:
        raise AssertionError("not asked for here")

    @rule(number=numbers, payer=payers, ceiling=st.integers(0, 50))
    def begin(self, number: int, payer: str, ceiling: int) -> None:
        channel = self.channel(number, payer)
        passing = any(one.id == channel.id for one, _, _ in self.single)
        promise = Promise(ceiling, b"", ceiling)
        hold = Hold(
            channel, "work", ceiling, promise, "", self.now + TIMEOUT_S, self.charge, self.extend, self.holds.end
        )
        if self.busy(channel) or passing:
            with pytest.raises(PaymentRefused):
                self.holds.open(hold)
        else:
            self.open.append(self.holds.open(hold))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        hold = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        with pytest.raises(ValueError, match="ceiling"):
            asyncio.run(hold.charge(hold.ceiling + 1))
        if data.draw(st.booleans()):
            before, actual = self.charged, data.draw(st.integers(0, hold.ceiling))
            asyncio.run(hold.charge(actual))
            assert self.charged == before + actual
        else:
            asyncio.run(hold.cancel())
        with pytest.raises(UserFacingError):
            asyncio.run(hold.charge(0))

    @rule(number=numbers, payer=payers, amount=st.integers(0, 50))
    def begin_charge(self, number: int, payer: str, amount: int) -> None:
        channel, stack = self.channel(number, payer), contextlib.ExitStack()
        if self.busy(channel):
            with pytest.raises(PaymentRefused):
                stack.enter_context(self.holds.passing(channel, amount))
        else:
            stack.enter_context(self.holds.passing(channel, amount))
            self.single.append((channel, amount, stack))

    @precondition(lambda self: self.single)
    @rule(data=st.data())
    def end_charge(self, data: st.DataObject) -> None:
        _, _, stack = self.single.pop(data.draw(st.integers(0, len(self.single) - 1)))
        stack.close()

    @rule(seconds=st.floats(0, 2 * TIMEOUT_S))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for hold in self.open:
            self.holds.holding(hold.channel.id)  # as the next request of its channel does
        self.open = [hold for hold in self.open if hold.deadline > self.now]

    @invariant()
    def what_may_be_owed_is_known(self) -> None:
        for payer in ("0x" + "aa" * 20, "0x" + "bb" * 20):
            held = sum(hold.ceiling for hold in self.open if hold.channel.config.payer.lower() == payer)
            passing = sum(amount for channel, amount, _ in self.single if channel.config.payer.lower() == payer)
            assert self.holds.promised_by(self.channel(0, payer).config.payer) == held + passing


TestHolding = Holding.TestCase
TestHolding.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
