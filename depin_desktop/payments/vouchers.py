"""Channels and vouchers as the provider checks them: pure, and fast enough to run on every request.

The hashing and the curve are `chain.typed_data`'s, which accepts only what the chain accepts: 65 bytes, v of 27 or 28,
s in the lower half of the order (EIP-2; OpenZeppelin ECDSA). A laxer check would give service for vouchers that can
never be claimed, and one such voucher would revert a whole batch of claims.
"""

from __future__ import annotations

from functools import lru_cache

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings import settlement
from depin_desktop.chain.network import Network
from depin_desktop.payments import headers as wire

MIN_WITHDRAW_DELAY_S = 900
MAX_WITHDRAW_DELAY_S = 2_592_000


@lru_cache(maxsize=4096)
def chain_config(config: wire.ChannelConfig) -> settlement.ChannelConfig:
    """The wire's channel configuration as the contract's binding takes it."""
    return settlement.ChannelConfig(
        payer=config.payer,
        payer_authorizer=config.payer_authorizer,
        receiver=config.receiver,
        receiver_authorizer=config.receiver_authorizer,
        token=config.token,
        withdraw_delay=config.withdraw_delay,
        salt=config.salt,
    )


def channel_id(network: Network, config: wire.ChannelConfig) -> bytes:
    """The channel's id: the full EIP-712 digest of its configuration."""
    return typed_data.channel_id(network, chain_config(config))


def authorizer(config: wire.ChannelConfig) -> str:
    """Whose signature vouchers of this channel carry: the payer's hot key, or the payer where none is named."""
    return config.payer if int(config.payer_authorizer, 16) == 0 else config.payer_authorizer


def is_signed(network: Network, config: wire.ChannelConfig, voucher: wire.Voucher) -> bool:
    """Whether the chain would accept this voucher's signature."""
    try:
        signer = typed_data.recover_voucher(
            network, voucher.channel_id, voucher.max_claimable_amount, voucher.signature
        )
    except typed_data.BadSignature:
        return False
    return signer == authorizer(config)


def is_deposit_signed(network: Network, payer: str, channel: bytes, deposit: wire.Deposit) -> bool:
    """Whether the token would accept this deposit's authorisation, apart from its times and the payer's balance."""
    authorization = deposit.authorization.erc3009_authorization
    try:
        signer = typed_data.recover_receive(
            network,
            payer,
            network.addresses.erc3009_collector,
            deposit.amount,
            authorization.valid_after,
            authorization.valid_before,
            typed_data.authorization_nonce(channel, authorization.salt),
            authorization.signature,
        )
    except typed_data.BadSignature:
        return False
    return signer == payer
