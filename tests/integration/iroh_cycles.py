"""Streams in reference cycles, collected in the middle of iroh's calls to Python: prints "done" unless it stands still.

Usage: python iroh_cycles.py
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from importlib import import_module
from typing import Any

import iroh

from depin_desktop.net import iroh_release

ALPN = b"cycles"
LOOP_THREAD = threading.get_ident()
IN_STEP, ROUNDS = 20, 50


class Held:
    """Keeps a stream, and itself, so that only the collector frees them."""

    def __init__(self, stream: iroh.BiStream) -> None:
        self.me, self.stream, self.receiver, self.sender = self, stream, stream.recv(), stream.send()


def collect_when_called(binding: Any) -> None:
    """Lets the collector run where iroh's threads call Python, as it does there by chance otherwise."""
    futures = binding._UniffiContinuationHandleMap
    remove = futures.remove

    def removed(handle: int) -> Any:
        found = remove(handle)
        if threading.get_ident() != LOOP_THREAD:
            gc.collect()
        return found

    futures.remove = removed
    gc.disable()


async def bind() -> iroh.Endpoint:
    return await iroh.Endpoint.bind(
        iroh.EndpointOptions(
            preset=iroh.preset_minimal(), bind_addr="127.0.0.1:0", relay_mode=iroh.RelayMode.disabled(), alpns=[ALPN]
        )
    )


async def main() -> None:
    assert iroh_release.apply()
    server, client = await bind(), await bind()
    calling = asyncio.create_task(
        client.connect(iroh.EndpointAddr(server.id(), None, list(server.bound_sockets())), ALPN)
    )
    incoming = await server.accept_next()
    assert incoming is not None
    accepted, called = await (await incoming.accept()).connect(), await calling
    collect_when_called(import_module("iroh.iroh_ffi"))

    async def serve() -> None:
        while True:
            held = Held(await accepted.accept_bi())
            await held.receiver.read(2)
            await held.sender.write_all(b"ok")
            await held.sender.finish()

    async def ask() -> None:
        for _ in range(ROUNDS):
            held = Held(await called.open_bi())
            await held.sender.write_all(b"hi")
            await held.sender.finish()
            await held.receiver.read_to_end(2)

    serving = asyncio.create_task(serve())
    await asyncio.gather(*(ask() for _ in range(IN_STEP)))
    print("done", flush=True)
    serving.cancel()
    os._exit(0)  # what is still held here is not what this is about


if __name__ == "__main__":
    asyncio.run(main())
