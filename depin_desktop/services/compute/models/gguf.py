"""Reads the header of a GGUF file: what the model is called, what licence it has, and what it needs.

Format: ggml's specification, docs/gguf.md, versions 2 and 3. Headers come from strangers, so every count and length is
bounded before it is believed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAGIC = b"GGUF"
MAX_HEADER_BYTES = 128 << 20
MAX_ENTRIES = 4096
MAX_KEY_BYTES = 1024
MAX_TEXT_BYTES = 1 << 20
MAX_ARRAY = 4 << 20
MAX_TENSORS = 1 << 17
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

Value = str | int | float | bool


class BadGguf(ValueError):
    """The file is no GGUF model, or a damaged one; the text is a clause that says how."""


@dataclass(frozen=True)
class GgufHeader:
    """What a model says of itself; empty or 0 where it does not.

    Attributes:
        architecture: "llama", "qwen2", …
        context_tokens: that it was trained for.
        layers: transformer blocks.
        cache_bytes_per_token: of the key-value cache at 16 bits, over all layers.
    """

    architecture: str
    name: str = ""
    licence: str = ""
    context_tokens: int = 0
    layers: int = 0
    cache_bytes_per_token: int = 0


def read_gguf(path: Path) -> GgufHeader:
    """Reads the header.

    Raises:
        BadGguf: see there.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return parse_gguf(file)


def parse_gguf(file: BinaryIO) -> GgufHeader:
    """The header at the beginning of an open file; raises as `read_gguf`."""
    reader = _Reader(file)
    if reader.take(4) != MAGIC:
        raise BadGguf("it does not begin as GGUF files do")
    version = reader.number("<I")
    if version not in (2, 3):
        raise BadGguf(f"its version {version} is not known")
    tensors, entries = reader.number("<Q"), reader.number("<Q")
    if tensors > MAX_TENSORS or entries > MAX_ENTRIES:
        raise BadGguf("its header claims more entries than any model has")
    found: dict[str, Value] = {}
    for _ in range(int(entries)):
        key = reader.text(MAX_KEY_BYTES)
        value = reader.value(int(reader.number("<I")))
        if value is not None:
            found[key] = value
    return _header(found)


def _header(found: dict[str, Value]) -> GgufHeader:
    def text(key: str) -> str:
        return str(found.get(key, ""))[:200]

    architecture = text("general.architecture")
    if not architecture:
        raise BadGguf("it does not say what kind of model it is")

    def count(key: str) -> int:
        value = found.get(f"{architecture}.{key}", 0)
        return value if isinstance(value, int) and 0 <= value < 2**31 else 0

    width, heads = count("embedding_length"), count("attention.head_count")
    each = width // heads if heads else 0
    kept_heads = count("attention.head_count_kv") or heads
    key_width = count("attention.key_length") or each
    value_width = count("attention.value_length") or each
    return GgufHeader(
        architecture,
        name=text("general.name"),
        licence=text("general.license"),
        context_tokens=count("context_length"),
        layers=count("block_count"),
        cache_bytes_per_token=2 * count("block_count") * kept_heads * (key_width + value_width),
    )


class _Reader:
    """Reads little-endian values and never more than a header may have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MAX_HEADER_BYTES

    def take(self, size: int) -> bytes:
        self._spend(size)
        data = self._file.read(size)
        if len(data) != size:
            raise BadGguf("it ends in the middle of its header")
        return data

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise BadGguf("its header is longer than any model's")

    def number(self, shape: str) -> int | float | bool:
        value: int | float | bool = struct.unpack(shape, self.take(struct.calcsize(shape)))[0]
        return value

    def text(self, limit: int) -> str:
        size = int(self.number("<Q"))
        if size > limit:
            raise BadGguf("a text in its header is longer than any model's")
        return self.take(size).decode("utf-8", "replace")

    def value(self, kind: int) -> Value | None:
        """One value; None for an array, which is passed over."""
        if kind == _STRING:
            return self.text(MAX_TEXT_BYTES)
        if kind == _ARRAY:
            self._skip_array()
            return None
        return self.number(_shape(kind))

    def _skip_array(self) -> None:
        kind, count = int(self.number("<I")), int(self.number("<Q"))
        if count > MAX_ARRAY:
            raise BadGguf("a list in its header is longer than any model's")
        if kind == _STRING:
            for _ in range(count):
                size = int(self.number("<Q"))
                if size > MAX_TEXT_BYTES:
                    raise BadGguf("a text in its header is longer than any model's")
                self.take(size)
        elif kind == _ARRAY:
            raise BadGguf("a list in its header holds lists")
        else:
            self.take(count * struct.calcsize(_shape(kind)))


def _shape(kind: int) -> str:
    shape = _NUMBERS.get(kind)
    if shape is None:
        raise BadGguf("its header holds a value of no known type")
    return shape
