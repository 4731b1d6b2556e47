"""A shop in a process of its own, for tests that kill it: reads its keys from standard input, prints its address.

Usage: python -m tests.integration.payment_child NETWORK_FILE FOLDER. A request with `?die=charge` kills it with
SIGKILL after the charge is on disk and before its answer; `?die=work` in the middle of metered work.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import web
from eth_account import Account

from depin_desktop.chain.network import Network

from .payment_shop import shop_of


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    network, folder = Network.load(Path(sys.argv[1])), Path(sys.argv[2])
    operator, owner = (Account.from_key(sys.stdin.readline().strip()) for _ in range(2))
    async with shop_of(network, folder, operator, owner) as shop:
        charge = shop.paywall.charge

        async def fragile(request: web.Request) -> web.StreamResponse:
            payment = await charge(request, int(request.match_info["price"]), "reads")
            if request.query.get("die") == "charge":
                kill_myself()
            return web.Response(headers=payment.headers)

        async def fragile_work(request: web.Request) -> web.StreamResponse:
            async with await shop.paywall.hold(request, int(request.match_info["ceiling"]), "work") as hold:
                if request.query.get("die") == "work":
                    kill_myself()
                payment = await hold.charge(int(request.match_info["used"]))
                return web.Response(headers=payment.headers)

        app = web.Application()
        app.add_routes([web.get("/goods/{price}", fragile), web.post("/work/{ceiling}/{used}", fragile_work)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
