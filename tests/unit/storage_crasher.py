"""A provider that is killed while it takes pieces in: forks one after the other, each killed at an unforeseen moment.

Run as a program: `python storage_crasher.py HOME ROUNDS SEED`; prints the root of every piece that was acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from eth_account import Account

from depin_desktop.core.units import MIB
from depin_desktop.sealing import seal
from tests.unit.storage_rig import noise, rig

OWNER = "0x" + "0c" * 20
SHARE = 512 * MIB


async def provide(home: Path, pipe: int, seed: int) -> None:
    """Stores pieces, four at a time, until killed; tells each root once its receipt has come."""
    chance = random.Random(seed)
    async with rig(home, share=SHARE, owner=OWNER, operator=Account.from_key(b"\x07" * 32)) as r:

        async def customer(lane: int) -> None:
            for number in range(1000):
                data = noise(chance.randrange(1, 400_000), (seed, lane, number))
                status, receipt = await r.put(data)
                assert status == 201, receipt
                os.write(pipe, bytes.fromhex(receipt["root"]))

        await asyncio.gather(*(customer(lane) for lane in range(4)))


def one_life(home: Path, seed: int) -> list[str]:
    """Forks a provider, kills it after a few acknowledgements and a moment more, and returns what it had told."""
    chance = random.Random(-seed)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            asyncio.run(provide(home, writing, seed))
        finally:
            os._exit(1)
    os.close(writing)
    told = b""
    wanted = 32 * chance.randrange(1, 12)
    while len(told) < wanted and (part := os.read(reading, wanted - len(told))):
        told += part
    select.select([], [], [], chance.uniform(0, 0.004))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(reading, 1 << 16):
        told += part
    os.close(reading)
    assert len(told) >= wanted, "the provider ended by itself"
    return [told[at : at + 32].hex() for at in range(0, len(told), 32)]


def main() -> None:
    home, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    seal(b"warm")  # the kernel is compiled once, before the forks
    for number in range(rounds):
        for root in one_life(home, seed + number):
            print(root, flush=True)


if __name__ == "__main__":
    main()
