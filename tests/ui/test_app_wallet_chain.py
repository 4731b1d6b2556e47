"""The owner's steps from the window to the chain: a real engine, the real command line, a real anvil."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from eth_account import Account
from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.known import Known
from depin_desktop.app.loop import future_of
from depin_desktop.app.pages.wallet import WalletPage
from depin_desktop.app.preferences import Preferences
from depin_desktop.app.presenters.thaws import thawed
from depin_desktop.app.step_dialog import Sheet, StepDialog
from depin_desktop.app.theme import Theme
from depin_desktop.app.wallet_dialogs import (
    BudgetDialog,
    PayoutDialog,
    ReleaseDialog,
    SendDialog,
    StakeDialog,
    WithdrawDialog,
)
from depin_desktop.app.window import MainWindow
from depin_desktop.chain.chain import Chain
from depin_desktop.core.home import Home
from depin_desktop.core.tasks import Tasks
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.vault import Vault
from tests.conftest import PASSWORD
from tests.integration.homes import Node
from tests.integration.test_wallet_looks import outrun

from . import test_app_link
from .test_app_link import whole

TOKEN = 10**18
CLICK = Qt.MouseButton.LeftButton
ENDED_S = 60


@contextlib.asynccontextmanager
async def opened(home: Home, theme: Theme) -> AsyncIterator[MainWindow]:
    """The window on the Wallet page, with the home's engine as a process of its own."""
    node = Node(home.root)
    try:
        await asyncio.to_thread(node.launch)
        link, tasks = EngineLink(home, start_engine=False), Tasks("test")
        tasks.spawn("link", link.run())
        window = MainWindow(link, theme, Preferences(home))
        window.show()
        window.open_page("wallet")
        await until(link, whole)
        try:
            yield window
        finally:
            window.hide()
            await window.controller.jobs.close()
            await tasks.close()
            window.deleteLater()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    finally:
        await asyncio.to_thread(node.stop)


@pytest.fixture
async def home(make_home: Any) -> Home:
    made: Home = await make_home(spending_budget=500 * TOKEN)
    return made


@pytest_asyncio.fixture
async def window(home: Home, theme: Theme) -> AsyncIterator[MainWindow]:
    async with opened(home, theme) as made:
        yield made


async def until(link: EngineLink, reached: Callable[[Known], bool]) -> None:
    """Patient: a whole network works for it."""
    await test_app_link.until(link, reached, ENDED_S)


def known(window: MainWindow) -> Known:
    return window._link.known


def begin(window: MainWindow, step: str, kind: type[Any]) -> Any:
    getattr(window.controller.wallet, step)()
    dialog = window.controller.dialog
    assert isinstance(dialog, kind)
    return dialog


