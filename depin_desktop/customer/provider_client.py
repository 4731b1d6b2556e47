"""The storage API of one provider, as its customer calls it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.chain.typed_data import Signer
from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.market import Seller
from depin_desktop.net.http import as_user_error
from depin_desktop.net.signing import recover_json, sign_json
from depin_desktop.net.stream import MAX_WRITE
from depin_desktop.payments.payer import Payer

AUTHORISATION_S = 3600
_MAX_PROBLEM_BYTES = 65_536


class Receipt(BaseModel):
    """The provider's word that it keeps a piece until `expires_at`, deal or not."""

    model_config = ConfigDict(frozen=True, extra="allow")

    root: str
    size: int
    leaf_count: int
    customer: str
    provider: str
    stored_at: int
    expires_at: int
    signature: str


class ProviderProblem(UserFacingError):
    """What a provider answered instead of doing what was asked; `body` is its whole answer."""

    def __init__(self, message: str, remedy: str, *, code: str, status: int, body: dict[str, Any]) -> None:
        super().__init__(message, remedy, code=code, status=status)
        self.body = body


@dataclass(frozen=True)
class ProviderClient:
    """Calls one provider over `session`, in the name of `customer`; reads are paid by `payer`."""

    seller: Seller
    session: aiohttp.ClientSession
    customer: Signer
    payer: Payer

    async def put(self, root: bytes, data: memoryview, leaf_count: int, sent: Callable[[int], None]) -> Receipt:
        """Uploads a piece; returns the provider's checked receipt.

        Args:
            sent: told of each part's length once it is on its way.

        Raises:
            UserFacingError: refused, out of reach, or answered with a receipt that does not hold.
        """
        headers = {"Authorization": self._authorisation(root, len(data)), "Content-Length": str(len(data))}
        body = _Body(data, sent)
        answer = await self._json("PUT", f"/storage/pieces/{root.hex()}", data=body, headers=headers, expect100=True)
        return self._checked(answer, root, len(data), leaf_count)

    def _authorisation(self, root: bytes, size: int) -> str:
        document: dict[str, Any] = {
            "customer": self.customer.address,
            "expires": int(time.time()) + AUTHORISATION_S,
            "root": root.hex(),
            "size": size,
        }
        document["signature"] = sign_json(self.customer, {**document, "provider": self.seller.owner})
        return "Depin " + base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

    def _checked(self, answer: dict[str, Any], root: bytes, size: int, leaf_count: int) -> Receipt:
        try:
            receipt = Receipt.model_validate(answer)
        except ValidationError:
            raise self._problem("gave no receipt", "bad-receipt") from None
        signed = {name: value for name, value in answer.items() if name != "signature"}
        said = (receipt.root, receipt.size, receipt.leaf_count, receipt.customer.lower(), receipt.provider.lower())
        meant = (root.hex(), size, leaf_count, self.customer.address.lower(), self.seller.owner.lower())
        if said != meant or recover_json(signed, receipt.signature) != self.seller.node.operator:
            raise self._problem("gave a receipt that does not hold", "bad-receipt")
        return receipt

    async def get(self, root: bytes, span: tuple[int, int], size: int, expect: int = 0) -> aiohttp.ClientResponse:
        """Begins to read bytes of a piece of `size` bytes, paid at the offered price; the caller reads the body.

        Args:
            expect: bytes that will be read from this provider in all: a deposit should cover them.

        Raises:
            UserFacingError: refused, out of reach, or the payment fails.
        """
        start, end = span
        headers = {} if span == (0, size) else {"Range": f"bytes={start}-{end - 1}"}
        price = self.price_of(end - start)
        path = f"/storage/pieces/{root.hex()}"
        try:
            response = await self.payer.request(
                self.session,
                "GET",
                path,
                self.seller.node,
                price=price,
                expect=self.price_of(expect),
                headers=headers,
            )
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise as_user_error(error, self.seller.node.node_id) from error
        if response.status not in (200, 206):
            raise await self._refusal(response)
        if response.content_length != end - start:
            response.close()
            raise self._problem("sent another number of bytes than was asked for", "bad-answer")
        return response

    def price_of(self, count: int) -> int:
        """Base units for reading `count` bytes, as this provider offers."""
        return max(1, -(-count * self.seller.terms.price_per_gib_read // 2**30))

    async def post_set(self, set_id: bytes, body: dict[str, Any]) -> dict[str, Any]:
        """Opens, funds and adds to a data set; returns once it is mined."""
        return await self._json("POST", f"/storage/sets/{set_id.hex()}", json=body)

    async def get_set(self, set_id: bytes) -> dict[str, Any] | None:
        """The data set as this provider sees it; None when it knows none of that id."""
        try:
            return await self._json("GET", f"/storage/sets/{set_id.hex()}")
        except ProviderProblem as problem:
            if problem.status == 404:
                return None
            raise

    async def remove(self, set_id: bytes, piece_ids: list[int], signature: bytes) -> dict[str, Any]:
        """Queues the removal of pieces; returns once it is mined."""
        body = {"piece_ids": piece_ids, "signature": "0x" + signature.hex()}
        return await self._json("DELETE", f"/storage/sets/{set_id.hex()}/pieces", json=body)

    async def _json(self, method: str, path: str, **kw: Any) -> dict[str, Any]:
        try:
            async with self.session.request(method, path, **kw) as response:
                if response.status not in (200, 201):
                    raise await self._refusal(response)
                answer = await response.json()
        except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError) as error:
            if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
                raise self._problem("gave an answer that cannot be read", "bad-answer") from error
            raise as_user_error(error, self.seller.node.node_id) from error
        if not isinstance(answer, dict):
            raise self._problem("gave an answer that cannot be read", "bad-answer")
        return answer

    async def _refusal(self, response: aiohttp.ClientResponse) -> ProviderProblem:
        async with response:
            try:
                body = json.loads(await response.content.read(_MAX_PROBLEM_BYTES))
                message, remedy, code = str(body["message"]), str(body.get("remedy", "")), str(body["code"])
            except (ValueError, KeyError, TypeError, aiohttp.ClientError):
                body, message, remedy, code = {}, f"status {response.status}", "", f"http-{response.status}"
        # A stranger's words: on one line and not too many.
        shown = "".join(letter if letter.isprintable() else " " for letter in message)[:300]
        return ProviderProblem(
            f"The provider {self.seller.owner} refused: {shown}",
            remedy[:300],
            code=code,
            status=response.status,
            body=body,
        )

    def _problem(self, what: str, code: str) -> ProviderProblem:
        return ProviderProblem(
            f"The provider {self.seller.owner} {what}.", "Choose another provider.", code=code, status=502, body={}
        )


class _Body:
    """A request body from memory that can be sent again, in parts that are told of as they leave."""

    def __init__(self, data: memoryview, sent: Callable[[int], None]) -> None:
        self._data = data
        self._sent = sent

    async def __aiter__(self) -> Any:
        for start in range(0, len(self._data), MAX_WRITE):
            part = self._data[start : start + MAX_WRITE]
            yield bytes(part)
            self._sent(len(part))
