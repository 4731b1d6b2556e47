"""How long five challenges over a full tebibyte take to answer, and how much memory.

The tebibyte is 1024 pieces of 1 GiB as the provider keeps them: the pieces' files are sparse (each with one span of
random bytes, so that no two are alike), their cached layers are real and whole, 512 KiB each. Nothing of them is in the
page cache when a challenge comes.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from depin_desktop.sealing import SPAN, seal
from depin_desktop.sealing.hashing import best_hasher
from depin_desktop.sealing.merkle import HASH
from depin_desktop.services.storage.challenges import prove_piece
from depin_desktop.services.storage.files import Marker
from depin_desktop.services.storage.folders import Folder, FolderConfig
from depin_desktop.services.storage.store import Piece, PieceState
from tests.benchmarks.table import Row

PIECES = 1024
PIECE_BYTES = 2**30
LEAVES = PIECE_BYTES // 256
CHALLENGES = 5


@dataclass(frozen=True)
class Allocation:
    """A full folder and the pieces in it."""

    folder: Folder
    pieces: Sequence[Piece]

    def forget_cached(self) -> None:
        """Takes pieces and layers out of the page cache, where the system can be told to."""
        if not hasattr(os, "posix_fadvise"):
            return
        for piece in self.pieces:
            for path in (self.folder.files.piece(piece.root), self.folder.files.layer(piece.root)):
                file = os.open(path, os.O_RDONLY)
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)


def fill(path: Path) -> Allocation:
    """Makes the pieces: most of each is a hole in its file, which reads as zeros and seals as they do."""
    luck, hasher = random.Random(1), best_hasher()
    folder = Folder(FolderConfig("bench", str(path), PIECES * PIECE_BYTES, 0))
    folder.files.prepare(Marker("bench", "bench"))
    empty, pieces = seal(bytes(SPAN)).root, []
    for number in range(PIECES):
        data, span = luck.randbytes(SPAN), luck.randrange(PIECE_BYTES // SPAN)
        layer = bytearray(empty * (PIECE_BYTES // SPAN))
        layer[span * HASH : (span + 1) * HASH] = seal(data).root
        level = bytes(layer)
        while len(level) > HASH:
            level = hasher.pairs(level)
        piece = Piece(level.hex(), "bench", PIECE_BYTES, LEAVES, PieceState.HELD, float(number))
        with open(folder.files.piece(piece.root), "wb") as file:
            file.truncate(PIECE_BYTES)
            file.seek(span * SPAN)
            file.write(data)
        folder.files.write_layer(piece.root, bytes(layer))
        pieces.append(piece)
    return Allocation(folder, pieces)


async def answer(allocation: Allocation, luck: random.Random) -> None:
    """What the provider does with five challenges, which nearly always lie in five pieces."""
    asked: dict[Piece, set[int]] = {}
    for _ in range(CHALLENGES):
        asked.setdefault(luck.choice(allocation.pieces), set()).add(luck.randrange(LEAVES))
    run, folder = allocation.folder.run, allocation.folder

    def work(piece: Piece, leaves: set[int]) -> Callable[[], bytes | None]:
        return lambda: prove_piece(folder, piece, LEAVES, sorted(leaves))

    proofs = await asyncio.gather(*(run(work(piece, leaves)) for piece, leaves in asked.items()))
    assert all(proofs)


async def rows(rounds: int = 15) -> list[Row]:
    """The table's rows."""
    with tempfile.TemporaryDirectory() as path:
        allocation = await asyncio.to_thread(fill, Path(path))
        luck, taken = random.Random(2), []
        for _ in range(rounds):
            allocation.forget_cached()
            began = time.perf_counter()
            await answer(allocation, luck)
            taken.append(1e3 * (time.perf_counter() - began))
        tracemalloc.start()
        await answer(allocation, luck)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        allocation.folder.close()
    return [
        Row("answer 5 challenges over 1 TiB, median", statistics.median(taken), "ms", bound="≤ 50"),
        Row("answer 5 challenges over 1 TiB, slowest", max(taken), "ms", bound="≤ 50"),
        Row("answer 5 challenges over 1 TiB, memory", peak, "MiB", bound="≤ 64"),
    ]


if __name__ == "__main__":
    for row in asyncio.run(rows()):
        print(" ".join(row.cells()))
