"""An allowance by signature, for a call of the registry's in the same transaction."""

from __future__ import annotations

import asyncio

from depin_desktop.chain import typed_data
from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.typed_data import Signer

SIGNED_FOR_S = 3600


async def with_permit(chain: Chain, account: Signer, amount: int, call: Call) -> Call:
    """`call`, which takes `amount` of the account's tokens for the registry, with the permit that it needs.

    Whoever sees the permit may use it first; the contract does not mind, for then the allowance is there.
    """
    registry = chain.registry
    nonce, now = await asyncio.gather(chain.token.nonces(account.address), chain.now())
    until = now + SIGNED_FOR_S
    signed = typed_data.sign_permit(account, chain.network, registry.address, amount, nonce, until)
    return registry.multicall([registry.permit(amount, until, signed[64], signed[:32], signed[32:64]), call])
