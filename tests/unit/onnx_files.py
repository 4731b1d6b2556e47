"""A small ONNX model written byte by byte, as ONNX's own package is not needed for anything else."""

from __future__ import annotations

FLOAT = 1


def doubling_model() -> bytes:
    """y = x + x for a vector of any length."""
    node = _bytes(1, b"x") + _bytes(1, b"x") + _bytes(2, b"y") + _bytes(4, b"Add")
    graph = _bytes(1, node) + _bytes(2, b"doubling") + _bytes(11, _vector(b"x")) + _bytes(12, _vector(b"y"))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))


def _vector(name: bytes) -> bytes:
    dimension = _bytes(1, _bytes(2, b"n"))
    kind = _bytes(1, _number(1, FLOAT) + _bytes(2, dimension))
    return _bytes(1, name) + _bytes(2, kind)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
