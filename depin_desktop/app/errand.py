"""A step of the owner's on its way: `depin wallet …` in a process of its own, which alone sees the password."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QObject, Signal

from depin_desktop.app.cli_process import depin
from depin_desktop.app.orders import Done, Order, Stage
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home

TIMEOUT_S = 660.0  # the command itself gives up waiting for a block after ten minutes
_UNSURE = ("command-timeout", "command-failed", "transaction-pending")


class Errand(QObject):
    """Carries one order out; it goes on when whoever began it stops looking. Signals: `moved()`.

    Attributes:
        transaction: its hash, once it was sent.
        done: what it came to; None before, and where it came to nothing.
        problem: why it came to nothing.
    """

    moved = Signal()

    def __init__(self, home: Home, order: Order) -> None:
        super().__init__()
        self._home = home
        self.order = order
        self.stage = Stage.UNLOCKING
        self.transaction = ""
        self.done: Done | None = None
        self.problem: UserFacingError | None = None

    @property
    def under_way(self) -> bool:
        return self.stage < Stage.DONE

    async def run(self, password: str) -> None:
        """Does it; what goes wrong is kept in `problem`, never raised."""
        try:
            answer = await depin(
                self._home, *self.order.command(), password=password, timeout_s=TIMEOUT_S, progress=self._progress
            )
            self.done = Done.model_validate(answer)
        except UserFacingError as problem:
            self.problem = self._explained(problem)
        except ValidationError:  # it answers with what there is where there was nothing to do
            self.problem = UserFacingError("There was nothing to do any more.", "", code="nothing-to-do")
        self._move(Stage.REFUSED if self.done is None else Stage.DONE)

    def _progress(self, told: dict[str, Any]) -> None:
        match told["progress"]:
            case "unlocked":
                self._move(Stage.SIGNING)
            case "sent":
                self.transaction = str(told.get("transaction", ""))
                self._move(Stage.SENT)

    def _explained(self, problem: UserFacingError) -> UserFacingError:
        """What was sent may count although nobody heard so: then it must not be sent again."""
        if not self.transaction or problem.code not in _UNSURE:
            return problem
        return UserFacingError(
            f"It was sent, and it is not known yet whether it counts. {problem.message}",
            f"Look for {self.transaction} in the history before you try again.",
            code=problem.code,
        )

    def _move(self, stage: Stage) -> None:
        self.stage = stage
        self.moved.emit()
