"""What a model's file is, told by its first bytes and its name; nothing in it is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.compute.models.gguf import MAGIC, BadGguf, GgufHeader, read_gguf
from depin_desktop.services.compute.runtimes.base import WorkKind

TOKENIZER = "tokenizer.json"
MAX_TOKENIZER_BYTES = 64 << 20
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib")
_ONLY_VECTORS = ("bert", "nomic-bert", "jina-bert-v2", "t5encoder")
_MAX_IR_VERSION = 64


@dataclass(frozen=True)
class Model:
    """One model of this machine.

    Attributes:
        sha256: of the file, in hex; it names the model everywhere.
        kind: chat (which does completions, too), embedding or onnx.
        tokenizer: the `tokenizer.json` of an embedding model.
        context_tokens: what it was trained for; 0 where it is not told.
        cache_bytes_per_token: memory of a chat's context.
        shipped: it came with a package and cannot be removed.
    """

    sha256: str
    kind: WorkKind
    name: str
    path: Path
    size_bytes: int
    licence: str = ""
    tokenizer: Path | None = None
    context_tokens: int = 0
    layers: int = 0
    cache_bytes_per_token: int = 0
    shipped: bool = False
    added_at: float = 0.0


@dataclass(frozen=True)
class Format:
    """What a file turned out to be."""

    kind: WorkKind
    header: GgufHeader | None = None
    tokenizer: Path | None = None


def recognise(path: Path) -> Format:
    """Tells what kind of model a file holds.

    Raises:
        UserFacingError: it is none that can be served, or one that must not be loaded.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if start[:4] == MAGIC:
        return Format(WorkKind.CHAT, _gguf(path))
    if path.suffix.lower() in _PICKLES or start[:1] == b"\x80" or start[:2] == b"PK":
        raise _refused(
            "This is a pickle, and loading one would run whatever program its author put into it.",
            "Take the model as GGUF or ONNX instead; most publishers offer one of them.",
        )
    if not _looks_like_onnx(start):
        raise _refused("This file is neither a GGUF nor an ONNX model.", "Choose a .gguf or .onnx file.")
    tokenizer = path.with_name(TOKENIZER)
    if tokenizer.is_file() and tokenizer.stat().st_size <= MAX_TOKENIZER_BYTES:
        return Format(WorkKind.EMBEDDING, tokenizer=tokenizer)
    return Format(WorkKind.ONNX)


def _gguf(path: Path) -> GgufHeader:
    try:
        header = read_gguf(path)
    except BadGguf as error:
        raise _refused(f"This GGUF file cannot be used: {error}.", "Download it again.") from error
    if header.architecture in _ONLY_VECTORS:
        raise _refused(
            "This GGUF model makes vectors, not text.", f"Take it as ONNX, with its {TOKENIZER} in the same folder."
        )
    return header


def _looks_like_onnx(start: bytes) -> bool:
    """An ONNX file is a protobuf whose first field is its format's version, a small number."""
    return len(start) > 8 and start[0] == 0x08 and 0 < start[1] <= _MAX_IR_VERSION


def _refused(message: str, remedy: str) -> UserFacingError:
    return UserFacingError(message, remedy, code="bad-model")
