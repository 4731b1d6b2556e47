"""Neighbours who have work done: questions, vectors and small programs, looked at when they come back."""

from __future__ import annotations

import asyncio
import logging
import time

from depin_desktop.customer.compute.session import Compute
from depin_desktop.localnet.errands_policy import FUEL, MEMORY, PRIMES, SECONDS, Errand, Work, primes_below

log = logging.getLogger(__name__)


async def run_errand(compute: Compute, errand: Errand) -> bool:
    """Buys one piece of work; whether it came back well.

    Raises:
        UserFacingError: nobody did it.
    """
    if errand.work is Work.CHAT:
        return await _ask(compute, errand)
    if errand.work is Work.EMBEDDING:
        found = await compute.embed(errand.texts)
        alike = len(found.vectors) == len(errand.texts) and all(found.vectors)
        return _noted(alike, f"embedded {len(errand.texts)} texts in {found.seconds:.2f} s")
    ran = await compute.run_wasm(PRIMES, b"%d" % errand.below, fuel=FUEL, seconds=SECONDS, memory=MEMORY)
    right = ran.output == b"%d\n" % await asyncio.to_thread(primes_below, errand.below)
    return _noted(right, f"counted primes below {errand.below} in {ran.seconds:.2f} s with {ran.fuel} fuel")


async def _ask(compute: Compute, errand: Errand) -> bool:
    began = time.monotonic()
    async with compute.stream(errand.text, **errand.options) as parts:
        length = sum([len(part) async for part in parts])
    tokens = parts.reply.completion_tokens if parts.reply is not None else 0
    return _noted(length > 0, f"asked “{errand.text}”: {tokens} tokens in {time.monotonic() - began:.2f} s")


def _noted(well: bool, what: str) -> bool:
    if well:
        log.info("%s, as it should be", what)
    else:
        log.error("%s, and it is wrong", what)
    return well
