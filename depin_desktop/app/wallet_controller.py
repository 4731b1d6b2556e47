"""What the Wallet page's wishes become: dialogs, looks by the engine, and errands of the command line."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from depin_desktop.api.wallet import Look, LookAt
from depin_desktop.app.dialogs import Dialog
from depin_desktop.app.engine_link import EngineLink
from depin_desktop.app.errand import Errand
from depin_desktop.app.loop import Jobs
from depin_desktop.app.orders import Order
from depin_desktop.app.presenters.step_reviews import done_words, errand_words
from depin_desktop.app.words import Words, tr

if TYPE_CHECKING:
    from depin_desktop.app.known import Known
    from depin_desktop.app.step_dialog import StepDialog
    from depin_desktop.app.widgets.banner import Toasts


class WalletController(QObject):
    """Implements `pages.base.WalletActions`.

    Signals: `refresh_wanted()` to paint anew, `reload_wanted()` to ask the engine anew, `copy_wanted(text, what)`.
    """

    refresh_wanted = Signal()
    reload_wanted = Signal()
    copy_wanted = Signal(str, str)

    def __init__(
        self, window: QWidget, link: EngineLink, toasts: Toasts, jobs: Jobs, open_dialog: Callable[[Dialog], None]
    ) -> None:
        super().__init__(window)
        self._window, self.link, self._toasts, self._jobs = window, link, toasts, jobs
        self._open = open_dialog
        self._dialog: StepDialog | None = None
        self.errand: Errand | None = None

    @property
    def under_way(self) -> Words | None:
        """What is being done with the owner's money now."""
        errand = self.errand
        if errand is None:
            return None
        return errand_words(errand.order, errand.stage, errand.transaction, self.link.known.symbol)

    def warm_up(self) -> None:
        """Loads in a thread what a dialog needs of the curve and its hashes, so that the first one opens at once."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # drawn without a loop: the dialog loads it itself
        loop.run_in_executor(None, importlib.import_module, "depin_desktop.core.addresses")

    # --- the dialogs; they are rarely needed, and not for the first window

    def send(self) -> None:
        from depin_desktop.app.wallet_dialogs import SendDialog

        self._begin(SendDialog)

    def top_up(self) -> None:
        """The chain's coin to the operator, which pays the fees of proofs and claims."""
        from depin_desktop.app.wallet_dialogs import SendDialog

        wallet = self.link.known.wallet
        if wallet is not None:
            self._begin(lambda *rest: SendDialog(*rest, coin=True, to=wallet.operator))

    def stake(self) -> None:
        from depin_desktop.app.wallet_dialogs import StakeDialog

        self._begin(StakeDialog)

    def release(self) -> None:
        from depin_desktop.app.wallet_dialogs import ReleaseDialog

        self._begin(ReleaseDialog)

    def withdraw(self) -> None:
        from depin_desktop.app.wallet_dialogs import WithdrawDialog

        self._begin(WithdrawDialog)

    def set_payout(self) -> None:
        from depin_desktop.app.wallet_dialogs import PayoutDialog

        self._begin(PayoutDialog)

    def set_budget(self) -> None:
        from depin_desktop.app.wallet_dialogs import BudgetDialog

        self._begin(BudgetDialog)

    def back_up(self) -> None:
        from depin_desktop.app.backup import BackupDialog

        dialog = BackupDialog(self._window, self.link.home, self._jobs)
        dialog.finished.connect(lambda: self.reload_wanted.emit())
        self._open(dialog)

    def know(self, known: Known) -> None:
        """Fresh snapshots: an open dialog judges its form anew."""
        if self._dialog is not None:
            self._dialog.know(known)

    def _begin(self, make: Callable[..., StepDialog]) -> None:
        if self.link.known.wallet is None or not self.link.known.link.live or self.errand is not None:
            return
        dialog = make(self._window, self.link.known, self._look, self._jobs)
        dialog.agreed.connect(self._carry_out)
        dialog.copy_wanted.connect(lambda text: self.copy_wanted.emit(text, tr("Transaction")))
        dialog.finished.connect(self._closed)
        self._dialog = dialog
        self._open(dialog)

    def _closed(self) -> None:
        self._dialog = None

    async def _look(self, ask: LookAt) -> Look:
        return await self.link.look(ask)

    # --- errands

    def _carry_out(self, order: object, password: str) -> None:
        assert isinstance(order, Order)
        self.errand = errand = Errand(self.link.home, order)
        errand.moved.connect(self.refresh_wanted)
        if self._dialog is not None:
            self._dialog.follow(errand)
        self._jobs.spawn("carry out a step", self._run(errand, password))

    async def _run(self, errand: Errand, password: str) -> None:
        try:
            await errand.run(password)
        finally:
            self.errand = None
            self.refresh_wanted.emit()
        if errand.done is not None:
            self.reload_wanted.emit()
            if self._dialog is None:  # whoever looks has read it there
                self._toasts.say(done_words(errand.order, errand.done.amount, self.link.known.symbol), tone="accent")
        elif errand.problem is not None and self._dialog is None:
            self._toasts.say(errand.problem.message, errand.problem.remedy, tone="fault")
