"""Answers possession challenges from the disk; every proof is verified here before it costs gas."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from depin_desktop.chain.bindings.deals import Challenge, Proof
from depin_desktop.sealing import prove_leaf, verify_leaf
from depin_desktop.sealing.sealer import read_layer
from depin_desktop.services.storage.deal_store import SetPiece
from depin_desktop.services.storage.folders import Folder
from depin_desktop.services.storage.pieces import Pieces
from depin_desktop.services.storage.store import Piece, PieceState

log = logging.getLogger(__name__)


class Unprovable(Exception):
    """A challenged leaf cannot be shown; the text says why, for the owner."""


async def answer(pieces: Pieces, set_id: bytes, placed: dict[int, SetPiece], asked: Sequence[Challenge]) -> Proof:
    """The proof of one data set: for each challenge its leaf and siblings, one after the other.

    Raises:
        Unprovable: a piece is lost, damaged, or on a disk that is away.
    """
    parts = await asyncio.gather(*(_answer_one(pieces, placed, challenge) for challenge in asked))
    return Proof(set_id, b"".join(parts))


async def _answer_one(pieces: Pieces, placed: dict[int, SetPiece], challenge: Challenge) -> bytes:
    place = placed.get(challenge.piece_id)
    if place is None:
        raise Unprovable(f"piece {challenge.piece_id} of the data set is not known here")
    held = await pieces.held(place.root)
    if held is None:
        raise Unprovable(f"piece {place.root[:12]}… is lost, or its disk is away")
    piece, folder = held
    try:
        proof = await folder.run(lambda: _prove(folder, piece, place.leaf_count, challenge.leaf_index))
    except FileNotFoundError as error:
        await pieces.unfit(piece, PieceState.LOST, "its file is gone")
        raise Unprovable(f"piece {place.root[:12]}… is gone") from error
    except OSError as error:
        raise Unprovable(f"piece {place.root[:12]}… cannot be read ({error})") from error
    if proof is None:
        await pieces.unfit(piece, PieceState.DAMAGED, "its bytes are not those that came. Check the disk")
        raise Unprovable(f"piece {place.root[:12]}… is damaged")
    return proof


def _prove(folder: Folder, piece: Piece, leaves: int, index: int) -> bytes | None:
    """One leaf's proof, None when the bytes on disk do not give the root. A damaged cached layer is rebuilt."""
    root = bytes.fromhex(piece.root)
    with folder.files.open_piece(piece.root) as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        proof = prove_leaf(read, leaves, index, folder.files.read_layer(piece.root))
        if verify_leaf(root, leaves, index, proof):
            return proof
        log.warning("the cached layer of piece %s does not fit; computing it again", piece.root)
        layer = read_layer(read, leaves)
        proof = prove_leaf(read, leaves, index, layer)
        if not verify_leaf(root, leaves, index, proof):
            return None
        folder.files.write_layer(piece.root, layer)
        return proof
