"""Graphics processors through NVML, NVIDIA's management library.

No library means no NVIDIA card: a normal answer. A library without a working driver, or a card that vanishes while
it is asked, is a problem in words, and the other cards are still listed. NVML can hang: call this in a probe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from depin_desktop.api.models import Gpu

Value = TypeVar("Value")


class GpuReading(NamedTuple):
    """The cards that answered, and sentences about those that did not."""

    gpus: tuple[Gpu, ...] = ()
    problems: tuple[str, ...] = ()


def read_gpus() -> GpuReading:
    """Asks every card once. Opens and closes NVML, so that a driver that came, left or changed is noticed."""
    import pynvml  # only where cards are looked for: the CLI's other commands do without

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return GpuReading()
    except pynvml.NVMLError as error:
        return GpuReading(problems=(_no_driver(pynvml, error),))
    try:
        return _ask_all(pynvml)
    except pynvml.NVMLError as error:
        return GpuReading(problems=(f"The NVIDIA driver stopped answering ({_words(error)}).",))
    finally:
        _quietly(pynvml, pynvml.nvmlShutdown)


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


def _ask_all(nvml: Any) -> GpuReading:
    driver = _quietly(nvml, nvml.nvmlSystemGetDriverVersion) or ""
    gpus, problems = [], []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            gpus.append(_ask(nvml, index, str(driver)))
        except nvml.NVMLError as error:
            problems.append(f"Graphics card {index} does not answer ({_words(error)}).")
    return GpuReading(tuple(gpus), tuple(problems))


def _ask(nvml: Any, index: int, driver: str) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def maybe(question: Callable[..., Value], *arguments: object) -> Value | None:
        """None for what this card does not measure; a card that is gone raises."""
        try:
            return question(handle, *arguments)
        except (
            nvml.NVMLError_NotSupported,
            nvml.NVMLError_NoPermission,
            nvml.NVMLError_FunctionNotFound,
            nvml.NVMLError_NoData,
        ):
            return None

    name = nvml.nvmlDeviceGetName(handle)
    uuid = maybe(nvml.nvmlDeviceGetUUID)
    memory = maybe(nvml.nvmlDeviceGetMemoryInfo)  # not told where card and processor share memory
    use = maybe(nvml.nvmlDeviceGetUtilizationRates)
    celsius = maybe(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU)
    milliwatts = maybe(nvml.nvmlDeviceGetPowerUsage)
    limit_milliwatts = maybe(nvml.nvmlDeviceGetEnforcedPowerLimit)
    return Gpu(
        index=index,
        uuid=str(uuid or ""),
        name=str(name),
        driver=driver,
        memory_total_bytes=int(memory.total) if memory else 0,
        memory_used_bytes=int(memory.used) if memory else 0,
        utilisation_percent=float(use.gpu) if use else None,
        temperature_c=None if celsius is None else float(celsius),
        power_w=None if milliwatts is None else milliwatts / 1000,
        power_limit_w=None if limit_milliwatts is None else limit_milliwatts / 1000,
    )


def _quietly(nvml: Any, question: Callable[[], Value]) -> Value | None:
    try:
        return question()
    except nvml.NVMLError:
        return None
