"""The unmodified `x402` Python client buys from our paywall, over iroh through a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import requests
from eth_account.signers.local import LocalAccount
from x402.client import x402ClientSync
from x402.http.clients.requests import x402_requests
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme, BatchSettlementEvmSchemeOptions
from x402.mechanisms.evm.batch_settlement.client.scheme import RefundOptions
from x402.mechanisms.evm.signers import EthAccountSignerWithRPC

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.net.identity import Identity
from depin_desktop.net.peer import Peer
from depin_desktop.net.tunnel import Tunnel
from depin_desktop.payments import headers as wire
from depin_desktop.payments.refusals import Refusal

from .payment_shop import Shop, customer_of, open_shop, shop_of


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


@contextlib.asynccontextmanager
async def loopback_port(shop: Shop) -> AsyncIterator[str]:
    """The shop as a provider: its HTTP over iroh, and a customer's TCP port that leads to it."""
    provider = await Peer.bind(Identity.generate(), relays=False)
    await provider.serve(shop.app())
    customer = await Peer.bind(Identity.generate(), relays=False)
    tunnel = await Tunnel.open(customer, provider.node_id, provider.addresses)
    try:
        yield tunnel.url
    finally:
        await tunnel.close()
        await customer.close()
        await provider.close()


async def test_the_stock_client_buys_fifty_metered_responses_over_iroh(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with (
        open_shop(network, tmp_path, fund, max_timeout_s=10**9) as shop,
        loopback_port(shop) as url,
    ):
        _, session = stock(network, account)
        dice = random.Random(4)
        used = [dice.randrange(0, 1001) for _ in range(50)]

        def shopping() -> list[int]:
            return [session.get(f"{url}/work/1000/{each}", timeout=10).status_code for each in used]

        assert set(await asyncio.to_thread(shopping)) == {200}
        (channel,) = shop.paywall.store.channels.values()
        assert channel.book.charged == sum(used)
        before = await shop.chain.token.balance_of(shop.owner.address)
        assert await shop.paywall.claim() == await shop.paywall.settle() == sum(used)
        assert await shop.chain.token.balance_of(shop.owner.address) == before + sum(used)

        # What it sent cannot be used again: neither the newest voucher nor an older one.
        assert used[-1] > 0
        for header in (shop.sent[-1], shop.sent[1], shop.sent[-3]):
            answer = await asyncio.to_thread(
                requests.get, f"{url}/work/1000/1", headers={"PAYMENT-SIGNATURE": header}, timeout=10
            )
            assert answer.status_code == 402
        assert (await asyncio.to_thread(session.get, f"{url}/work/1000/5", timeout=10)).status_code == 200


@pytest.mark.parametrize("goods", ["goods/100", "work/1000/5"])
async def test_a_provider_remembers_the_node_that_paid_and_not_the_one_that_was_refused(
    network: Network, tmp_path: Path, fund, new_account, goods: str
) -> None:
    """It is let in before others when there is no room for all."""
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund, max_timeout_s=10**9) as shop, contextlib.AsyncExitStack() as stack:
        provider, customer = [await Peer.bind(Identity.generate(), relays=False) for _ in range(2)]
        stack.push_async_callback(provider.close)
        stack.push_async_callback(customer.close)
        await provider.serve(shop.app())
        tunnel = await Tunnel.open(customer, provider.node_id, provider.addresses)
        stack.push_async_callback(tunnel.close)
        assert (await asyncio.to_thread(requests.get, f"{tunnel.url}/{goods}", timeout=10)).status_code == 402
        assert not provider.has_paid(customer.node_id)
        _, session = stock(network, account)
        assert (await asyncio.to_thread(session.get, f"{tunnel.url}/{goods}", timeout=10)).status_code == 200
        assert provider.has_paid(customer.node_id)


async def test_the_stock_clients_voucher_is_refused_after_the_providers_restart_too(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund, max_timeout_s=10**9) as shop:
        _, session = stock(network, account)
        for _ in range(2):
            answer = await asyncio.to_thread(session.get, f"{shop.url}100", timeout=10)
            assert answer.status_code == 200
        old, operator, owner = shop.sent[1], shop.operator, shop.owner
    async with shop_of(network, tmp_path, operator, owner, max_timeout_s=10**9) as shop:
        answer = await asyncio.to_thread(requests.get, f"{shop.url}100", headers={"PAYMENT-SIGNATURE": old}, timeout=10)
        assert answer.status_code == 402
        assert shop.paywall.pending() == 200


async def test_the_stock_client_reads_a_streams_receipt_or_recovers_without_it(
    network: Network, tmp_path: Path, fund, new_account
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund, max_timeout_s=10**9) as shop:
        shop.go_on.set()
        _, session = stock(network, account)
        for used in (10, 20, 30):  # its receipt comes after the headers: it is told the count by the next refusal
            answer = await asyncio.to_thread(session.get, f"{shop.base}work/100/{used}?stream", timeout=10)
            assert answer.status_code == 200
            lines = answer.text.splitlines()
            receipt = lines[lines.index("event: x402.payment-response") + 1].removeprefix("data: ")
            details = wire.decode_response(receipt).extra
            assert details is not None
            assert details.charged_amount == used
        assert shop.paywall.pending() == 60


async def waiting(chain: Chain) -> bool:
    """Whether the node has a transaction that no block holds yet."""
    return int((await chain.rpc.request("txpool_status"))["pending"], 16) > 0


async def test_a_deposit_on_a_slow_chain_does_not_hold_up_the_event_loop(
    network: Network, tmp_path: Path, fund, new_account, chain: Chain
) -> None:
    account = await new_account(gas=0)
    async with open_shop(network, tmp_path, fund) as shop, customer_of(network, tmp_path, account) as customer:
        await chain.rpc.request("evm_setAutomine", False)
        loop, worst, blocks = asyncio.get_running_loop(), 0.0, 0
        try:
            buying = asyncio.ensure_future(customer.buy(shop, 100))
            async with asyncio.timeout(20):
                while not buying.done():  # each round is a turn of the loop while the deposit waits for its block
                    before = loop.time()
                    await asyncio.sleep(0)
                    worst = max(worst, loop.time() - before)
                    # What is pending is on disk before it is broadcast; a block made in between would be empty.
                    if shop.sender.pending and not blocks and await waiting(chain):
                        assert not buying.done()
                        blocks += 1
                        await chain.rpc.request("evm_mine")
            assert (await buying).status == 200
        finally:
            await chain.rpc.request("evm_setAutomine", True)
        assert blocks == 1
        assert worst < 0.5
