"""HTTP to one OpenAI-compatible server that the owner named: no redirects, no proxies, bounded answers."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from depin_desktop.services.compute.elsewhere import Upstream

CONNECT_S = 5.0
LOOK_S = 10.0
SILENT_S = 120.0
"""A server may load a model before its first byte; a longer silence is its end."""
MAX_ANSWER_BYTES = 64 << 20
MAX_EVENT_BYTES = 1 << 20
MAX_TOLD = 300


class Away(Exception):
    """The server cannot be reached, went away in the middle, or does not speak this protocol; a clause says which."""


class Refusal(Exception):
    """The server's own error; `said` is its sentence, shortened."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.status = status
        self.said = said


class Wire:
    """Connections to one server, opened when they are first needed."""

    def __init__(self, upstream: Upstream) -> None:
        self.base = URL(upstream.url)
        self._key = upstream.key
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: URL) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """A JSON object and the answer's headers.

        Raises:
            Away, Refusal: see there.
        """
        timeout = aiohttp.ClientTimeout(total=LOOK_S, sock_connect=CONNECT_S)
        async with self._request("GET", url, None, timeout) as response:
            return _object(await _bounded(response)), response.headers

    async def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Posts and gives the whole answer.

        Raises:
            Away, Refusal: see there.
        """
        async with self._request("POST", self.base / path, body, _patient()) as response:
            return _object(await _bounded(response))

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, body: Mapping[str, Any], *, most_bytes: float = math.inf
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Posts; inside are the objects of the events as they come, to the stream's announced end.

        Leaving early closes the connection, on which servers stop generating.

        Args:
            most_bytes: of all events together, for who keeps them.

        Raises:
            Away, Refusal: see there; also while reading.
        """
        async with self._request("POST", self.base / path, body, _patient()) as response:
            if response.content_type != "text/event-stream":
                raise Away(f"it answers a stream with {response.content_type}")
            yield _events(response, most_bytes)

    @contextlib.asynccontextmanager
    async def _request(
        self, method: str, url: URL, body: Mapping[str, Any] | None, timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        key = self._key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._open().request(
                method, url, json=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise Refusal(response.status, _sentence(await _bounded(response)))
                yield response
        except TimeoutError as error:
            raise Away("it gives no answer in time") from error
        except (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch) as error:
            raise Away("its certificate is not trusted here") from error
        except aiohttp.ClientConnectorError as error:
            raise Away(f"nothing answers there ({error.os_error.strerror or error.os_error})") from error
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError) as error:
            # RuntimeError is aiohttp's word for a connection that `close` has closed.
            raise Away("it broke off in the middle") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection a request: servers close idle ones just as work is being sent, which cannot be repeated.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=MAX_EVENT_BYTES,
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Ends every connection, also those in use."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _patient() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for part in response.content.iter_any():
        data += part
        if len(data) > MAX_ANSWER_BYTES:
            raise Away(f"it answers with more than {MAX_ANSWER_BYTES >> 20} MiB")
    return bytes(data)


async def _events(response: aiohttp.ClientResponse, most_bytes: float) -> AsyncIterator[dict[str, Any]]:
    async for line in response.content:
        most_bytes -= len(line)
        if most_bytes < 0:
            raise Away(f"it answers with more than {MAX_ANSWER_BYTES >> 20} MiB")
        name, _, value = line.partition(b":")
        value = value.strip()
        if name == b"error":  # how llama.cpp's older servers tell of a failure in the middle
            raise Refusal(500, _sentence(value))
        if name != b"data":
            continue
        if value == b"[DONE]":
            return
        event = _object(value)
        if "error" in event:
            raise Refusal(_code(event["error"]), _sentence(value))
        if not _is_openai(event):
            raise Away("it answers in a form that is not OpenAI's")
        yield event
    raise Away("it ended a stream in the middle")


def _is_openai(event: Mapping[str, Any]) -> bool:
    """Whether an event's choices have the form that whoever reads it relies on."""
    choices = event.get("choices") or []
    return isinstance(choices, list) and all(
        isinstance(choice, dict)
        and isinstance(choice.get("index") or 0, int)
        and all(isinstance(choice.get(name) or {}, dict) for name in ("delta", "logprobs"))
        for choice in choices
    )


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Away("it answers with something that is no JSON") from error
    if not isinstance(found, dict):
        raise Away("it answers with something that is no JSON object")
    return found


def _code(error: object) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def _sentence(data: bytes) -> str:
    """What an error's body says, in whichever of the usual forms."""
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(data)
        said = found.get("error", found) if isinstance(found, dict) else found
        if isinstance(said, dict):
            said = said.get("message") or said.get("detail") or ""
        return " ".join(str(said).split())[:MAX_TOLD]
    return ""
