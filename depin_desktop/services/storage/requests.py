"""What customers send about data sets, validated at the border."""

from __future__ import annotations

from typing import Annotated

from eth_utils.address import to_checksum_address
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from depin_desktop.chain.bindings.deals import Piece, Terms
from depin_desktop.services.storage.policy import MAX_PIECES_PER_CALL


def _hex(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except ValueError:
        raise ValueError("not hexadecimal") from None


def _integer(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78 else value


def _address(value: object) -> object:
    return to_checksum_address(value) if isinstance(value, str) else value


Bytes32 = Annotated[bytes, BeforeValidator(_hex), Field(min_length=32, max_length=32)]
Signature = Annotated[bytes, BeforeValidator(_hex), Field(max_length=4096)]
Address = Annotated[str, BeforeValidator(_address)]
_Integer = BeforeValidator(_integer)
Uint32 = Annotated[int, _Integer, Field(ge=0, lt=2**32, strict=True)]
Uint63 = Annotated[int, _Integer, Field(ge=0, lt=2**63, strict=True)]  # what the chain's uint64 and SQLite share
Uint128 = Annotated[int, _Integer, Field(ge=0, lt=2**128, strict=True)]
Uint256 = Annotated[int, _Integer, Field(ge=0, lt=2**256, strict=True)]


class Body(BaseModel):
    """Base of request bodies; fields that a newer customer adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class TermsBody(Body):
    """The terms that the customer signed."""

    customer: Address
    provider: Address
    price: Uint128
    expires: Uint63
    salt: Bytes32

    def terms(self) -> Terms:
        """As the contract takes them."""
        return Terms(self.customer, self.provider, self.price, self.expires, self.salt)


class FundingBody(Body):
    """An ERC-3009 authorisation into the set's escrow."""

    amount: Uint128
    valid_after: Uint256
    valid_before: Uint256
    salt: Bytes32
    signature: Signature


class PieceBody(Body):
    root: Bytes32
    leaf_count: Uint63


class ChangeSet(Body):
    """Open, fund and add in one go; each part may be left out by being done already."""

    terms: TermsBody
    terms_signature: Signature
    funding: FundingBody | None = None
    pieces: tuple[PieceBody, ...] = Field(default=(), max_length=MAX_PIECES_PER_CALL)
    first_piece_id: Uint32 = 0
    add_signature: Signature = b""

    def chain_pieces(self) -> list[Piece]:
        """As the contract takes them."""
        return [Piece(piece.root, piece.leaf_count) for piece in self.pieces]


class RemovePieces(Body):
    piece_ids: tuple[Uint63, ...] = Field(min_length=1, max_length=64)
    signature: Signature


class TerminateSet(Body):
    signature: Signature
