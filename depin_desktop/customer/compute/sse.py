"""Server-sent events, as OpenAI's streams use them: split as they arrive, looked into only where that is needed.

An event of a running stream is passed on as the bytes that came; only named ones (receipts, top-ups) are taken apart.
"""

from __future__ import annotations

from depin_desktop.core.errors import UserFacingError

MAX_EVENT_BYTES = 1 << 20
DONE = b"data: [DONE]\n\n"


class Events:
    """Cuts a stream of bytes into whole events."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete now, each with its blank line.

        Raises:
            UserFacingError: an event longer than `MAX_EVENT_BYTES`.
        """
        joined = self._rest + data
        if b"\r" in joined:
            joined = joined.replace(b"\r\n", b"\n")
        *whole, self._rest = joined.split(b"\n\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise UserFacingError("The provider sent an event without end.", code="bad-answer", status=502)
        return [event + b"\n\n" for event in whole if event]


def is_plain(event: bytes) -> bool:
    """Whether an event is an ordinary, unnamed part of a stream."""
    return event.startswith(b"data:")


def is_done(event: bytes) -> bool:
    """Whether this is the end that OpenAI's streams announce."""
    return event.startswith((b"data: [DONE]", b"data:[DONE]"))


def parse(event: bytes) -> tuple[str, bytes]:
    """Name and data of one event; the name is empty where it has none."""
    name, data = "", []
    for line in event.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
    return name, b"\n".join(data)


def compose(data: bytes, name: str = "") -> bytes:
    """An event of one line of data."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + data + b"\n\n"
