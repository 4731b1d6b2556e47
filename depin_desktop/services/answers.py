"""How every service answers a peer when something is wrong: in words and a code, never with a traceback."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from depin_desktop.api.models import Problem
from depin_desktop.core.errors import UserFacingError

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Teller = Callable[[UserFacingError], web.StreamResponse]


def told(error: UserFacingError) -> web.Response:
    """The error as JSON, with its status."""
    text = Problem(code=error.code, message=error.message, remedy=error.remedy).model_dump_json()
    return web.Response(status=error.status, text=text, content_type="application/json")


def guarded(handler: Handler, tell: Teller = told) -> Handler:
    """The handler, whose errors are told by `tell`; what nobody foresaw is logged and told as a fault of this node."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except UserFacingError as error:
            return tell(error)
        except (ConnectionError, web.RequestPayloadError):
            raise  # the peer is gone: nobody to answer
        except Exception:
            log.exception("%s %s failed", request.method, request.match_info.route.resource)
            return tell(
                UserFacingError("Something went wrong on this node.", "Try again.", code="internal", status=500)
            )

    return answer
