"""Power limits of cards, where the driver lets this user set them; taken back when they are no longer wished."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from depin_desktop.api.controls import CardWish, Wishes
from depin_desktop.api.models import Gpu
from depin_desktop.hardware.probes import ProbeFailed, Prober

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0
_TOLERANCE_W = 1.0  # drivers round what they are given


class PowerLimits:
    """Brings each card's limit to what is wished, once per change.

    Attributes:
        details: by UUID, what could not be done and why.
    """

    def __init__(self, set_limit: Callable[[str, float | None], None]) -> None:
        self.details: dict[str, str] = {}
        self._set_limit = set_limit
        self._tried: dict[str, float] = {}
        self._prober = Prober()

    async def follow(self, wishes: Wishes, gpus: Iterable[Gpu]) -> None:
        """Sets what is not yet as wished."""
        for gpu in gpus:
            wished = wishes.cards.get(gpu.uuid, CardWish()).power_limit_w
            if wished == self._tried.get(gpu.uuid):
                continue
            if wished is not None and gpu.power_limit_w and abs(gpu.power_limit_w - wished) <= _TOLERANCE_W:
                continue
            if wished is None:
                self._tried.pop(gpu.uuid)
            else:
                self._tried[gpu.uuid] = wished
            await self._try(gpu.uuid, wished)

    async def restore(self) -> None:
        """Gives every card that was limited its own limit back."""
        tried, self._tried = self._tried, {}
        for uuid in tried:
            if not self.details.get(uuid):
                await self._try(uuid, None)

    async def _try(self, uuid: str, watts: float | None) -> None:
        try:
            await self._prober.ask(f"power limit of {uuid}", lambda: self._set_limit(uuid, watts), timeout_s=TIMEOUT_S)
        except ProbeFailed as failed:
            self.details[uuid] = failed.problem.message
            log.info("the power limit of %s stays as it is: %s", uuid, failed.problem.message)
        else:
            self.details.pop(uuid, None)
