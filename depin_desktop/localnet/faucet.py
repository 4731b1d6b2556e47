"""The faucet of a local network: gives tokens and gas, which have no value there, to whoever asks on this machine."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from eth_utils.address import is_address, to_checksum_address
from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.api.models import Money, Problem
from depin_desktop.chain.accounts import LocalAccount
from depin_desktop.chain.calls import Call
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.sender import Sender
from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN
from depin_desktop.localnet.folder import LOOPBACK, usable_port

log = logging.getLogger(__name__)

MOST_TOKENS = 1_000_000 * BASE_UNITS_PER_TOKEN  # a request
MOST_GAS = 100 * 10**18  # wei a request
_MOST_BYTES = 4096

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def faucet_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}/"


class FaucetRequest(BaseModel):
    """Who wants how much: tokens in base units, gas in wei; amounts as numbers or decimal strings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    tokens: Money = 0
    gas: Money = 0


class Faucet:
    """Answers `POST /` with the hashes of the transactions, once they are mined.

    A page in a browser cannot use it: the Host header must name the loopback address (which stops DNS rebinding), and
    the body must be application/json (which a foreign page may not send without a CORS permission that is never given).
    """

    def __init__(self, chain: Chain, sender: Sender) -> None:
        self._chain = chain
        self._sender = sender

    def app(self) -> web.Application:
        """The web application; serve it on loopback only."""
        app = web.Application(client_max_size=_MOST_BYTES, middlewares=[_only_this_machine, _problems])
        app.router.add_post("/", self._give)
        return app

    async def _give(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            raise UserFacingError("The faucet reads application/json only.", code="bad-request", status=415)
        try:
            wanted = FaucetRequest.model_validate_json(await request.read())
        except ValidationError as error:
            raise UserFacingError(
                "This is not a request to the faucet.",
                'Send {"address": "0x…", "tokens": base units, "gas": wei}.',
                code="bad-request",
            ) from error
        transactions = await self.give(wanted)
        return web.json_response({"transactions": transactions})

    async def give(self, wanted: FaucetRequest) -> list[str]:
        """Sends what is wanted; returns the mined transactions' hashes.

        Raises:
            UserFacingError: not an address, a negative amount, or more than one request may have.
        """
        if not is_address(wanted.address):
            raise UserFacingError("This is not an address.", "An address is 0x and 40 hex digits.", code="bad-address")
        if not (0 <= wanted.tokens <= MOST_TOKENS and 0 <= wanted.gas <= MOST_GAS):
            raise UserFacingError(
                "The faucet does not give that much at once.",
                f"Ask for at most {MOST_TOKENS // BASE_UNITS_PER_TOKEN} tokens and {MOST_GAS // 10**18} coins of gas.",
                code="too-much",
            )
        address = to_checksum_address(wanted.address)
        calls = []
        if wanted.gas:
            calls.append(Call(address, b"", "faucet.gas", value=wanted.gas))
        if wanted.tokens:
            calls.append(self._chain.token.transfer(address, wanted.tokens))
        receipts = await self._sender.send_many(calls, purpose="faucet") if calls else []
        log.info("gave %d base units and %d wei to %s", wanted.tokens, wanted.gas, address)
        return ["0x" + receipt.tx.hex() for receipt in receipts]


class FaucetServer:
    """Serves a `Faucet` on a loopback port, and can be pointed to a chain that has moved to another one."""

    def __init__(self, account: LocalAccount, database: Database) -> None:
        self._account = account
        self._database = database
        self._open: contextlib.AsyncExitStack | None = None

    async def serve(self, network: Network, port: int) -> int:
        """Serves the faucet of `network`, on `port` if it can be had; returns the port. Ends what it served before."""
        await self.stop()
        port = usable_port(port)
        async with contextlib.AsyncExitStack() as stack:
            chain = await Chain.connect(network)
            stack.push_async_callback(chain.close)
            sender = Sender(chain, self._account, self._database)
            await sender.start()
            stack.push_async_callback(sender.stop)
            runner = web.AppRunner(Faucet(chain, sender).app(), access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, LOOPBACK, port).start()
            self._open = stack.pop_all()
        return port

    async def stop(self) -> None:
        """Stops serving. A second call does nothing."""
        stack, self._open = self._open, None
        if stack is not None:
            await stack.aclose()


@web.middleware
async def _only_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    host = (request.host or "").rpartition(":")[0] or request.host
    if host not in (LOOPBACK, "localhost"):
        return _problem(UserFacingError("The faucet serves this machine only.", code="bad-host", status=403))
    return await handler(request)


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except UserFacingError as error:
        return _problem(error)


def _problem(error: UserFacingError) -> web.Response:
    problem = Problem(code=error.code, message=error.message, remedy=error.remedy)
    return web.json_response(problem.model_dump(), status=error.status)
