"""A local network is the same network after whatever ends it; real anvil, real nats-server."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import signal
import socket
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import nats
import psutil
import pytest
from eth_account import Account

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.chain.rpc import Rpc
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.localnet import anvil, traces
from depin_desktop.localnet import localnet as module
from depin_desktop.localnet.binaries import find_nats_server
from depin_desktop.localnet.localnet import Localnet
from depin_desktop.wallet.faucet_client import ask_faucet
from depin_desktop.wallet.joining import join, joined_network

PERIOD_S = 3600
DEV_MNEMONIC_OWNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
SOMEBODY = Account.create().address


async def balance(network: Network, address: str) -> int:
    chain = await Chain.connect(network)
    try:
        return await chain.token.balance_of(address)
    finally:
        await chain.close()


async def request(network: Network, method: str, *params: object) -> object:
    rpc = Rpc(network.rpc_url)
    try:
        return await rpc.request(method, *params)
    finally:
        await rpc.close()


async def test_a_restart_keeps_addresses_balances_and_ports(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        first = net.network
        await ask_faucet(first, SOMEBODY, tokens=7)
    async with Localnet(tmp_path, PERIOD_S) as net:
        assert net.network == first == Network.load(net.folder.network)
        assert await balance(net.network, SOMEBODY) == 7
        await ask_faucet(net.network, SOMEBODY, tokens=1)
        assert await balance(net.network, SOMEBODY) == 8


async def test_it_is_as_its_network_file_says(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        network = net.network
        assert network.private
        assert (network.period_s, network.window_s) == (PERIOD_S, PERIOD_S // 2)
        chain = await Chain.connect(network)
        assert await chain.deals.period_s() == PERIOD_S
        assert await chain.deals.window_s() == network.window_s
        assert await chain.registry.min_stake() == network.min_stake
        for address in network.addresses.model_dump().values():
            assert await chain.rpc.request("eth_getCode", address, "latest") != "0x"
        await chain.close()


async def test_another_period_later_changes_nothing(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        first = net.network
    async with Localnet(tmp_path, 60) as net:
        assert net.network == first


async def test_its_keys_are_its_own(tmp_path: Path) -> None:
    async with Localnet(tmp_path / "one", PERIOD_S) as one, Localnet(tmp_path / "two", PERIOD_S) as two:
        assert stat.S_IMODE(one.folder.treasury.stat().st_mode) == 0o600
        assert one.folder.treasury.read_text() != two.folder.treasury.read_text()
        assert await request(one.network, "eth_accounts") == [], "nobody may sign by asking the node"
        assert await request(one.network, "eth_getBalance", DEV_MNEMONIC_OWNER, "latest") == "0x0"
        words = json.loads(one.folder.treasury.read_text())["words"]
        for child in (one.chain_process, one.hub_process):
            assert child.pid is not None
            assert words not in " ".join(psutil.Process(child.pid).cmdline())


async def test_a_killed_chain_comes_back_with_what_was_saved(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        await ask_faucet(net.network, SOMEBODY, tokens=7)
        await net.save()
        first = net.chain_process.pid
        assert first is not None
        psutil.Process(first).kill()
        await net.chain_process.restarted(1)
        assert net.chain_process.pid != first
        assert await balance(net.network, SOMEBODY) == 7
        await ask_faucet(net.network, SOMEBODY, tokens=1)


async def test_what_was_not_saved_is_lost_and_the_faucet_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_INTERVAL_S", 3600)
    async with Localnet(tmp_path, PERIOD_S) as net:
        for _ in range(3):
            await ask_faucet(net.network, SOMEBODY, tokens=1)
        assert net.chain_process.pid is not None
        psutil.Process(net.chain_process.pid).kill()
        await net.chain_process.restarted(1)
        assert await balance(net.network, SOMEBODY) == 0
        await ask_faucet(net.network, SOMEBODY, tokens=1)
        assert await balance(net.network, SOMEBODY) >= 1


async def test_a_chain_that_no_longer_answers_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHAIN_TIMEOUT_S", 0.2)
    monkeypatch.setattr(module, "MISSES_UNTIL_KILLED", 2)
    async with Localnet(tmp_path, PERIOD_S) as net:
        assert net.chain_process.pid is not None
        psutil.Process(net.chain_process.pid).send_signal(signal.SIGSTOP)
        for _ in range(2):
            await net.watch.trigger_and_wait()
        await net.chain_process.restarted(1)
        assert await request(net.network, "eth_chainId") == hex(net.network.chain_id)


async def test_a_damaged_state_falls_back_to_the_one_before(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        await ask_faucet(net.network, SOMEBODY, tokens=7)
        await net.save()
        states = tmp_path / "chain"
    for damaged in (states / "exit.json", max(states.glob("state-*"))):
        damaged.write_bytes(damaged.read_bytes()[:1000])
    async with Localnet(tmp_path, PERIOD_S) as net:
        assert await balance(net.network, SOMEBODY) == 7


async def test_when_every_state_is_damaged_it_says_so_and_deletes_nothing(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S):
        pass
    states = sorted(path for path in (tmp_path / "chain").iterdir() if path.is_file())
    for state in states:
        state.write_bytes(b"{")
    with pytest.raises(UserFacingError) as failure:
        await Localnet(tmp_path, PERIOD_S).start()
    assert failure.value.code == "chain-state-damaged"
    assert [path for path in states if path.exists()] == states


async def test_the_clock_never_goes_back(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        await request(net.network, "evm_increaseTime", 100_000)
        await request(net.network, "evm_mine")
        before = await _time(net.network)
    async with Localnet(tmp_path, PERIOD_S) as net:
        await request(net.network, "evm_mine")
        assert await _time(net.network) >= before


async def _time(network: Network) -> int:
    block = await request(network, "eth_getBlockByNumber", "latest", False)
    assert isinstance(block, dict)
    return int(block["timestamp"], 16)


async def _dumped(network: Network) -> dict[str, Any]:
    dump = await request(network, "anvil_dumpState")
    assert isinstance(dump, str)
    state: dict[str, Any] = json.loads(gzip.decompress(bytes.fromhex(dump[2:])))
    return state


async def _everything(network: Network) -> list[object]:
    """All that the chain tells of its past and present."""
    height = int(str(await request(network, "eth_blockNumber")), 16)
    blocks = [await request(network, "eth_getBlockByNumber", hex(at), True) for at in range(height + 1)]
    hashes = [one["hash"] for block in blocks if isinstance(block, dict) for one in block["transactions"]]
    logs = await request(network, "eth_getLogs", {"fromBlock": "0x0", "toBlock": hex(height)})
    state = await _dumped(network)
    rest = [state[part] for part in ("block", "accounts", "best_block_number")]
    return [blocks, logs, [await request(network, "eth_getTransactionReceipt", one) for one in hashes], rest]


async def test_traces_are_let_go_and_nothing_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_INTERVAL_S", 3600)
    monkeypatch.setattr(anvil, "TRACES_AT_MOST", -1)
    monkeypatch.setattr(traces, "PER_CALL", 3)
    async with Localnet(tmp_path, PERIOD_S) as net:
        await ask_faucet(net.network, SOMEBODY, tokens=7)
        await net.save()
        for _ in range(5):
            await ask_faucet(net.network, SOMEBODY, tokens=1, gas=1)
        before, state = await _everything(net.network), await _dumped(net.network)
        assert sum(bool(one["info"]["traces"]) for one in state["transactions"]) >= 10
        await net.save()
        assert await _everything(net.network) == before
        lean = await _dumped(net.network)
        assert [one["info"]["traces"] for one in lean["transactions"]] == [[]] * len(state["transactions"])
        await ask_faucet(net.network, SOMEBODY, tokens=1)
        newest, parent = await _everything(net.network), before[0]
        assert isinstance(newest[0], list)
        assert isinstance(parent, list)
        assert newest[0][-1]["parentHash"] == parent[-1]["hash"]
    async with Localnet(tmp_path, PERIOD_S) as net:
        assert (await _everything(net.network))[:3] == newest[:3]
        assert await balance(net.network, SOMEBODY) == 13


async def test_what_a_chain_that_was_set_back_forgot_is_not_put_into_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_INTERVAL_S", 3600)
    async with Localnet(tmp_path, PERIOD_S) as net:
        snapshot = await request(net.network, "evm_snapshot")
        await ask_faucet(net.network, SOMEBODY, tokens=7)
        head = await request(net.network, "eth_getBlockByNumber", "latest", False)
        dump = await request(net.network, "anvil_dumpState")
        assert await request(net.network, "evm_revert", snapshot)
        await request(net.network, "evm_mine")
        before = await _dumped(net.network)
        monkeypatch.setattr(anvil, "TRACES_AT_MOST", -1)
        async with anvil.closing(Rpc(net.network.rpc_url)) as rpc:
            await net._saver._free_traces(rpc, dump, head)
        assert await _dumped(net.network) == before


async def test_old_blocks_lose_their_transactions_and_keep_their_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anvil, "BLOCKS_WITH_TRANSACTIONS", 30)
    async with Localnet(tmp_path, PERIOD_S) as net:
        await ask_faucet(net.network, SOMEBODY, tokens=7)
        height = int(str(await request(net.network, "eth_blockNumber")), 16)
        assert height < 30
        await request(net.network, "anvil_mine", hex(20))
    async with Localnet(tmp_path, PERIOD_S) as net:  # it goes on after a restart
        whole = await _dumped(net.network)
        await request(net.network, "anvil_mine", hex(20))
        state = await _dumped(net.network)
        assert {one["block_number"] for one in whole["transactions"]} == set(range(1, height + 1))
        oldest = min((one["block_number"] for one in state["transactions"]), default=None)
        assert oldest == (None if height <= height + 40 - 30 else height + 40 - 30 + 1)
        assert all([await request(net.network, "eth_getBlockByNumber", hex(at), False) for at in range(height + 41)])
        assert await balance(net.network, SOMEBODY) == 7
        await ask_faucet(net.network, SOMEBODY, tokens=1)


async def test_taken_ports_are_given_up_and_homes_follow(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    async with Localnet(tmp_path / "net", PERIOD_S) as net:
        first = net.network
        join(home, net.folder.network)
        ports = net.folder.load_ports()
    with contextlib.ExitStack() as stack:
        for port in (ports.rpc, ports.hub, ports.faucet):
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        async with Localnet(tmp_path / "net", PERIOD_S) as net:
            moved = net.network
            assert moved.addresses == first.addresses
            assert moved.rpc_url != first.rpc_url
            assert moved.hub_urls != first.hub_urls
            assert moved.faucet_url != first.faucet_url
            assert joined_network(home) == moved
            await ask_faucet(joined_network(home), SOMEBODY, tokens=7)


async def test_a_chain_whose_port_was_taken_while_it_was_down_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        before = net.network
        thief = socket.socket()
        taken = False

        def take_first(wanted: int) -> int:
            nonlocal taken
            if not taken:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                thief.bind(("127.0.0.1", wanted))
                thief.listen()
                taken = True
            return real(wanted)

        real = module.usable_port
        monkeypatch.setattr(module, "usable_port", take_first)
        assert net.chain_process.pid is not None
        psutil.Process(net.chain_process.pid).kill()
        await net.chain_process.restarted(1)
        await net.watch.trigger_and_wait()
        assert net.network.rpc_url != before.rpc_url
        assert Network.load(net.folder.network) == net.network
        await ask_faucet(net.network, SOMEBODY, tokens=7)
        thief.close()


async def test_the_hub_keeps_what_it_was_given(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        client = await nats.connect(net.network.hub_urls[0])
        bucket = await client.jetstream().create_key_value(bucket="b")
        await bucket.put("key", b"value")
        await client.close()
        assert net.hub_process.pid is not None
        psutil.Process(net.hub_process.pid).kill()
        await net.hub_process.restarted(1)
        client = await nats.connect(net.network.hub_urls[0])
        found = await (await client.jetstream().key_value("b")).get("key")
        assert found.value == b"value"
        await client.close()


async def test_a_folder_has_one_network_at_a_time(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        with pytest.raises(UserFacingError) as failure:
            await Localnet(tmp_path, PERIOD_S).start()
        assert failure.value.code == "localnet-running"
        await ask_faucet(net.network, SOMEBODY, tokens=7)


async def test_it_ends_all_that_it_started(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        processes = [psutil.Process(child.pid) for child in (net.chain_process, net.hub_process)]
    assert not any(process.is_running() for process in processes)
    await net.stop()  # a second stop is nothing


async def test_stopped_while_it_starts_it_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(psutil.Process().children())
    net = Localnet(tmp_path, PERIOD_S)
    starting = asyncio.create_task(net.start())

    def stop_now() -> Path:  # the chain is up, the hub is not
        assert psutil.pid_exists(net.chain_process.pid)
        starting.cancel()
        return find_nats_server()

    monkeypatch.setattr(module, "find_nats_server", stop_now)
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert set(psutil.Process().children()) == before
    monkeypatch.undo()
    async with Localnet(tmp_path, PERIOD_S) as net:  # what it had begun does not stand in the way
        await ask_faucet(net.network, SOMEBODY, tokens=7)


async def test_without_anvil_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPIN_ANVIL", str(tmp_path / "nothing"))
    with pytest.raises(UserFacingError) as failure:
        await Localnet(tmp_path / "net", PERIOD_S).start()
    assert "DEPIN_ANVIL" in failure.value.message


async def test_the_faucet_keeps_its_limits(tmp_path: Path) -> None:
    async with Localnet(tmp_path, PERIOD_S) as net:
        for wrong in (
            {"tokens": 10**30},
            {"gas": 10**24},
            {"tokens": -1},
        ):
            with pytest.raises(UserFacingError, match="at once"):
                await ask_faucet(net.network, SOMEBODY, **wrong)
        with pytest.raises(UserFacingError, match="not an address"):
            await ask_faucet(net.network, "0x12", tokens=1)
        transactions = await asyncio.gather(*(ask_faucet(net.network, SOMEBODY, tokens=1, gas=2) for _ in range(5)))
        assert len({transaction for pair in transactions for transaction in pair}) == 10
        assert await balance(net.network, SOMEBODY) == 5
        assert await request(net.network, "eth_getBalance", SOMEBODY, "latest") == hex(10)


async def test_the_faucet_serves_no_web_page(tmp_path: Path) -> None:
    body = {"address": SOMEBODY, "tokens": "1"}
    async with Localnet(tmp_path, PERIOD_S) as net, aiohttp.ClientSession() as session:
        url = net.network.faucet_url
        assert url is not None
        for headers, data, status in (
            ({"Host": "evil.example", "Content-Type": "application/json"}, json.dumps(body), 403),
            ({"Content-Type": "text/plain"}, json.dumps(body), 415),
            ({"Content-Type": "application/json"}, "[]", 400),
            ({"Content-Type": "application/json"}, json.dumps(body | {"more": 1}), 400),
            ({"Content-Type": "application/json"}, "x" * 10_000, 413),
        ):
            async with session.post(url, data=data, headers=headers) as response:
                assert response.status == status
                assert "Access-Control-Allow-Origin" not in response.headers
        async with session.get(url) as response:
            assert response.status == 405
        assert await balance(net.network, SOMEBODY) == 0
        for host in (urlsplit(url).netloc, f"localhost:{urlsplit(url).port}"):
            async with session.post(url, json=body, headers={"Host": host}) as response:
                assert response.status == 200
        assert await balance(net.network, SOMEBODY) == 2
