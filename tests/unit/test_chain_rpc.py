"""The JSON-RPC client against a real HTTP server that misbehaves as nodes do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from depin_desktop.chain.broadcast import Answer, classify
from depin_desktop.chain.fees import FeeOracle, Fees
from depin_desktop.chain.rpc import Rpc, RpcError, TooLarge, Unreachable
from depin_desktop.core.errors import UserFacingError

Handler = Callable[[Any], Awaitable[web.StreamResponse]]


class Node:
    """An HTTP server whose answers a test decides."""

    def __init__(self) -> None:
        self.answer: Handler = self.echo
        self.asked: list[Any] = []
        self.rpc = Rpc("http://127.0.0.1")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.asked.append(body)
        return await self.answer(body)

    async def echo(self, body: Any) -> web.StreamResponse:
        """Answers each call with its own parameters; batches in reverse order, as nodes may."""

        def one(call: Any) -> Any:
            if call["method"] == "fail":
                return {"id": call["id"], "error": {"code": -32601, "message": "no such method", "data": "0x"}}
            return {"id": call["id"], "result": call["params"]}

        return web.json_response([one(call) for call in reversed(body)] if isinstance(body, list) else one(body))


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    node = Node()
    app = web.Application()
    app.router.add_post("/", node.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    node.rpc = Rpc(f"http://127.0.0.1:{runner.addresses[0][1]}/", timeout_s=0.5)
    yield node
    await node.rpc.close()
    await runner.cleanup()


async def test_batches_keep_their_order_and_their_errors_apart(node: Node) -> None:
    answers = await node.rpc.batch([("a", [1]), ("fail", []), ("b", [2])])
    assert answers[0] == [1]
    assert answers[2] == [2]
    assert isinstance(answers[1], RpcError)
    assert answers[1].code == -32601
    assert await node.rpc.batch([]) == []
    with pytest.raises(RpcError, match="no such method"):
        await node.rpc.request("fail")


async def test_a_node_without_batches_is_asked_one_by_one(node: Node) -> None:
    async def single(body: Any) -> web.StreamResponse:
        if isinstance(body, list):
            return web.json_response({"id": None, "error": {"code": -32600, "message": "batches are off"}})
        return await node.echo(body)

    node.answer = single
    assert await node.rpc.batch([("a", [1]), ("b", [2])]) == [[1], [2]]


async def test_an_answer_larger_than_wanted_is_not_read_to_its_end(node: Node) -> None:
    calls = [("echo", ["x" * 1000])] * 3
    assert len(await node.rpc.batch(calls, at_most=10_000)) == 3
    with pytest.raises(TooLarge):
        await node.rpc.batch(calls, at_most=2_000)
    assert len(await node.rpc.batch(calls)) == 3


async def test_an_answer_left_out_of_a_batch_is_an_error(node: Node) -> None:
    async def shorter(body: Any) -> web.StreamResponse:
        return web.json_response([{"id": 0, "result": "0x1"}])

    node.answer = shorter
    first, second = await node.rpc.batch([("a", []), ("b", [])])
    assert first == "0x1"
    assert isinstance(second, RpcError)


async def test_a_busy_node_is_asked_again(node: Node) -> None:
    async def busy_once(body: Any) -> web.StreamResponse:
        return web.Response(status=429) if len(node.asked) == 1 else await node.echo(body)

    node.answer = busy_once
    assert await node.rpc.request("a", 7) == [7]
    assert len(node.asked) == 2


async def test_silence_ends_with_the_time_out(node: Node) -> None:
    async def silence(_: Any) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    node.answer = silence
    with pytest.raises(Unreachable, match="no answer within"):
        await node.rpc.request("a")


async def test_a_web_page_instead_of_a_node_is_told(node: Node) -> None:
    async def page(_: Any) -> web.StreamResponse:
        return web.Response(text="<html>", status=403)

    node.answer = page
    with pytest.raises(Unreachable, match="HTTP status 403"):
        await node.rpc.request("a")


async def test_credentials_in_the_address_are_never_shown() -> None:
    rpc = Rpc("http://user:secret@127.0.0.1:9/key-in-path", timeout_s=1)
    with pytest.raises(Unreachable) as told:
        await rpc.request("eth_chainId")
    assert "127.0.0.1:9" in str(told.value)
    assert "secret" not in str(told.value)
    assert "key-in-path" not in str(told.value)
    await rpc.close()


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("already known", Answer.TAKEN),
        ("transaction already imported", Answer.TAKEN),
        ("AlreadyKnown", Answer.TAKEN),
        ("nonce too low: next nonce 5, tx nonce 4", Answer.NONCE_USED),
        ("replacement transaction underpriced", Answer.NONCE_CONTESTED),
        ("transaction underpriced", Answer.FEE_TOO_LOW),
        ("max fee per gas less than block base fee: address 0x0", Answer.FEE_TOO_LOW),
        ("insufficient funds for gas * price + value", Answer.NO_FUNDS),
        ("exceeds block gas limit", Answer.REFUSED),
    ],
)
def test_a_node_s_words_about_a_broadcast_are_understood(words: str, meaning: Answer) -> None:
    assert classify(RpcError(-32000, words)) is meaning


async def test_a_bid_covers_a_doubling_of_the_base_fee(node: Node) -> None:
    async def market(body: Any) -> web.StreamResponse:
        history = {"baseFeePerGas": ["0x1", "0x64"], "reward": [["0x5"]]}
        return web.json_response([{"id": 0, "result": history}, {"id": 1, "result": "0x7"}])

    node.answer = market
    oracle = FeeOracle(node.rpc)
    assert await oracle.suggest() == Fees(max_fee=207, tip=7)
    await oracle.suggest()
    assert len(node.asked) == 1  # fresh enough


async def test_a_node_without_a_tip_is_read_from_its_history(node: Node) -> None:
    async def market(body: Any) -> web.StreamResponse:
        history = {"baseFeePerGas": ["0x64"], "reward": [["0x3"], ["0x5"], ["0x9"]]}
        return web.json_response([{"id": 0, "result": history}, {"id": 1, "error": {"code": 1, "message": "no"}}])

    node.answer = market
    assert await FeeOracle(node.rpc).suggest() == Fees(max_fee=205, tip=5)


async def test_a_chain_without_a_fee_market_is_refused(node: Node) -> None:
    node.answer = _no_market
    with pytest.raises(UserFacingError) as told:
        await FeeOracle(node.rpc).suggest()
    assert told.value.code == "no-fee-market"


async def _no_market(body: Any) -> web.StreamResponse:
    return web.json_response([{"id": call["id"], "error": {"code": -32601, "message": "unknown"}} for call in body])


@pytest.mark.parametrize("fees", [Fees(0, 0), Fees(1, 1), Fees(10**11, 10**9)])
def test_a_replacement_raises_both_figures_by_a_tenth_at_least(fees: Fees) -> None:
    better = fees.outbid(Fees(0, 0))
    assert better.max_fee * 10 >= fees.max_fee * 11
    assert better.max_fee > fees.max_fee
    assert better.tip * 10 >= fees.tip * 11
    assert better.tip > fees.tip
    assert better.max_fee >= better.tip
    assert fees.outbid(Fees(10**12, 10**10)) == Fees(10**12, 10**10)
