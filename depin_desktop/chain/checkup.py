"""Whether a network can be used: the node, the chain behind it, and the contracts that its profile names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from depin_desktop.chain.abi import artifact
from depin_desktop.chain.calls import Block
from depin_desktop.chain.chain import Chain
from depin_desktop.chain.contracts import CONTRACTS
from depin_desktop.chain.fees import FeeOracle
from depin_desktop.chain.heads import Heads
from depin_desktop.chain.network import Network
from depin_desktop.chain.rpc import RpcError
from depin_desktop.core.errors import UserFacingError

OLD_HEAD_S = 900  # a public chain without a block for so long stands still, or its node does
HEADS_TIMEOUT_S = 5.0
LOG_BLOCKS = 500
SOMEBODY_ELSE = "another contract than this program's version was made for"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `ok` None: not as it might be, yet nothing fails for it."""

    subject: str
    ok: bool | None
    detail: str


async def check(network: Network) -> tuple[Finding, ...]:
    """Looks at everything that a home needs of a network's chain; never raises.

    Returns:
        the findings in order; only the first when the node does not answer or serves another chain.
    """
    try:
        chain = await Chain.connect(network)
    except UserFacingError as error:
        return (Finding("node", False, str(error)),)
    try:
        findings = [Finding("node", True, f"serves chain {network.chain_id}")]
        looks = [_head, _fees, _logs, _heads, _code, _terms]
        for look in looks:
            findings += await _safely(look, chain)
        return tuple(findings)
    finally:
        await chain.close()


async def _safely(look: Callable[[Chain], Awaitable[Sequence[Finding]]], chain: Chain) -> Sequence[Finding]:
    subject = look.__name__.strip("_")
    try:
        return await look(chain)
    except (UserFacingError, RpcError, LookupError) as error:
        return [Finding(subject, False, str(error))]


async def _head(chain: Chain) -> Sequence[Finding]:
    head: Block = await chain.block()
    if head.number < chain.network.start_block:
        return [Finding("head", False, f"block {head.number}, older than the network: this node is far behind")]
    age = int(time.time()) - head.time
    if chain.network.private or age < OLD_HEAD_S:
        return [Finding("head", True, f"block {head.number}")]
    return [Finding("head", False, f"block {head.number} is {age // 60} minutes old: the node or its chain stands")]


async def _fees(chain: Chain) -> Sequence[Finding]:
    fees = await FeeOracle(chain.rpc).suggest()
    found = [Finding("fees", True, f"at most {fees.max_fee / 1e9:.3g} gwei per gas now")]
    if not chain.network.private and not chain.network.tokens_per_coin:
        found.append(
            Finding("worth of gas", None, "nobody says what a coin is worth in tokens: only what presses is claimed")
        )
    return found


async def _logs(chain: Chain) -> Sequence[Finding]:
    """The index needs `eth_getLogs` over old blocks; some nodes sell that apart, or cut the range."""
    start = chain.network.start_block
    asked = {"address": chain.deals.address, "fromBlock": hex(start), "toBlock": hex(start + LOG_BLOCKS - 1)}
    try:
        await chain.rpc.request("eth_getLogs", asked)
    except RpcError as error:
        return [
            Finding("logs", None, f"{LOG_BLOCKS} blocks at once are refused ({error.message[:80]}); fewer are read")
        ]
    return [Finding("logs", True, "readable from the network's first block on")]


async def _heads(chain: Chain) -> Sequence[Finding]:
    if not chain.network.ws_url:
        return [Finding("heads", None, "no WebSocket address: new blocks are found by asking every few seconds")]
    told = asyncio.Event()
    heads = Heads(chain.network.ws_url, lambda _: told.set())
    following = asyncio.create_task(heads.run())
    try:
        async with asyncio.timeout(HEADS_TIMEOUT_S):
            await told.wait()
    except TimeoutError:
        return [Finding("heads", None, "the WebSocket does not answer: new blocks are found by asking")]
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return [Finding("heads", True, "announced over WebSocket")]


async def _code(chain: Chain) -> Sequence[Finding]:
    """x402's and Multicall3's contracts are other people's, so that they only must be there; ours must be ours."""
    addresses = chain.network.addresses
    ours = {
        contract.address: CONTRACTS[contract.label] for contract in chain.contracts if contract.label != "settlement"
    }
    labels = addresses.model_dump()
    answers = await chain.rpc.batch([("eth_getCode", (address, "latest")) for address in labels.values()])
    findings = []
    for (label, address), answer in zip(labels.items(), answers, strict=True):
        if isinstance(answer, RpcError):
            raise answer
        if answer in ("0x", None):
            findings.append(Finding(label, False, f"no contract at {address}"))
        elif address in ours and not is_ours(ours[address], bytes.fromhex(answer[2:])):
            findings.append(Finding(label, False, f"{address} is {SOMEBODY_ELSE}"))
        else:
            findings.append(Finding(label, True, address))
    return findings


def is_ours(name: str, code: bytes) -> bool:
    """Whether runtime code is that of one of our contracts, whatever its immutable values."""
    compiled = artifact(name)
    expected = bytearray.fromhex(compiled["deployedBytecode"].removeprefix("0x"))
    found = bytearray(code)
    if len(found) != len(expected):
        return False
    for start, length in compiled["immutables"]:
        expected[start : start + length] = found[start : start + length] = bytes(length)
    return found == expected


async def _terms(chain: Chain) -> Sequence[Finding]:
    """The profile's figures against the contracts', and the contracts against each other."""
    network, deals = chain.network, chain.deals
    period, window, stake, slasher = await asyncio.gather(
        deals.period_s(), deals.window_s(), chain.registry.min_stake(), chain.registry.is_slasher(deals.address)
    )
    wrong = [
        f"{what} is {real}, not {said}"
        for what, real, said in (
            ("the proving period", period, network.period_s),
            ("the proving window", window, network.window_s),
            ("the least stake", stake, network.min_stake),
        )
        if real != said
    ]
    if not slasher:
        wrong.append("the storage contract may not punish faults yet: its deployment is not finished")
    detail = "; ".join(wrong) or f"a period of {period} s with a window of {window} s"
    return [Finding("terms", not wrong, detail)]