async def turned(dialog: StepDialog, reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(ENDED_S):
        while not reached():
            await future_of(dialog.turned)


async def reviewed(dialog: StepDialog, qtbot: QtBot) -> None:
    qtbot.mouseClick(dialog.go, CLICK)
    await turned(dialog, lambda: dialog.at is Sheet.REVIEW or dialog.problem.isVisible())
    assert dialog.at is Sheet.REVIEW, dialog.problem.text()


async def carried_out(dialog: StepDialog, qtbot: QtBot, password: str = PASSWORD) -> str:
    """From the review to the receipt; returns the transaction."""
    await reviewed(dialog, qtbot)
    qtbot.keyClicks(dialog.review.password, password)
    qtbot.keyClick(dialog.review.password, Qt.Key.Key_Return)
    await turned(dialog, lambda: dialog.progress.headline.isVisible() or dialog.problem.isVisible())
    assert not dialog.problem.isVisible(), dialog.problem.text()
    transaction = dialog.progress.transaction.text()
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    return transaction


async def test_tokens_are_sent_and_come_into_the_history(
    window: MainWindow, home: Home, chain: Chain, qtbot: QtBot
) -> None:
    friend = Account.create().address
    before = await chain.token.balance_of(Vault.load(home.vault).owner)
    dialog = begin(window, "send", SendDialog)
    dialog.to.setText(friend.lower())
    qtbot.keyClicks(dialog.amount.field, "2.5")

    await reviewed(dialog, qtbot)
    facts = {texts[0].text(): texts[1].text() for texts in zip(*[iter(dialog.review.facts._texts)] * 2, strict=True)}
    assert facts["Amount"] == "2.50 DPN"
    assert await chain.token.balance_of(friend) == 0
    qtbot.keyClicks(dialog.review.password, "another password")
    qtbot.keyClick(dialog.review.password, Qt.Key.Key_Return)
    await turned(dialog, dialog.problem.isVisible)
    assert "password is wrong" in dialog.problem.text()
    assert await chain.token.balance_of(friend) == 0
    dialog.back.click()

    transaction = await carried_out(dialog, qtbot)
    assert await chain.token.balance_of(friend) == 25 * TOKEN // 10
    await until(window._link, lambda now: any(line.transaction == transaction for line in now.history or ()))
    line = next(line for line in known(window).history or () if line.transaction == transaction)
    assert (line.kind, line.amount, line.counterparty) == ("transfer-out", -25 * TOKEN // 10, friend)
    await until(window._link, lambda now: now.wallet is not None and now.wallet.balance == before - 25 * TOKEN // 10)
    receipt = await chain.rpc.request("eth_getTransactionReceipt", transaction)
    assert int(receipt["status"], 16) == 1

    dialog = begin(window, "send", SendDialog)  # everything, and whoever was sent to before is known
    dialog.to.setText(friend)
    assert "before" in dialog.about.text()
    dialog.amount.all.click()
    await carried_out(dialog, qtbot)
    assert await chain.token.balance_of(friend) == before
    assert await chain.token.balance_of(Vault.load(home.vault).owner) == 0


async def test_the_operator_is_topped_up_with_gas(window: MainWindow, home: Home, chain: Chain, qtbot: QtBot) -> None:
    operator = hotkeys.operator(home).address
    dialog = begin(window, "top_up", SendDialog)
    assert dialog.to.text() == operator
    before = await chain.gas_balance(operator)
    qtbot.keyClicks(dialog.amount.field, "0.25")
    await carried_out(dialog, qtbot)
    assert await chain.gas_balance(operator) == before + TOKEN // 4


async def test_stake_is_added_released_and_taken_out_when_it_has_thawed(
    window: MainWindow, home: Home, chain: Chain, warp: Any, qtbot: QtBot
) -> None:
    owner = Vault.load(home.vault).owner
    stake = (await chain.registry.provider(owner)).stake
    dialog = begin(window, "stake", StakeDialog)
    qtbot.keyClicks(dialog.amount.field, "5")
    await carried_out(dialog, qtbot)
    assert (await chain.registry.provider(owner)).stake == stake + 5 * TOKEN

    await until(window._link, lambda now: now.wallet is not None and now.wallet.stake == stake + 5 * TOKEN)
    dialog = begin(window, "release", ReleaseDialog)
    qtbot.keyClicks(dialog.amount.field, "5")
    await carried_out(dialog, qtbot)
    (thaw,) = await chain.registry.thaws(owner)
    await until(window._link, lambda now: now.wallet is not None and bool(now.wallet.thawing))
    page = window.page("wallet")
    assert isinstance(page, WalletPage)
    window.refresh()
    assert "5.00 DPN of the stake are being released, until" in page.money.thawing.text()
    assert not page.money.withdraw.isVisible()

    held = await chain.token.balance_of(owner)
    await warp.to(thaw.ends + 1)  # mines a block, of which the engine tells
    await until(window._link, lambda now: now.wallet is not None and thawed(now.wallet, now.wallet.as_of) > 0)
    window.refresh()
    assert page.money.withdraw.isVisible()
    dialog = begin(window, "withdraw", WithdrawDialog)
    await carried_out(dialog, qtbot)
    assert await chain.token.balance_of(owner) == held + 5 * TOKEN
    assert await chain.registry.thaws(owner) == ()


async def test_a_budget_is_raised_and_taken_back_from_the_window(
    window: MainWindow, home: Home, chain: Chain, qtbot: QtBot
) -> None:
    spender = hotkeys.spender(home).address
    for amount in ("540", "12.5"):
        dialog = begin(window, "set_budget", BudgetDialog)
        dialog.amount.setText(amount)
        await carried_out(dialog, qtbot)
        wanted = int(float(amount) * 10) * TOKEN // 10
        assert await chain.token.balance_of(spender) == wanted
        await until(window._link, lambda now, held=wanted: now.wallet.spending_balance == held)  # type: ignore[misc]
    dialog = begin(window, "set_budget", BudgetDialog)
    assert dialog.amount.text() == "12.5"
    dialog.reject()


async def test_earnings_are_sent_elsewhere_and_home_again_while_the_engine_runs(
    window: MainWindow, home: Home, chain: Chain, qtbot: QtBot
) -> None:
    owner, elsewhere = Vault.load(home.vault).owner, Account.create().address
    page = window.page("wallet")
    assert isinstance(page, WalletPage)
    for address, told in ((elsewhere, f"Earnings go to {elsewhere[:6]}…"), (owner, "Earnings come to this wallet.")):
        dialog = begin(window, "set_payout", PayoutDialog)
        if address == owner:
            qtbot.mouseClick(dialog.mine, CLICK)
        else:
            dialog.to.setText(address)
        await carried_out(dialog, qtbot)
        assert (await chain.registry.provider(owner)).payout == address
        await until(window._link, lambda now, payout=address: now.wallet.payout == payout)  # type: ignore[misc]
        window.refresh()
        assert page.receive.payout.text().startswith(told)


async def test_what_the_chain_refuses_after_all_is_said_with_its_transaction(
    window: MainWindow, home: Home, chain: Chain, fund: Callable[..., Awaitable[None]], qtbot: QtBot
) -> None:
    """The budget leaves its account between the owner's signature and the block."""
    spender = hotkeys.spender(home)
    await fund(spender.address, tokens=0, gas=10**17)
    dialog = begin(window, "set_budget", BudgetDialog)
    dialog.amount.setText("0")
    await reviewed(dialog, qtbot)
    qtbot.keyClicks(dialog.review.password, PASSWORD)
    await chain.rpc.request("evm_setAutomine", False)
    try:
        qtbot.keyClick(dialog.review.password, Qt.Key.Key_Return)
        errand = window.controller.wallet.errand
        assert errand is not None
        async with asyncio.timeout(ENDED_S):
            while not errand.transaction:
                await future_of(errand.moved)
        told = window.controller.wallet.under_way
        assert told is not None
        assert "waiting for its block" in told.text
        await outrun(chain, spender)
        await chain.rpc.request("evm_mine")
    finally:
        await chain.rpc.request("evm_setAutomine", True)
    await turned(dialog, dialog.problem.isVisible)
    assert dialog.at is Sheet.PROGRESS
    assert not dialog.go.isVisible(), "it cost its fee: it is not tried again by one more press"
    assert "cost its fee" in dialog.problem.text()
    assert dialog.progress.transaction.text() in dialog.problem.text()
    dialog.reject()


async def test_a_chain_that_goes_away_is_said_where_the_owner_looks(
    home: Home, theme: Theme, chain: Chain, qtbot: QtBot
) -> None:
    """The engine reaches the chain through a door that closes: first before the look, then before the signature."""
    async with Door(chain.network.rpc_url) as door:
        profile = json.loads(home.network.read_text())
        (home.root / "network.origin").unlink()
        home.network.write_text(json.dumps(profile | {"rpc_url": door.url}))
        async with opened(home, theme) as window:
            dialog = begin(window, "stake", StakeDialog)
            qtbot.keyClicks(dialog.amount.field, "5")
            await door.close()
            qtbot.mouseClick(dialog.go, CLICK)
            await turned(dialog, dialog.problem.isVisible)
            assert dialog.at is Sheet.FORM
            assert "cannot be reached" in dialog.problem.text()
            await door.open()
            await reviewed(dialog, qtbot)
            qtbot.keyClicks(dialog.review.password, PASSWORD)
            await door.close()
            qtbot.keyClick(dialog.review.password, Qt.Key.Key_Return)
            await turned(dialog, dialog.problem.isVisible)
            assert dialog.at is Sheet.REVIEW
            assert "cannot be reached" in dialog.problem.text()
            await door.open()
            qtbot.keyClicks(dialog.review.password, PASSWORD)
            qtbot.keyClick(dialog.review.password, Qt.Key.Key_Return)
            await turned(dialog, lambda: dialog.progress.headline.isVisible() or dialog.problem.isVisible())
            assert dialog.progress.headline.text() == "5.00 DPN were added to the stake."
            dialog.reject()


class Door:
    """A TCP port that leads to another, and can be shut."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2].strip("/"))
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Door:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.close()
            self._server = None

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, back}
        await asyncio.gather(self._pour(reader, back), self._pour(to, writer))
        self._writers -= {writer, back}

    @staticmethod
    async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(2**16):
                writer.write(chunk)
                await writer.drain()
        writer.close()
