"""Writes payments by hand, for tests of what a paywall refuses."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
from eth_account.signers.local import LocalAccount

from depin_desktop.chain import typed_data
from depin_desktop.payments import headers as wire
from depin_desktop.payments import vouchers

from .payment_shop import DELAY_S, Shop


class Forger:
    """Writes payments by hand: right ones, and every kind of wrong one."""

    def __init__(self, shop: Shop, account: LocalAccount, session: aiohttp.ClientSession) -> None:
        self.shop, self.account, self.session = shop, account, session
        self.network = shop.chain.network

    def config(self, **changes: Any) -> wire.ChannelConfig:
        return wire.ChannelConfig(
            **{
                "payer": self.account.address,
                "payer_authorizer": self.account.address,
                "receiver": self.shop.owner.address,
                "receiver_authorizer": self.shop.operator.address,
                "token": self.network.addresses.token,
                "withdraw_delay": DELAY_S,
                "salt": bytes(32),
                **changes,
            }
        )

    def voucher(self, config: wire.ChannelConfig, total: int, signer: LocalAccount | None = None) -> wire.Voucher:
        channel = vouchers.channel_id(self.network, config)
        signature = typed_data.sign_voucher(signer or self.account, self.network, channel, total)
        return wire.Voucher(channel_id=channel, max_claimable_amount=total, signature=signature)

    async def deposit(
        self, config: wire.ChannelConfig, amount: int, until: int | None = None, after: int = 0
    ) -> wire.Deposit:
        channel = vouchers.channel_id(self.network, config)
        until = await self.shop.chain.now() + 600 if until is None else until
        salt = b"\x05" * 32
        signature = typed_data.sign_deposit(self.account, self.network, channel, amount, after, until, salt)
        authorization = wire.Erc3009Authorization(valid_after=after, valid_before=until, salt=salt, signature=signature)
        return wire.Deposit(amount=amount, authorization=wire.DepositAuthorization(erc3009_authorization=authorization))

    def payment(
        self,
        config: wire.ChannelConfig,
        voucher: wire.Voucher,
        price: int,
        deposit: wire.Deposit | None = None,
        **accepted: Any,
    ) -> wire.PaymentPayload:
        return wire.PaymentPayload(
            payload=wire.ChannelPayload(
                type="voucher" if deposit is None else "deposit",
                channel_config=config,
                voucher=voucher,
                deposit=deposit,
            ),
            accepted=wire.Accepted(
                **{
                    "scheme": wire.SCHEME,
                    "network": f"eip155:{self.network.chain_id}",
                    "asset": self.network.addresses.token,
                    "amount": price,
                    "pay_to": self.shop.owner.address,
                    **accepted,
                }
            ),
        )

    async def send(self, payment: wire.PaymentPayload | str, price: int) -> tuple[int, str | None]:
        """The status and the refusal's code; a refusal's body and header must say the same."""
        header = payment if isinstance(payment, str) else wire.encode(payment)
        async with self.session.get(f"{self.shop.url}{price}", headers={wire.PAYMENT_SIGNATURE: header}) as response:
            if response.status != 402:
                return response.status, None
            body = json.loads(await response.text())
            assert body["code"] == body["error"] == wire.decode_required(response.headers[wire.PAYMENT_REQUIRED]).error
            assert body["message"]
            return 402, body["error"]

    async def open(self, amount: int = 10_000, price: int = 100) -> wire.ChannelConfig:
        """A channel with one paid request."""
        config = self.config()
        payment = self.payment(config, self.voucher(config, price), price, await self.deposit(config, amount))
        assert await self.send(payment, price) == (200, None)
        return config
