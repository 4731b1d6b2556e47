"""Neighbours who buy: a process that keeps files and has work done, so that a local network has something to earn.

    python -m depin_desktop.localnet.demand --dir DIR

It is a customer like any other, made of `depin_desktop.customer` alone, with a home and a spending budget of its own. A
network without providers, or with dead ones, only makes it wait.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import random
import sys
import time
from pathlib import Path

from depin_desktop.chain.chain import Chain
from depin_desktop.chain.network import Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.core.units import BASE_UNITS_PER_TOKEN, format_size
from depin_desktop.customer.session import Customer
from depin_desktop.localnet.demand_policy import Act, DemandSettings, Held, Plan, back_off_s, content, decide, pause_s
from depin_desktop.localnet.errands import run_errand
from depin_desktop.localnet.errands_policy import Errand, decide_errand
from depin_desktop.localnet.folder import Folder
from depin_desktop.localnet.signals import run_until_stopped
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.faucet_client import ask_faucet
from depin_desktop.wallet.joining import join, joined_network

log = logging.getLogger(__name__)

BUDGET = 500_000 * BASE_UNITS_PER_TOKEN
ONE_COPY = (1, 1)
STORES_UNTIL_MORE_ARE_SOUGHT = 10  # looking for providers that are not there takes seconds
FAILURES_UNTIL_REOPENED = 3
NOBODY_KEEPS_FILES = frozenset({"no-providers", "too-few-providers"})
TURNS_WITHOUT_FILES = 10  # where only work is offered, files are tried now and then


class Neighbour:
    """One customer with a home of its own.

    Args:
        home: its folder; what it has stored is remembered there.
        network_file: the local network's.
        dice: decides; a seeded one makes a run repeatable.
    """

    def __init__(
        self, home: Home, network_file: Path, settings: DemandSettings, dice: random.Random | None = None
    ) -> None:
        self._home = home
        self._network_file = network_file
        self._settings = settings
        self._dice = dice or random.SystemRandom()
        self._alone_for = 0  # stores that will make do with one provider
        self._without_files_for = 0  # turns in which only work is bought

    async def run(self) -> None:
        """Buys until it is cancelled; failures are logged and slow it down."""
        failures = 0
        while True:
            try:
                network = await self.prepare()
                async with Customer.open(self._home) as customer:
                    failures = await self._shop(customer, network, failures)
            except UserFacingError as error:
                failures += 1
                log.warning("%s", error)
                await self._rest(failures)

    async def _shop(self, customer: Customer, network: Network, failures: int) -> int:
        """Acts until some acts in a row have failed, for the network may have moved; returns how many have failed."""
        in_a_row = 0
        while in_a_row < FAILURES_UNTIL_REOPENED:
            if await self._succeeds(customer, network):
                in_a_row = failures = 0
            else:
                in_a_row += 1
                failures += 1
            await self._rest(failures)
        return failures

    async def _succeeds(self, customer: Customer, network: Network) -> bool:
        try:
            await self.turn(customer, network)
        except UserFacingError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("an act failed in an unforeseen way")
        else:
            return True
        return False

    async def _rest(self, failures: int) -> None:
        await asyncio.sleep(back_off_s(failures) if failures else pause_s(self._settings, self._dice))

    async def prepare(self) -> Network:
        """Joins the network, and has the faucet fill the budget up when half of it is gone.

        Raises:
            UserFacingError: chain or faucet do not answer.
        """
        await asyncio.to_thread(join, self._home, self._network_file)
        network = await asyncio.to_thread(joined_network, self._home)
        spender = await asyncio.to_thread(hotkeys.spender, self._home)
        chain = await Chain.connect(network)
        try:
            balance = await chain.token.balance_of(spender.address)
        finally:
            await chain.close()
        if balance < BUDGET // 2:
            await ask_faucet(network, spender.address, tokens=BUDGET - balance)
        return network

    async def turn(self, customer: Customer, network: Network) -> Plan | Errand:
        """Has some work done, where somebody offers that, or does something with files.

        Raises:
            UserFacingError: it did not work, for a reason that may pass.
        """
        kinds = {model.kind for model in await customer.compute.models()} if self._settings.computing else set()
        errand = decide_errand(kinds, self._dice)
        if errand is not None and (self._without_files_for or self._dice.random() < self._settings.computing):
            self._without_files_for = max(0, self._without_files_for - 1)
            await run_errand(customer.compute, errand)
            return errand
        try:
            return await self.act(customer, network)
        except UserFacingError as error:
            if errand is None or error.code not in NOBODY_KEEPS_FILES:
                raise
            self._without_files_for = TURNS_WITHOUT_FILES
            await run_errand(customer.compute, errand)
            return errand

    async def act(self, customer: Customer, network: Network) -> Plan:
        """Decides on one thing to do with files, and does it.

        Raises:
            UserFacingError: it did not work, for a reason that may pass.
        """
        now = time.time()
        held = [Held(f.locator, f.name, f.size) for f in await customer.files() if f.expires_at > now]
        plan = decide(held, self._settings, self._dice)
        if plan.held is None:
            await self._store(customer, plan, network.period_s)
        elif plan.act is Act.READ:
            await self._read(customer, plan, plan.held)
        else:
            await customer.remove(plan.held.locator)
            log.info("removed %s (%s)", plan.held.name, format_size(plan.held.size))
        return plan

    async def _store(self, customer: Customer, plan: Plan, period_s: int) -> None:
        data, term_s = await asyncio.to_thread(content, plan.name, plan.size), plan.term_periods * period_s
        code = ONE_COPY if self._alone_for else plan.code
        self._alone_for = max(0, self._alone_for - 1)
        try:
            await customer.put(io.BytesIO(data), name=plan.name, code=code, term_s=term_s)
        except UserFacingError as error:
            if error.code != "too-few-providers" or code == ONE_COPY:
                raise
            code, self._alone_for = ONE_COPY, STORES_UNTIL_MORE_ARE_SOUGHT
            await customer.put(io.BytesIO(data), name=plan.name, code=code, term_s=term_s)
        log.info("stored %s (%s, %d/%d) for %d s", plan.name, format_size(plan.size), *code, term_s)

    async def _read(self, customer: Customer, plan: Plan, held: Held) -> None:
        began = time.monotonic()
        found = await customer.read(held.locator, plan.start, plan.size)
        took = time.monotonic() - began
        whole = await asyncio.to_thread(content, held.name, held.size)
        if found == whole[plan.start : plan.start + plan.size]:
            log.info("read %s of %s in %.2f s, unharmed", format_size(plan.size), held.name, took)
        else:
            log.error("%s came back as something else", held.name)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m depin_desktop.localnet.demand", description="Runs a neighbour.")
    parser.add_argument("--dir", type=Path, required=True, help="the local network's folder")
    arguments = parser.parse_args()
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    folder = Folder(arguments.dir)
    try:
        settings = DemandSettings.load(folder.demand / "demand.json")
    except UserFacingError as error:
        log.critical("%s", error)
        return 1
    neighbour = Neighbour(Home(folder.demand), folder.network, settings)
    asyncio.run(run_until_stopped(neighbour.run()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
