"""The HTTP routes that customers call; errors leave as JSON with a sentence and a remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from depin_desktop.api.models import Problem
from depin_desktop.chain.bindings.deals import NOT_TERMINATED, DataSetState
from depin_desktop.chain.calls import Receipt
from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.answers import Handler, guarded, told
from depin_desktop.services.storage import wire
from depin_desktop.services.storage.deal_store import DealStore
from depin_desktop.services.storage.deals import Deals, Stale, unknown_set
from depin_desktop.services.storage.intake import Intake, expect_nothing
from depin_desktop.services.storage.link import Link
from depin_desktop.services.storage.reading import Reading
from depin_desktop.services.storage.requests import ChangeSet, RemovePieces, TerminateSet

MAX_BODY_BYTES = 1 << 20

Parsed = TypeVar("Parsed", bound=BaseModel)


class StorageApi:
    """Routes of one provider.

    Args:
        terms: the offer as JSON fields, with owner, operator and node id.
        link: the tie to the chain; raises UserFacingError while there is none.
    """

    def __init__(
        self,
        intake: Intake,
        reading: Reading,
        deals: Deals,
        store: DealStore,
        *,
        terms: Callable[[], dict[str, Any]],
        link: Callable[[], Link],
    ) -> None:
        self._intake = intake
        self._reading = reading
        self._deals = deals
        self._store = store
        self._terms = terms
        self._link = link

    def routes(self) -> list[web.RouteDef]:
        piece, data_set = "/storage/pieces/{root}", "/storage/sets/{set_id}"
        return [
            web.get("/storage/terms", _guarded(self._get_terms)),
            web.put(piece, _guarded(self._put_piece), expect_handler=expect_nothing),
            web.get(piece, _guarded(self._get_piece), allow_head=False),
            web.head(piece, _guarded(self._head_piece)),
            web.get(data_set, _guarded(self._get_set)),
            web.post(data_set, _guarded(self._change_set)),
            web.delete(f"{data_set}/pieces", _guarded(self._remove_pieces)),
            web.post(f"{data_set}/terminate", _guarded(self._terminate_set)),
        ]

    async def _get_terms(self, _request: web.Request) -> web.Response:
        return web.json_response(self._terms())

    # --- pieces

    async def _put_piece(self, request: web.Request) -> web.Response:
        done = await self._intake.put(request, _root(request))
        return web.json_response(done.receipt.model_dump(), status=201 if done.created else 200)

    async def _get_piece(self, request: web.Request) -> web.StreamResponse:
        return await self._reading.get(request, _root(request))

    async def _head_piece(self, request: web.Request) -> web.StreamResponse:
        return await self._reading.head(request, _root(request))

    # --- data sets

    async def _get_set(self, request: web.Request) -> web.Response:
        link, set_id = self._link(), _set_id(request)
        state = await self._deals.state(link, set_id)
        if state is None or state.provider != link.provider:
            raise unknown_set()
        pieces = await self._store.pieces(set_id.hex(), live_only=True)
        listed = [{"piece_id": p.piece_id, "root": p.root, "leaf_count": p.leaf_count} for p in pieces.values()]
        return web.json_response({"set_id": "0x" + set_id.hex(), "state": _state(state), "pieces": listed})

    async def _change_set(self, request: web.Request) -> web.Response:
        body, set_id = await _body(request, ChangeSet), _set_id(request)
        receipt = await self._deals.change(self._link(), set_id, body)
        return web.json_response({**_done(set_id, receipt), "first_piece_id": body.first_piece_id})

    async def _remove_pieces(self, request: web.Request) -> web.Response:
        body, set_id = await _body(request, RemovePieces), _set_id(request)
        return web.json_response(_done(set_id, await self._deals.remove(self._link(), set_id, body)))

    async def _terminate_set(self, request: web.Request) -> web.Response:
        body, set_id = await _body(request, TerminateSet), _set_id(request)
        return web.json_response(_done(set_id, await self._deals.terminate(self._link(), set_id, body)))


def _root(request: web.Request) -> str:
    return wire.parse_hash(request.match_info["root"], "root")


def _set_id(request: web.Request) -> bytes:
    return bytes.fromhex(wire.parse_hash(request.match_info["set_id"], "data set's id"))


async def _body(request: web.Request, kind: type[Parsed]) -> Parsed:
    """The JSON body; UserFacingError when it is too long or not what is expected."""
    text = bytearray()
    async for chunk in request.content.iter_any():
        text += chunk
        if len(text) > MAX_BODY_BYTES:
            raise UserFacingError("The request is too long.", "Send fewer pieces at once.", code="too-long", status=413)
    try:
        return kind.model_validate_json(bytes(text))
    except (ValidationError, UnicodeDecodeError) as error:
        where = "it is not JSON"
        if isinstance(error, ValidationError):
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
        raise UserFacingError(f"The request cannot be read ({where}).", "Correct it.", code="bad-request") from error


def _done(set_id: bytes, receipt: Receipt | None) -> dict[str, Any]:
    """The answer to a change; no transaction when everything had been done before."""
    return {
        "set_id": "0x" + set_id.hex(),
        "transactions": [] if receipt is None else ["0x" + receipt.tx.hex()],
        "block": None if receipt is None else receipt.block,
    }


def _state(state: DataSetState) -> dict[str, Any]:
    """A data set's chain state as JSON: money as strings, ends_after null while it goes on."""
    return {
        "customer": state.customer,
        "provider": state.provider,
        "price": str(state.price),
        "escrow": str(state.escrow),
        "paid": str(state.paid),
        "expires": state.expires,
        "leaf_count": state.leaf_count,
        "challenge_range": state.challenge_range,
        "piece_count": state.piece_count,
        "last_proven": state.last_proven,
        "ends_after": None if state.ends_after == NOT_TERMINATED else state.ends_after,
    }


def _guarded(handler: Handler) -> Handler:
    return guarded(handler, _problem)


def _problem(error: UserFacingError) -> web.Response:
    if not isinstance(error, Stale):
        return told(error)
    problem: dict[str, Any] = Problem(code=error.code, message=error.message, remedy=error.remedy).model_dump()
    problem["state"] = None if error.state is None else _state(error.state)
    return web.Response(status=error.status, text=json.dumps(problem), content_type="application/json")
