"""Failures in the form in which OpenAI's clients understand them."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.compute.failures import AttemptFailed

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CODES = {"unknown-model": "model_not_found"}


def error_json(message: str, status: int, code: str) -> bytes:
    """OpenAI's error object."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    error = {"message": message, "type": kind, "param": None, "code": _CODES.get(code, code)}
    return json.dumps({"error": error}).encode()


def error_response(error: UserFacingError) -> web.Response:
    """The answer that an error becomes.

    OpenAI's clients repeat requests by themselves after 408, 409, 429 and 5xx; not where it may be paid for already.
    """
    headers = {"X-Should-Retry": "false"} if isinstance(error, AttemptFailed) and error.charged else None
    body = error_json(str(error), error.status, error.code)
    return web.Response(body=body, status=error.status, content_type="application/json", headers=headers)


@web.middleware
async def in_openais_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every failure into one of the above."""
    try:
        return await handler(request)
    except UserFacingError as error:
        return error_response(error)
    except web.HTTPException as error:
        reason = f"{request.method} {request.path}: {error.reason}"
        body = error_json(reason, error.status, f"http-{error.status}")
        return web.Response(body=body, status=error.status, content_type="application/json")
    except (ConnectionError, web.RequestPayloadError):
        raise  # whoever asked has left
    except Exception:
        log.exception("a request failed in an unforeseen way")
        body = error_json("The gateway failed; its log says more.", 500, "internal")
        return web.Response(body=body, status=500, content_type="application/json")
