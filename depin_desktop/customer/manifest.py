"""A file's manifest: its name, and which provider holds which piece of it. Only ever leaves this machine encrypted."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer import crypto
from depin_desktop.customer.layout import Geometry

HexBytes = Annotated[
    bytes,
    BeforeValidator(lambda value: bytes.fromhex(value) if isinstance(value, str) else value),
    PlainSerializer(bytes.hex, return_type=str),
]


class Segment(BaseModel):
    """One segment: `roots[i]` is share i's piece, held by `owners[holders[i]]` of the manifest."""

    model_config = ConfigDict(frozen=True)

    id: HexBytes
    size: int = Field(gt=0)
    roots: tuple[HexBytes, ...]
    holders: tuple[int, ...]


class Manifest(BaseModel):
    """Everything about a stored file but its key. Sizes in bytes, times in Unix seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    size: int = Field(ge=0)
    needed: int
    total: int
    segment_bytes: int = Field(gt=0)
    created_at: float
    expires_at: float
    owners: tuple[str, ...]
    segments: tuple[Segment, ...]

    def geometry(self, index: int) -> Geometry:
        """How one segment is laid out."""
        return Geometry(self.segments[index].size, self.needed)

    def seal(self, key: bytes) -> bytes:
        """The piece that holds this manifest."""
        return crypto.seal_manifest(key, self.model_dump_json().encode())

    @staticmethod
    def open(key: bytes, piece: bytes) -> Manifest:
        """Reads the piece.

        Raises:
            crypto.Tampered: it was not made with this key.
            UserFacingError: it was made by a program that writes manifests otherwise.
        """
        try:
            manifest = Manifest.model_validate_json(crypto.open_manifest(key, piece))
        except ValidationError as error:
            raise UserFacingError(
                "The file's manifest cannot be understood.", "Install the newest version.", code="manifest-unknown"
            ) from error
        sizes = sum(segment.size for segment in manifest.segments)
        if sizes != manifest.size or any(
            len(segment.roots) != manifest.total or len(segment.holders) != manifest.total
            for segment in manifest.segments
        ):
            raise crypto.Tampered
        return manifest


def manifest_bytes(segments: int, total: int) -> int:
    """The size of a manifest's piece, from above."""
    return 1024 + total * 64 + segments * (128 + total * 90)
