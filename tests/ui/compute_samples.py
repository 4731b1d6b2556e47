"""What the compute service and the owner's controls of the samples' machine say, in each of their states."""

from __future__ import annotations

import math
from typing import Any

from depin_desktop.api.compute import (
    CPU,
    ComputeStatus,
    DeviceEarnings,
    JobOutcome,
    JobStatus,
    ModelImport,
    ModelStatus,
)
from depin_desktop.api.controls import CardStatus, ControlsStatus, Pause, Wishes
from depin_desktop.api.models import Gpu, GpuProcess, ServiceKind, ServiceState, ServiceStatus
from depin_desktop.controls import policy
from depin_desktop.controls.effects import effects
from depin_desktop.controls.facts import Facts
from depin_desktop.controls.load import card_of

NOW = 1_763_840_460.0
GB = 10**9
CARD = "GPU-1"
CUSTOMERS = ("0x8f3A6Bc1D2e3F4a5B6c7D8e9F0a1B2c3D4e521c0", "0x11bC0d9E8f7A6b5C4d3E2f1A0b9C8d7E6f5A90ef")


def _tokens(value: float) -> int:
    return round(value * 10**6) * 10**12


def service(state: ServiceState = ServiceState.EARNING, reason: str = "") -> ServiceStatus:
    return ServiceStatus(
        kind=ServiceKind.COMPUTE,
        state=state,
        reason=reason,
        verified_at=NOW - 20,
        earned_today=_tokens(9.36),
        earned_total=_tokens(802.6),
    )


def models() -> tuple[ModelStatus, ...]:
    return (
        ModelStatus(
            kind="chat",
            name="SmolLM2-135M-Instruct Q4_K_M",
            sha256="ab" * 32,
            engine="llama.cpp b6653",
            licence="Apache-2.0",
            size_bytes=98 * 10**6,
            loaded=True,
            device=CARD,
            slots=4,
            context_tokens=8192,
            rate=412.0,
            price_in_per_mtoken=_tokens(0.4),
            price_out_per_mtoken=_tokens(1.2),
        ),
        ModelStatus(
            kind="embedding",
            name="all-MiniLM-L6-v2",
            sha256="cd" * 32,
            engine="onnxruntime 1.23",
            licence="Apache-2.0",
            size_bytes=90 * 10**6,
            loaded=True,
            slots=2,
            rate=5210.0,
            price_in_per_mtoken=_tokens(0.1),
        ),
        ModelStatus(
            kind="wasm",
            name="Sandboxed programs",
            engine="wasmtime 36",
            slots=4,
            rate=3.1e8,
            price_per_gfuel=_tokens(0.02),
        ),
    )


def job(number: int, **changes: Any) -> JobStatus:
    begun = NOW - 30 - number * 97
    base: dict[str, Any] = {
        "id": f"{number:04x}{'9c2e' * 4}",
        "kind": "chat",
        "model": models()[0].name,
        "customer": CUSTOMERS[number % 2],
        "device": CARD,
        "outcome": JobOutcome.DONE,
        "queued_at": begun - 0.2,
        "started_at": begun,
        "ended_at": begun + 2.4,
        "prompt_tokens": 120 + number,
        "completion_tokens": 256,
        "earned": _tokens(0.12),
        "log": "256 tokens in 2.4 s\npaid with voucher 7",
    }
    return JobStatus(**(base | changes))


def jobs() -> tuple[JobStatus, ...]:
    return (
        job(
            0, outcome=JobOutcome.RUNNING, started_at=NOW - 4, ended_at=None, completion_tokens=88, earned=_tokens(0.04)
        ),
        job(1, outcome=JobOutcome.WAITING, started_at=None, ended_at=None, completion_tokens=0, earned=0),
        job(2),
        job(3, kind="embedding", model=models()[1].name, device=CPU, completion_tokens=0, prompt_tokens=2048),
        job(4, kind="wasm", model="", device=CPU, prompt_tokens=0, completion_tokens=0, fuel=1_250_000_000),
        job(5, outcome=JobOutcome.UNPAID, log="The customer's channel was empty after 64 tokens."),
        job(6, outcome=JobOutcome.FAILED, log="The model's file could not be mapped."),
        job(7, outcome=JobOutcome.CANCELLED),
        job(8, outcome=JobOutcome.STOPPED, log="The computer was in use."),
        *(job(number) for number in range(9, 14)),
    )


