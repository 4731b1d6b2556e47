"""Sends other providers' claims and payouts with its own gas, and is paid for it in the token, as x402 pays for work.

Whoever runs a hub can run one. It can steal nothing: the contract pays the provider's payout address whoever sends, and
the fee is what the provider signed a ceiling for, charged only once the claim is mined.
"""

from __future__ import annotations

from aiohttp import web
from pydantic import ValidationError

from depin_desktop.chain import typed_data
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.reverts import Reverted
from depin_desktop.chain.sender import Sender
from depin_desktop.core.errors import UserFacingError
from depin_desktop.payments import relay_wire
from depin_desktop.payments.paywall import Paywall

MARGIN_PERCENT = 10
MAX_BODY_BYTES = 64 * 1024


class Relayer:
    """Serves `POST /relay/claims`.

    Args:
        paywall: takes the fee; its receiver is the relayer.
        floor: the smallest fee, in base units, where gas has no price or hardly any.
    """

    def __init__(self, chain: Chain, sender: Sender, paywall: Paywall, *, floor: int = 1) -> None:
        self._chain = chain
        self._sender = sender
        self._paywall = paywall
        self._floor = floor

    def routes(self) -> list[web.RouteDef]:
        """For the relayer's web application."""
        return [web.post(relay_wire.PATH, self._claims)]

    async def _claims(self, request: web.Request) -> web.Response:
        if request.content_length is None or request.content_length > MAX_BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, request.content_length or 0)
        try:
            wanted = relay_wire.RelayRequest.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text="This is not a batch of claims.") from error
        claims = wanted.for_chain()
        config = claims[0].config
        try:
            signer = typed_data.recover_claim_batch(self._chain.network, claims, wanted.signature)
        except typed_data.BadSignature:
            signer = ""
        if signer != config.receiver_authorizer:
            raise web.HTTPBadRequest(text="The batch is not signed by its receiver authorizer.")
        contract = self._chain.settlement
        call = contract.multicall(
            [contract.claim_with_signature(claims, wanted.signature), contract.settle(config.receiver, config.token)]
        )
        try:
            gas = await self._sender.simulate(call)
        except Reverted as error:
            raise web.HTTPBadRequest(text=f"The chain refuses the batch: {error.message}") from error
        ceiling = self._fee(
            gas * int(await self._chain.rpc.request("eth_gasPrice"), 16) * (100 + MARGIN_PERCENT) // 100
        )
        async with await self._paywall.hold(request, ceiling, "relay") as hold:
            try:
                receipt = await self._sender.send(call, purpose="relayed claim")
            except UserFacingError as error:
                raise web.HTTPServiceUnavailable(text=error.message) from error
            payment = await hold.charge(min(ceiling, self._fee(receipt.fee)))
        answer = relay_wire.RelayAnswer(transaction=receipt.tx)
        return web.json_response(text=answer.model_dump_json(by_alias=True), headers=payment.headers)

    def _fee(self, wei: int) -> int:
        return max(self._floor, self._chain.network.fee_in_token(wei))
