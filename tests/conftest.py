"""What all tests share: one real local network a session, money on it, its clock, and homes that have joined it.

Its period is an hour; tests move its clock instead of waiting. Its time therefore runs ahead of the wall clock:
whatever a contract compares with the time must be made from `await chain.now()`. Nothing is rolled back between tests,
so each makes its own accounts and homes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.core.home import Home
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN
from depin_desktop.localnet.localnet import Localnet
from depin_desktop.wallet.faucet_client import ask_faucet
from depin_desktop.wallet.onboarding import initialise
from depin_desktop.wallet.vault import Cost

PERIOD_S = 3600
PASSWORD = "correct horse battery"
FAST = Cost(n=16)  # of the wallet's encryption: strength is not what these tests are about
TOKENS = 10_000 * BASE_UNITS_PER_TOKEN
GAS = 10**18


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests measured (`record_property("measured", …)`), in whichever process they ran."""
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, what in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(f"{report.nodeid}: {what}")


@dataclass(frozen=True)
class SharedNetwork:
    """The session's network."""

    network: Network
    file: Path


@pytest.fixture(scope="session")
def localnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedNetwork]:
    """Real anvil, nats-server and faucet, supervised in a thread of their own, so that any test's loop can use them."""
    folder = tmp_path_factory.mktemp("localnet")
    net = Localnet(folder, PERIOD_S)
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)  # without one it would become this thread's loop
    loop = runner.get_loop()
    thread = threading.Thread(target=loop.run_forever, name="localnet", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(net.start(), loop).result(60)
        yield SharedNetwork(net.network, net.folder.network)
    finally:
        asyncio.run_coroutine_threadsafe(net.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        runner.close()


@pytest.fixture
def network(localnet: SharedNetwork) -> Network:
    """The session network's profile."""
    return localnet.network


@pytest.fixture
async def chain(network: Network) -> AsyncIterator[Chain]:
    """A connection of this test's own to the session's chain."""
    connected = await Chain.connect(network)
    yield connected
    await connected.close()


class Warp:
    """Moves the chain's clock forward; every move mines a block, so that contracts see it."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def by(self, seconds: int) -> int:
        """Moves by `seconds`; returns the chain's time."""
        await self._chain.rpc.request("evm_increaseTime", seconds)
        await self._chain.rpc.request("evm_mine")
        return await self._chain.now()

    async def to(self, timestamp: int) -> int:
        """Moves to `timestamp`, unless it has passed; returns the chain's time."""
        return await self.by(max(0, timestamp - await self._chain.now()))

    async def to_next_period(self) -> int:
        """Moves to the begin of the next proving period; returns its number."""
        deals = self._chain.deals
        period = await deals.current_period() + 1
        await self.to(await deals.genesis() + period * await deals.period_s())
        return period

    async def to_window(self) -> int:
        """Moves to the present period's challenge window (stays if it is open); returns the period's number."""
        deals = self._chain.deals
        period = await deals.current_period()
        await self.to(await deals.genesis() + (period + 1) * await deals.period_s() - await deals.window_s())
        return period


@pytest.fixture
def warp(chain: Chain) -> Warp:
    """The chain's clock: `await warp.by(60)`, `.to(t)`, `.to_next_period()`, `.to_window()`."""
    return Warp(chain)


class Fund(Protocol):
    """`await fund(address, tokens=…, gas=…)`: base units and wei."""

    def __call__(self, address: str, *, tokens: int = TOKENS, gas: int = GAS) -> Awaitable[None]: ...


@pytest.fixture
def fund(network: Network) -> Fund:
    """Gives tokens and gas to any address."""

    async def give(address: str, *, tokens: int = TOKENS, gas: int = GAS) -> None:
        await ask_faucet(network, address, tokens=tokens, gas=gas)

    return give


class NewAccount(Protocol):
    """`await new_account(tokens=…, gas=…)`: a fresh key with that much."""

    def __call__(self, *, tokens: int = TOKENS, gas: int = GAS) -> Awaitable[LocalAccount]: ...


@pytest.fixture
def new_account(fund: Fund) -> NewAccount:
    """Makes funded accounts, each with a key of its own."""

    async def make(*, tokens: int = TOKENS, gas: int = GAS) -> LocalAccount:
        account: LocalAccount = Account.create()
        if tokens or gas:
            await fund(account.address, tokens=tokens, gas=gas)
        return account

    return make


class MakeHome(Protocol):
    """`await make_home(name)`: a registered provider's home whose spender has a budget."""

    def __call__(
        self, name: str = "home", *, spending_budget: int = 50_000 * BASE_UNITS_PER_TOKEN
    ) -> Awaitable[Home]: ...


@pytest.fixture
def make_home(localnet: SharedNetwork, tmp_path: Path) -> MakeHome:
    """Makes homes as `depin init` does: joined, funded, registered; the password is `PASSWORD`."""

    async def make(name: str = "home", *, spending_budget: int = 50_000 * BASE_UNITS_PER_TOKEN) -> Home:
        home = Home(tmp_path / name)
        await initialise(home, localnet.file, PASSWORD, spending_budget=spending_budget, cost=FAST)
        return home

    return make