def compute(**changes: Any) -> ComputeStatus:
    base: dict[str, Any] = {
        "service": service(),
        "shared": True,
        "models": models(),
        "jobs": jobs(),
        "running": 1,
        "waiting": 1,
        "done_total": 4312,
        "devices": (
            DeviceEarnings(device=CPU, jobs=1201, busy_s=9120, earned_today=_tokens(1.1), earned_total=_tokens(92.6)),
            DeviceEarnings(
                device=CARD,
                jobs=3111,
                busy_s=81_000,
                earned_today=_tokens(8.26),
                earned_total=_tokens(710),
                energy_wh=11_270,
            ),
        ),
        "models_bytes": 188 * 10**6,
    }
    return ComputeStatus(**(base | changes))


def off() -> ComputeStatus:
    """Never shared, on a machine that has the models of the installation."""
    nothing = service(ServiceState.OFF).model_copy(update={"earned_today": 0, "earned_total": 0, "verified_at": None})
    unloaded = tuple(model.model_copy(update={"loaded": False, "device": CPU, "rate": 0.0}) for model in models())
    return compute(
        service=nothing, shared=False, models=unloaded, jobs=(), running=0, waiting=0, done_total=0, devices=()
    )


def importing() -> tuple[ModelImport, ...]:
    return (
        ModelImport(
            id="i1", name="Qwen3 0.6B", path="/home/anna/qwen3.gguf", size_bytes=640 * 10**6, done_bytes=212 * 10**6
        ),
        ModelImport(
            id="i2",
            name="",
            path="/home/anna/broken.gguf",
            problem="This is not a GGUF file: its first bytes are wrong.",
        ),
    )


def gpu(**changes: Any) -> Gpu:
    base: dict[str, Any] = {
        "index": 0,
        "uuid": CARD,
        "name": "NVIDIA GeForce RTX 4070",
        "driver": "550.90",
        "memory_total_bytes": 12 * GB,
        "memory_used_bytes": int(1.4 * GB),
        "utilisation_percent": 64,
        "temperature_c": 61,
        "power_w": 148,
        "power_limit_w": 200,
        "power_range_w": (100.0, 220.0),
        "processes": (GpuProcess(pid=4711, name="depin worker", memory_bytes=GB),),
    }
    return Gpu(**(base | changes))


def controls(
    wishes: Wishes | None = None, pause: Pause | None = None, gpus: tuple[Gpu, ...] | None = None, **facts: Any
) -> ControlsStatus:
    """As the engine's own policy decides and words it on the samples' machine."""
    wishes, gpus = wishes or Wishes(), (gpu(),) if gpus is None else gpus
    known = Facts(
        now=NOW,
        cpu_threads=16,
        memory_bytes=32 * GB,
        cards=tuple(card_of(card, frozenset()) for card in gpus),
        cpu_temperature_c=facts.pop("cpu_temperature_c", 52.0),
        idle_s=900.0,
        on_battery=facts.pop("on_battery", False),
        **facts,
    )
    allowed = policy.decide(wishes, known, pause)
    reasons = {card.uuid: policy.card_reason(wishes, known, card) for card in known.cards}
    return ControlsStatus(
        wishes=wishes,
        pause=pause,
        run=allowed.run,
        reason=allowed.reason,
        until=allowed.until,
        finish_current=allowed.finish_current,
        cpu_threads=allowed.cpu_threads,
        memory_bytes=allowed.memory_bytes,
        vram_bytes=allowed.vram_bytes,
        cards=tuple(
            CardStatus(gpu=card, allowed=card.uuid in allowed.gpus, reason=reasons[card.uuid] or allowed.reason)
            for card in gpus
        ),
        cpu_load_percent=34,
        memory_used_bytes=13 * GB,
        cpu_temperature_c=known.cpu_temperature_c,
        on_battery=known.on_battery,
        idle_s=known.idle_s,
        effects=effects(wishes, known),
        unknown=("No battery is seen here.",),
    )


def loads(*devices: str) -> dict[str, tuple[tuple[float, float], ...]]:
    """Six minutes of readings."""
    return {
        device: tuple(
            (NOW - 360 + 2 * step, 40 + 25 * math.sin(step / 9 + shift) + 10 * math.sin(step / 2.3))
            for step in range(181)
        )
        for shift, device in enumerate(devices)
    }
