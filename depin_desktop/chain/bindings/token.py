"""DepinToken: ERC-20 with EIP-2612 permits and ERC-3009 authorisations. Amounts in base units."""

from __future__ import annotations

from typing import cast

from depin_desktop.chain.bindings.contract import Contract
from depin_desktop.chain.calls import Call


class Token(Contract):
    """The network's token."""

    async def balance_of(self, account: str) -> int:
        return cast(int, await self._value("balanceOf", account))

    async def allowance(self, owner: str, spender: str) -> int:
        return cast(int, await self._value("allowance", owner, spender))

    async def total_supply(self) -> int:
        return cast(int, await self._value("totalSupply"))

    async def scheduled_by(self, time: int) -> int:
        """What the emission's schedule releases until `time`, Unix seconds."""
        return cast(int, await self._value("scheduledBy", time))

    async def emitted(self) -> int:
        """What of it was minted."""
        return cast(int, await self._value("emitted"))

    async def symbol(self) -> str:
        return cast(str, await self._value("symbol"))

    async def nonces(self, owner: str) -> int:
        """The next permit's nonce."""
        return cast(int, await self._value("nonces", owner))

    async def authorization_state(self, authorizer: str, nonce: bytes) -> bool:
        """Whether an ERC-3009 authorisation was used or cancelled."""
        return cast(bool, await self._value("authorizationState", authorizer, nonce))

    async def domain_separator(self) -> bytes:
        return cast(bytes, await self._value("DOMAIN_SEPARATOR"))

    def emit_due(self) -> Call:
        """Mints to the beneficiary what the schedule has released since the last call; anyone may send it."""
        return self._call("emitDue")

    def transfer(self, to: str, amount: int) -> Call:
        return self._call("transfer", to, amount)

    def approve(self, spender: str, amount: int) -> Call:
        return self._call("approve", spender, amount)

    def receive_with_authorization(
        self, payer: str, to: str, amount: int, valid_after: int, valid_before: int, nonce: bytes, signature: bytes
    ) -> Call:
        """Takes what `payer` has signed over by ERC-3009; `to` must be who sends this."""
        return self._call("receiveWithAuthorization", payer, to, amount, valid_after, valid_before, nonce, signature)
