"""The unmodified `x402` Python client buys from our paywall."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import requests
from eth_account.signers.local import LocalAccount
from x402.client import x402ClientSync
from x402.http.clients.requests import x402_requests
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme, BatchSettlementEvmSchemeOptions
from x402.mechanisms.evm.batch_settlement.client.scheme import RefundOptions
from x402.mechanisms.evm.signers import EthAccountSignerWithRPC

from depin_desktop.chain.network import Network
from depin_desktop.payments.refusals import Refusal

from .payment_shop import open_shop


def stock(
    network: Network, account: LocalAccount, salt: bytes = bytes(32)
) -> tuple[BatchSettlementEvmScheme, requests.Session]:
    scheme = BatchSettlementEvmScheme(
        EthAccountSignerWithRPC(account, network.rpc_url),
        BatchSettlementEvmSchemeOptions(salt="0x" + salt.hex()),
    )
    client = x402ClientSync().register(f"eip155:{network.chain_id}", scheme)
    client.set_spend_controls(
        {
            "allowed_assets": [
                {
                    "network": f"eip155:{network.chain_id}",
                    "asset": network.addresses.token,
                    "max_amount_per_payment": str(10**18),
                }
            ]
        }
    )
    return scheme, x402_requests(client)


class Fetched:
    """What the client's refund wants of an HTTP library; its default one is not among our dependencies."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        answer = requests.get(url, headers=headers, timeout=10)
        self.status, self.header = answer.status_code, answer.headers.get


async def test_the_stock_client_buys_fifty_responses_and_gets_its_change(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    before = 10_000 * 10**18
    # The shared chain's clock may run ahead of the wall clock, by which the stock client dates its deposits.
    async with open_shop(network, tmp_path, fund, max_timeout_s=10**9) as shop:
        scheme, session = stock(network, account)
        prices = [*(random.Random(9).randrange(1, 10**6) for _ in range(49)), 7]  # the last top-up leaves change

        def shopping() -> list[int]:
            return [session.get(f"{shop.url}{price}", timeout=10).status_code for price in prices]

        assert set(await asyncio.to_thread(shopping)) == {200}
        assert shop.served == prices
        (channel,) = shop.paywall.store.channels.values()
        assert channel.book.charged == channel.book.signed == sum(prices)
        assert await shop.paywall.claim() == await shop.paywall.settle() == sum(prices)

        refunded = await asyncio.to_thread(scheme.refund, f"{shop.url}1", RefundOptions(fetch=Fetched))
        assert refunded.success
        assert await shop.chain.token.balance_of(account.address) == before - sum(prices)


async def test_the_stock_client_recovers_after_it_lost_its_state(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund, max_timeout_s=10**9) as shop:
        for _ in range(2):  # a new client has an empty memory
            _, session = stock(network, account)
            for _ in range(2):
                answer = await asyncio.to_thread(session.get, f"{shop.url}100", timeout=10)
                assert answer.status_code == 200
        (channel,) = shop.paywall.store.channels.values()
        assert channel.book.charged == 400


async def test_the_stock_clients_payment_cannot_be_replayed(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund, max_timeout_s=10**9) as shop:
        _, session = stock(network, account)
        assert (await asyncio.to_thread(session.get, f"{shop.url}100", timeout=10)).status_code == 200
        headers = {"PAYMENT-SIGNATURE": shop.sent[-1]}
        replay = await asyncio.to_thread(requests.get, f"{shop.url}100", headers=headers, timeout=10)
        assert replay.status_code == 402
        assert replay.json()["error"] == Refusal.TOTAL
        assert shop.served == [100]
