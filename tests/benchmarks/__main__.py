"""All benchmarks as one table; `python3 dev.py bench` runs it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import (
    bench_chain,
    bench_compute,
    bench_engine,
    bench_gas,
    bench_gpu,
    bench_payments,
    bench_proving,
    bench_sealing,
    bench_storage,
    bench_workers,
)
from tests.benchmarks.table import Row, markdown

MIB = 2**20


def _parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"some of: {', '.join(_SUBJECTS)}")
    parser.add_argument("--mib", type=int, default=128, help="size of the stored file")
    parser.add_argument("--large-mib", type=int, default=2048, help="size of the file for flat memory")
    parser.add_argument("--rounds", type=int, default=3, help="transfers each way; medians are shown")
    parser.add_argument("--idle-s", type=float, default=30, help="how long the idle engine is watched")
    parser.add_argument("--transfers", type=int, default=300, help="transactions in each round against web3.py")
    parser.add_argument("--requests", type=int, default=300, help="paid requests of each kind")
    parser.add_argument("--events", type=int, default=100_000, help="how many the index is filled with")
    return parser.parse_args(arguments)


async def _sealing(_: argparse.Namespace) -> list[Row]:
    return bench_sealing.rows() + await bench_proving.rows()


async def _gas(_: argparse.Namespace) -> list[Row]:
    return bench_gas.rows()


async def _storage(chosen: argparse.Namespace) -> list[Row]:
    return await bench_storage.rows(chosen.mib * MIB, chosen.rounds, os.environ.get("DEPIN_TAHOE"))


async def _chain(chosen: argparse.Namespace) -> list[Row]:
    return await bench_chain.rows(chosen.transfers, chosen.events, chosen.rounds)


async def _payments(chosen: argparse.Namespace) -> list[Row]:
    return await bench_payments.rows(chosen.requests)


async def _compute(chosen: argparse.Namespace) -> list[Row]:
    return await bench_compute.rows(chosen.rounds, chosen.idle_s)


async def _workers(chosen: argparse.Namespace) -> list[Row]:
    return await bench_workers.rows(chosen.requests)


async def _gpu(chosen: argparse.Namespace) -> list[Row]:
    return await bench_gpu.rows(chosen.rounds)


async def _engine(chosen: argparse.Namespace) -> list[Row]:
    return await bench_engine.engine_rows(chosen.idle_s)


async def _app(_: argparse.Namespace) -> list[Row]:
    return await bench_engine.app_rows()


async def _memory(chosen: argparse.Namespace) -> list[Row]:
    return await bench_storage.memory_rows(chosen.large_mib * MIB)


_SUBJECTS: dict[str, Callable[[argparse.Namespace], Awaitable[list[Row]]]] = {
    "storage": _storage,
    "sealing": _sealing,
    "gas": _gas,
    "chain": _chain,
    "payments": _payments,
    "compute": _compute,
    "workers": _workers,
    "gpu": _gpu,
    "engine": _engine,
    "app": _app,
    "memory": _memory,
}


async def _run(chosen: argparse.Namespace) -> list[Row]:
    found: list[Row] = []
    for subject in chosen.only or _SUBJECTS:
        print(f"measuring: {subject}", file=sys.stderr, flush=True)
        found += await _SUBJECTS[subject](chosen)
    return found


def main() -> None:
    print(markdown(asyncio.run(_run(_parse()))))


if __name__ == "__main__":
    main()
