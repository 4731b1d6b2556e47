"""How the local API's server reads requests and answers them."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from depin_desktop.core.errors import UserFacingError

Model = TypeVar("Model", bound=BaseModel)


async def body_of(request: web.Request, model: type[Model]) -> Model:
    """The request's body as a model.

    Raises:
        UserFacingError: it is not one; the first fault is named.
    """
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserFacingError(f"The request is not understood: {where} {first['msg']}.", code="bad-request") from error


def json_of(model: BaseModel) -> web.Response:
    """The model as a JSON answer."""
    return web.Response(text=model.model_dump_json(), content_type="application/json")
