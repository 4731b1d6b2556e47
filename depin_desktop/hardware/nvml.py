"""NVIDIA's cards through NVML, the driver's management library.

No library means no NVIDIA card: a normal answer. A library without a working driver, or a card that vanishes while
it is asked, is a problem in words, and the other cards are still listed. NVML can hang: call this in a probe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psutil

from depin_desktop.api.models import Gpu, GpuProcess
from depin_desktop.core.errors import UserFacingError
from depin_desktop.hardware.facts import GpuReading

Value = TypeVar("Value")

REOPEN_S = 60.0  # a driver that was updated, or a card that was plugged in, shows only to who opens NVML anew


class Nvml:
    """Asks every NVIDIA card. Keeps the library open between questions, as opening it may wake a sleeping card."""

    def __init__(self) -> None:
        self._opened_at: float | None = None
        self._sampled_at: dict[str, int] = {}

    def read(self) -> GpuReading:
        """Every card once; blocks, seconds long where a card has to wake."""
        import pynvml  # only where cards are looked for: the CLI's other commands do without

        if self._opened_at is not None and time.monotonic() - self._opened_at > REOPEN_S:
            self.close()
        try:
            self._open(pynvml)
        except pynvml.NVMLError_LibraryNotFound:
            return GpuReading()
        except pynvml.NVMLError as error:
            return GpuReading(problems=(_no_driver(pynvml, error),))
        try:
            return self._ask_all(pynvml)
        except pynvml.NVMLError as error:
            self.close()
            return GpuReading(problems=(f"The NVIDIA driver stopped answering ({_words(error)}).",))

    def set_power_limit(self, uuid: str, watts: float | None) -> None:
        """Limits what a card draws; None gives it the driver's own limit back.

        Raises:
            UserFacingError: there is no such card, or it or the driver does not allow it.
        """
        import pynvml

        try:
            self._open(pynvml)
            card = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            milliwatts = pynvml.nvmlDeviceGetPowerManagementDefaultLimit(card) if watts is None else round(watts * 1000)
            pynvml.nvmlDeviceSetPowerManagementLimit(card, milliwatts)
        except pynvml.NVMLError_NoPermission as error:
            raise UserFacingError(
                "The driver lets only an administrator change a card's power limit.",
                "Set it as an administrator: nvidia-smi -pl WATTS.",
                code="power-limit-permission",
            ) from error
        except pynvml.NVMLError_InvalidArgument as error:
            raise UserFacingError(
                f"This card does not take a limit of {watts or 0:.0f} W.",
                "Choose one within the card's range.",
                code="power-limit-range",
            ) from error
        except pynvml.NVMLError as error:
            raise UserFacingError(
                f"The power limit cannot be set ({_words(error)}).", code="power-limit-unsupported"
            ) from error

    def close(self) -> None:
        """Lets the library go."""
        import pynvml

        opened, self._opened_at = self._opened_at, None
        if opened is not None:
            _quietly(pynvml, pynvml.nvmlShutdown)

    def _open(self, nvml: Any) -> None:
        if self._opened_at is not None:
            return
        nvml.nvmlInit()
        self._opened_at = time.monotonic()

    def _ask_all(self, nvml: Any) -> GpuReading:
        driver = _quietly(nvml, nvml.nvmlSystemGetDriverVersion) or ""
        gpus, problems = [], []
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                gpus.append(self._ask(nvml, index, str(driver)))
            except nvml.NVMLError as error:
                problems.append(f"Graphics card {index} does not answer ({_words(error)}).")
        return GpuReading(tuple(gpus), tuple(problems))

    def _ask(self, nvml: Any, index: int, driver: str) -> Gpu:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)

        def maybe(question: Callable[..., Value], *arguments: object) -> Value | None:
            return _maybe(nvml, question, handle, *arguments)

        name = nvml.nvmlDeviceGetName(handle)
        uuid = str(maybe(nvml.nvmlDeviceGetUUID) or "")
        memory = maybe(nvml.nvmlDeviceGetMemoryInfo)  # not told where card and processor share memory
        use = maybe(nvml.nvmlDeviceGetUtilizationRates)
        celsius = maybe(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU)
        milliwatts = maybe(nvml.nvmlDeviceGetPowerUsage)
        limit_milliwatts = maybe(nvml.nvmlDeviceGetEnforcedPowerLimit)
        bounds = maybe(nvml.nvmlDeviceGetPowerManagementLimitConstraints)
        return Gpu(
            index=index,
            uuid=uuid,
            name=str(name),
            driver=driver,
            memory_total_bytes=int(memory.total) if memory else 0,
            memory_used_bytes=int(memory.used) if memory else 0,
            utilisation_percent=float(use.gpu) if use else None,
            temperature_c=None if celsius is None else float(celsius),
            power_w=None if milliwatts is None else milliwatts / 1000,
            power_limit_w=None if limit_milliwatts is None else limit_milliwatts / 1000,
            power_range_w=(bounds[0] / 1000, bounds[1] / 1000) if bounds else None,
            processes=self._processes(nvml, handle, uuid),
        )

    def _processes(self, nvml: Any, handle: Any, uuid: str) -> tuple[GpuProcess, ...]:
        """Programs that compute or draw on a card, by process number, and their share of its time."""
        memory: dict[int, int | None] = {}
        for use in ("Compute", "Graphics"):
            for process in self._listed(nvml, handle, use):
                memory[process.pid] = max(memory.get(process.pid) or 0, process.usedGpuMemory or 0) or None
        share = self._shares(nvml, handle, uuid) if memory else {}
        return tuple(
            GpuProcess(pid=pid, name=_program(pid), memory_bytes=memory[pid], utilisation_percent=share.get(pid))
            for pid in sorted(memory)
        )

    def _listed(self, nvml: Any, handle: Any, use: str) -> Sequence[Any]:
        for version in ("v3", "v2"):  # drivers before 510 have only the older one
            found = _maybe(nvml, getattr(nvml, f"nvmlDeviceGet{use}RunningProcesses_{version}"), handle)
            if found is not None:
                return list(found)
        return ()

    def _shares(self, nvml: Any, handle: Any, uuid: str) -> dict[int, float]:
        """Percent of the card's time by process, averaged over the samples since the last question."""
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(handle, self._sampled_at.get(uuid, 0))
        except nvml.NVMLError_GpuIsLost:
            raise
        except nvml.NVMLError:
            return {}  # nothing was sampled, or this card or user may not count
        found: dict[int, list[int]] = {}
        for sample in samples:
            found.setdefault(sample.pid, []).append(min(100, sample.smUtil))  # broken samples exceed a hundred
            self._sampled_at[uuid] = max(self._sampled_at.get(uuid, 0), sample.timeStamp)
        return {pid: sum(shares) / len(shares) for pid, shares in found.items()}


def _program(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return f"process {pid}"  # of another user, or gone meanwhile


def _no_driver(nvml: Any, error: Exception) -> str:
    code = getattr(error, "value", None)
    if code == nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return "The NVIDIA driver was updated; restart the computer to use its graphics card again."
    if code == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return "NVIDIA's software is installed, but its driver is not running."
    if code == nvml.NVML_ERROR_NO_PERMISSION:
        return "This user may not ask the NVIDIA driver."
    return f"The NVIDIA driver does not answer ({_words(error)})."


def _words(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


def _maybe(nvml: Any, question: Callable[..., Value], *arguments: object) -> Value | None:
    """None for what this card does not measure; a card that is gone raises."""
    try:
        return question(*arguments)
    except (
        nvml.NVMLError_NotSupported,
        nvml.NVMLError_NoPermission,
        nvml.NVMLError_FunctionNotFound,
        nvml.NVMLError_NoData,
    ):
        return None


def _quietly(nvml: Any, question: Callable[[], Value]) -> Value | None:
    try:
        return question()
    except nvml.NVMLError:
        return None
