"""Who may use a gateway: programs of this user that know its key, and no web page through a browser."""

from __future__ import annotations

import hmac

from aiohttp import web

from depin_desktop.customer.gateway.errors import Handler, error_json

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Guard:
    """Checks each request's Host, Origin and key.

    Args:
        key: what clients send as their API key; None lets every program on this machine in, of any user.
    """

    def __init__(self, key: str | None) -> None:
        self._key = key

    def refusal(self, request: web.Request) -> web.Response | None:
        """The answer to somebody who may not ask; None to everybody else."""
        # A page may point a name of its own at this machine, or send a form here; neither can hide that.
        if request.host.rsplit(":", 1)[0] not in LOOPBACK or "Origin" in request.headers:
            return _refused(403, "foreign-origin", "This gateway answers only programs on this machine.")
        if self._key is None:
            return None
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            message = "The API key is missing or wrong; `depin gateway` prints it when it starts."
            return _refused(401, "invalid_api_key", message)
        return None

    def middleware(self) -> object:
        """The same as aiohttp wants it."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return self.refusal(request) or await handler(request)

        return guard


def _refused(status: int, code: str, message: str) -> web.Response:
    return web.Response(body=error_json(message, status, code), status=status, content_type="application/json")
