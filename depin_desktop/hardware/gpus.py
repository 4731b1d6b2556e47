"""Graphics processors of every maker whose driver tells about them: NVIDIA, AMD on Linux, Apple on macOS.

A machine without a card is a normal case. Drivers can hang: call everything here in a probe.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol

from depin_desktop.core.errors import UserFacingError
from depin_desktop.hardware.amdgpu import Amdgpu
from depin_desktop.hardware.apple import AppleGraphics
from depin_desktop.hardware.facts import GpuReading
from depin_desktop.hardware.nvml import Nvml

__all__ = ["GpuReading", "Gpus", "read_gpus"]


class Maker(Protocol):
    """The cards of one maker."""

    def read(self) -> GpuReading:
        """Every card once; never raises for absent or broken ones."""


class Gpus:
    """Asks the cards again and again, as cheaply as each maker allows."""

    def __init__(self) -> None:
        self._nvml = Nvml()
        self._others: Sequence[Maker] = (
            (Amdgpu(),) if sys.platform == "linux" else (AppleGraphics(),) if sys.platform == "darwin" else ()
        )

    def read(self) -> GpuReading:
        """All cards, numbered as they are listed; blocks."""
        readings = [maker.read() for maker in (self._nvml, *self._others)]
        cards = [gpu for reading in readings for gpu in reading.gpus]
        numbered = tuple(gpu.model_copy(update={"index": index}) for index, gpu in enumerate(cards))
        return GpuReading(numbered, tuple(problem for reading in readings for problem in reading.problems))

    def set_power_limit(self, uuid: str, watts: float | None) -> None:
        """Limits what a card draws; None takes the limit back. Blocks.

        Raises:
            UserFacingError: the card, its driver or the user's rights do not allow it.
        """
        if not uuid.startswith("GPU-"):
            raise UserFacingError(
                "Only an administrator can limit what this card draws.",
                "Set the limit with the maker's tools.",
                code="power-limit-unsupported",
            )
        self._nvml.set_power_limit(uuid, watts)

    def close(self) -> None:
        self._nvml.close()


def read_gpus() -> GpuReading:
    """Asks every card once and lets the drivers go, so that one that came, left or changed is noticed."""
    gpus = Gpus()
    try:
        return gpus.read()
    finally:
        gpus.close()
