"""The protocol between the engine and its worker processes: frames over the worker's standard input and output.

A frame is a head of fixed size, some JSON and some bytes. Every frame carries what its job took so far, so that a token
costs one small write and no parsing.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from depin_desktop.services.compute.runtimes.base import Usage

_HEAD = struct.Struct("!BIIIQdII")
MAX_JSON_BYTES = 32 << 20
MAX_DATA_BYTES = 256 << 20


class Kind(IntEnum):
    """What a frame says; the first three go to the worker, the others come from it."""

    SETUP = 1
    RUN = 2
    CANCEL = 3
    READY = 4  # the engine is loaded; JSON describes it
    BROKEN = 5  # the engine cannot be loaded; JSON says why
    PROGRESS = 6  # still at it; only the usage matters
    CHUNK = 7
    END = 8
    FAILED = 9


class BadFrame(Exception):
    """The other side does not speak this protocol (any more)."""


@dataclass(frozen=True)
class Frame:
    """One message; `job` is a number that the sender of RUN chooses."""

    kind: Kind
    job: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)
    data: bytes = b""
    usage: Usage = field(default_factory=Usage)

    def encode(self) -> bytes:
        """The frame as it is written."""
        meta = json.dumps(self.meta, ensure_ascii=False, separators=(",", ":")).encode() if self.meta else b""
        usage = self.usage
        head = _HEAD.pack(
            self.kind,
            self.job,
            min(usage.prompt_tokens, 2**32 - 1),
            min(usage.completion_tokens, 2**32 - 1),
            min(usage.fuel, 2**64 - 1),
            usage.seconds,
            len(meta),
            len(self.data),
        )
        return b"".join((head, meta, self.data))


class Decoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now.

        Raises:
            BadFrame: this is no such stream.
        """
        held = self._held
        held += data
        frames, at = [], 0
        while len(held) - at >= _HEAD.size:
            kind, job, prompt, completion, fuel, seconds, meta_size, data_size = _HEAD.unpack_from(held, at)
            if meta_size > MAX_JSON_BYTES or data_size > MAX_DATA_BYTES:
                raise BadFrame("a frame is too large")
            body = at + _HEAD.size
            end = body + meta_size + data_size
            if len(held) < end:
                break
            frames.append(
                Frame(
                    _kind(kind),
                    job,
                    _object(bytes(held[body : body + meta_size])) if meta_size else {},
                    bytes(held[body + meta_size : end]),
                    Usage(prompt, completion, fuel, seconds),
                )
            )
            at = end
        if at:
            del held[:at]
        return frames


def _kind(value: int) -> Kind:
    try:
        return Kind(value)
    except ValueError as error:
        raise BadFrame("a frame of no known kind") from error


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadFrame("a frame's JSON cannot be read") from error
    if not isinstance(found, dict):
        raise BadFrame("a frame's JSON is no object")
    return found
