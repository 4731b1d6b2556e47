"""Answers possession challenges from the disk; every proof is verified here before it costs gas."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from depin_desktop.chain.bindings.deals import Challenge, Proof
from depin_desktop.sealing import prove_leaves, verify_leaves
from depin_desktop.sealing.merkle import layer_size
from depin_desktop.sealing.sealer import read_layer
from depin_desktop.services.storage.deal_store import SetPiece
from depin_desktop.services.storage.folders import Folder
from depin_desktop.services.storage.pieces import Pieces
from depin_desktop.services.storage.store import Piece, PieceState

log = logging.getLogger(__name__)


class Unprovable(Exception):
    """A challenged leaf cannot be shown; the text says why, for the owner."""


async def answer(pieces: Pieces, set_id: bytes, placed: dict[int, SetPiece], asked: Sequence[Challenge]) -> Proof:
    """The proof of one data set, whose challenges ascend: piece after piece, what shows its challenged leaves.

    Raises:
        Unprovable: a piece is lost, damaged, or on a disk that is away.
    """
    leaves: dict[int, list[int]] = {}
    for challenge in asked:
        leaves.setdefault(challenge.piece_id, []).append(challenge.leaf_index)
    shown = await asyncio.gather(
        *(_answer_for(pieces, placed.get(piece), indexes) for piece, indexes in leaves.items())
    )
    return Proof(set_id, b"".join(shown))


async def _answer_for(pieces: Pieces, place: SetPiece | None, indexes: list[int]) -> bytes:
    """The proof of some leaves of one piece."""
    if place is None:
        raise Unprovable("a piece of the data set is not known here")
    name = f"piece {place.root[:12]}…"
    held = await pieces.held(place.root)
    if held is None:
        raise Unprovable(f"{name} is lost, or its disk is away")
    piece, folder = held
    try:
        proof = await folder.run(lambda: prove_piece(folder, piece, place.leaf_count, indexes))
    except FileNotFoundError as error:
        await pieces.unfit(piece, PieceState.LOST, "its file is gone")
        raise Unprovable(f"{name} is gone") from error
    except OSError as error:
        raise Unprovable(f"{name} cannot be read ({error})") from error
    if proof is None:
        await pieces.unfit(piece, PieceState.DAMAGED, "its bytes are not those that came. Check the disk")
        raise Unprovable(f"{name} is damaged")
    return proof


def prove_piece(folder: Folder, piece: Piece, leaves: int, indexes: list[int]) -> bytes | None:
    """The leaves' proof, None when the bytes on disk do not give the root. A damaged cached layer is rebuilt."""
    root = bytes.fromhex(piece.root)
    with folder.files.open_piece(piece.root) as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        def prove(layer: bytes) -> bytes | None:
            proof = prove_leaves(read, leaves, indexes, layer)
            return proof if verify_leaves(root, leaves, indexes, proof) else None

        cached = folder.files.read_layer(piece.root)
        fits = len(cached) == layer_size(leaves)
        if fits and (proof := prove(cached)) is not None:
            return proof
        layer = read_layer(read, leaves)
        if layer == cached or (proof := prove(layer)) is None:
            return None
        log.warning("the cached layer of piece %s was damaged; it is written again", piece.root)
        folder.files.write_layer(piece.root, layer)
        return proof
