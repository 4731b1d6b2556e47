"""A provider in a process of its own, for tests that kill it: prints its node id and address, then serves.

Usage: python net_child.py SECRET_HEX
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from depin_desktop.net.identity import Identity
from depin_desktop.net.peer import Peer


async def hang(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"begun")
    await asyncio.Event().wait()
    return response


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def main() -> None:
    peer = await Peer.bind(Identity.from_secret(bytes.fromhex(sys.argv[1])), relays=False)
    app = web.Application()
    app.add_routes([web.get("/hang", hang), web.get("/hello", hello)])
    await peer.serve(app)
    print(peer.node_id, peer.addresses[0], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
