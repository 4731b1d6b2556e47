"""The owner at work: the wallet unlocked for as long as it takes to look at a step, sign it and see it on the chain.

Every step is looked at before it is taken: the chain has simulated it and its highest fee is known when `Step` is
returned, and nothing has been signed for the chain until `take`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from depin_desktop.api.models import Money, Snapshot
from depin_desktop.chain.accounts import LocalAccount
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.reverts import Reverted
from depin_desktop.chain.sender import Sender
from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.joining import joined_network
from depin_desktop.wallet.looks import Looks, Step
from depin_desktop.wallet.permits import with_permit
from depin_desktop.wallet.vault import Vault

__all__ = ["Owner", "Step", "Taken", "open_owner"]


class Taken(Snapshot):
    """A step that is on the chain: its transaction, and the fee that it cost in wei and in tokens (0: no price)."""

    transaction: str
    block: int
    amount: Money
    fee: Money
    fee_worth: Money


class Owner(Looks):
    """The owner's account on its network, unlocked. Keep it only as long as it is needed; `open_owner` makes it."""

    def __init__(self, chain: Chain, account: LocalAccount, sender: Sender, operator: str, spender: Signer) -> None:
        super().__init__(chain, operator, spender, sender.estimates)
        self._account = account
        self._sender = sender

    async def stake(self, amount: int | None) -> Step:
        """More stake, in one transaction: the allowance is a permit's, which others may have used before us.

        Raises:
            UserFacingError: the wallet holds too little, or provides nothing.
        """
        amount = await self._stakeable(amount)
        call = await with_permit(self.chain, self._account, amount, self.chain.registry.stake(amount))
        return await self._step(call, "stake", f"Stake {self._tokens(amount)}", amount)

    async def take(self, step: Step, taken_off: Callable[[bytes], object] | None = None) -> Taken:
        """Sends it and waits until it is on the chain.

        Args:
            taken_off: is told the transaction's hash once it is on its way.

        Raises:
            Reverted, UserFacingError: as `Sender.send`.
        """
        try:
            receipt = await self._sender.send(step.call, purpose=step.purpose, taken_off=taken_off)
        except Reverted as reverted:
            if reverted.tx is None:
                raise
            raise UserFacingError(
                f"The chain took the transaction up and refused it, which cost its fee: {reverted.message}",
                f"{reverted.remedy} The transaction is 0x{reverted.tx.hex()}.".strip(),
                code=reverted.code,
                status=reverted.status,
            ) from reverted
        return Taken(
            transaction="0x" + receipt.tx.hex(),
            block=receipt.block,
            amount=step.amount,
            fee=receipt.fee,
            fee_worth=self.chain.network.fee_in_token(receipt.fee),
        )


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
