"""How fast pieces are sealed, written and proven, beside flat hashing of the same bytes.

Run it as `python tests/benchmarks/bench_sealing.py`; `--json` prints one object. One process, no network: the figures
are those of the disk and the processor.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from depin_desktop.sealing import leaf_count, native, prove_leaves, seal
from depin_desktop.sealing.hashing import PlainHasher, best_hasher
from depin_desktop.services.storage.files import Marker, PieceFiles, PieceWriter
from tests.benchmarks.table import Row

MIB = 2**20


@dataclass(frozen=True)
class SealingFigures:
    """Rates in MB/s (10^6 bytes), medians; ratio is seal to flat; the proof of one leaf in milliseconds."""

    kernel: str
    size_bytes: int
    first_use_ms: float
    flat_mb_s: float
    seal_mb_s: float
    ratio: float
    seal_two_threads_mb_s: float
    openssl_tree_mb_s: float
    hashlib_tree_mb_s: float
    write_mb_s: float
    write_and_seal_durably_mb_s: float
    prove_leaf_ms: float


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def on_two_threads(data: memoryview) -> None:
    half = len(data) // 2
    threads = [threading.Thread(target=seal, args=(part,)) for part in (data[:half], data[half:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def write_only(folder: Path, data: memoryview) -> None:
    with open(folder / "flat", "wb", buffering=0) as file:
        for at in range(0, len(data), MIB):
            file.write(data[at : at + MIB])
        os.fsync(file.fileno())
    (folder / "flat").unlink()


def store(files: PieceFiles, data: memoryview, root: str) -> None:
    """What an upload does in the folder's threads."""
    writer = PieceWriter(files)
    for at in range(0, len(data), MIB):
        writer.write([data[at : at + MIB]])  # type: ignore[list-item]
    sealed = writer.seal()
    assert sealed.root.hex() == root
    writer.store(root, sealed)
    files.remove(root)


def measure(size: int, rounds: int, folder: Path) -> SealingFigures:
    first = seconds(best_hasher)
    data = memoryview(os.urandom(size))
    sealed = seal(data)
    files = PieceFiles(folder)
    files.prepare(Marker("bench", "bench"))

    def rate(work: Callable[[], object], count: int = size) -> float:
        return count / 1e6 / statistics.median(seconds(work) for _ in range(rounds))

    def read(offset: int, length: int) -> bytes:
        return bytes(data[offset : offset + length])

    flat, ours = rate(lambda: hashlib.sha256(data).digest()), rate(lambda: seal(data))
    middle = leaf_count(size) // 2
    openssl = native.NativeHasher(native.OPENSSL, native.compile_in_child(native.OPENSSL))
    prove = rate(lambda: prove_leaves(read, sealed.leaf_count, [middle], sealed.layer), 10**6)
    return SealingFigures(
        kernel=best_hasher().name,
        size_bytes=size,
        first_use_ms=first * 1e3,
        flat_mb_s=flat,
        seal_mb_s=ours,
        ratio=ours / flat,
        seal_two_threads_mb_s=rate(lambda: on_two_threads(data)),
        openssl_tree_mb_s=rate(lambda: openssl.spans(data)),
        hashlib_tree_mb_s=rate(lambda: PlainHasher().spans(data[: 8 * MIB]), 8 * MIB),
        write_mb_s=rate(lambda: write_only(folder, data)),
        write_and_seal_durably_mb_s=rate(lambda: store(files, data, sealed.root.hex())),
        prove_leaf_ms=1e3 / prove,
    )


def rows(size: int = 128 * MIB, rounds: int = 5) -> list[Row]:
    """The table's rows."""
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(size, rounds, Path(folder))
    kernel = figures.kernel
    return [
        Row(f"seal, {kernel}", figures.seal_mb_s, "MB/s", figures.flat_mb_s, "flat SHA-256", "≥ 0.9"),
        Row("seal, compiled loop over OpenSSL", figures.openssl_tree_mb_s, "MB/s", figures.flat_mb_s, "flat SHA-256"),
        Row("seal, plain hashlib", figures.hashlib_tree_mb_s, "MB/s", figures.flat_mb_s, "flat SHA-256"),
        Row("write, seal, fsync", figures.write_and_seal_durably_mb_s, "MB/s", figures.write_mb_s, "write and fsync"),
        Row("prove one leaf of 128 MiB", figures.prove_leaf_ms, "ms"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asdict(measure(chosen.mib * MIB, chosen.rounds, Path(folder)))
    if chosen.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:,.2f}" if isinstance(value, float) else f"{name:28} {value}")


if __name__ == "__main__":
    main()
