"""What paying adds to a request: the same tiny answer unpaid, for a fixed price, and metered, over loopback TCP.

Customer and provider share one process and one event loop, so both sides' work is in the figures.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from depin_desktop.chain.chain import Chain
from depin_desktop.payments import headers as wire
from tests.benchmarks.table import Row
from tests.integration.chain_anvil import account, anvil_with_contracts
from tests.integration.payment_shop import Customer, Shop, customer_of, shop_of

OPERATOR, PAYER, OWNER = account(1), account(2), account(3)
WARM_UP = 20
PRICE = 1000


async def rows(requests: int) -> list[Row]:
    """Medians of `requests` requests of each kind, taken in turns so that a busy moment meets all of them."""
    with tempfile.TemporaryDirectory(prefix="depin-bench-") as temporary:
        folder = Path(temporary)
        async with (
            anvil_with_contracts(folder, OPERATOR, PAYER) as (_, network),
            shop_of(network, folder, OPERATOR, OWNER) as shop,
            customer_of(network, folder, PAYER) as customer,
        ):
            await shop.sender.send(shop.chain.token.transfer(PAYER.address, 10**24), purpose="half of it")
            return await _measure(shop, customer, requests)


async def _measure(shop: Shop, customer: Customer, requests: int) -> list[Row]:
    async def unpaid() -> None:
        async with customer.session.get(f"{shop.base}free") as response:
            await response.read()

    async def fixed() -> None:
        await customer.buy(shop, PRICE, price=PRICE, expect=PRICE * requests * 2)

    async def metered() -> None:
        await customer.use(shop, PRICE, PRICE // 2, price=PRICE)

    ways: dict[str, Callable[[], Awaitable[None]]] = {"unpaid": unpaid, "fixed": fixed, "metered": metered}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():
        for _ in range(WARM_UP):
            await run()
    calls, vouchers, asked = _counted(shop.chain, customer.chain), 0, 0
    for _ in range(requests):
        for name, run in ways.items():
            before, began = len(calls), time.perf_counter()
            await run()
            took[name].append((time.perf_counter() - began) * 1000)
            if name != "unpaid" and wire.decode_payload(shop.sent[-1]).payload.type == "voucher":
                vouchers += 1
                asked += len(calls) - before
    median = {name: statistics.median(values) for name, values in took.items()}
    return [
        Row("request, unpaid, p50", median["unpaid"], "ms"),
        Row("paying a fixed price, added at p50", median["fixed"] - median["unpaid"], "ms", bound="≤ 6"),
        Row("paying for metered use, added at p50", median["metered"] - median["unpaid"], "ms", bound="≤ 6"),
        Row(f"calls to the chain for {vouchers} vouchers", asked, "calls", bound="≤ 0"),
        Row(f"the same for {requests * 2 - vouchers} deposits between them", len(calls) - asked, "calls"),
    ]


def _counted(*chains: Chain) -> list[str]:
    """Notes every call to the chain from now on, on both sides."""
    made: list[str] = []

    def noting(plain: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            made.append(name)
            return plain(*arguments, **options)

        return call

    for chain in chains:
        rpc: Any = chain.rpc
        for name in ("request", "batch"):
            setattr(rpc, name, noting(getattr(rpc, name), name))
    return made
