"""Compute as the local API tells and takes it: what is served, jobs now and before, and what each device has earned."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from depin_desktop.api.models import Money, ServiceStatus, Snapshot

CPU = "cpu"
SERVER, RAY = "server ", "ray "
"""Before the address of what works elsewhere, where jobs and models name what they run on: “server gpu.lan:8000”."""


class ModelStatus(Snapshot):
    """A model or runtime of this machine; prices are what customers pay now.

    Attributes:
        kind: chat | completion | embedding | onnx | wasm.
        sha256: of the model's file; empty for WASM, whose modules customers bring.
        rate: measured: tokens a second (chat: generated; embedding: read), runs a second (ONNX), fuel a second
            (WASM); 0 while it has not been measured.
        device: what it runs on: "cpu", a card's UUID, or what works elsewhere (`SERVER`, `RAY`).
        problem: why it is not served, where it is not.
    """

    kind: str
    name: str
    sha256: str = ""
    engine: str = ""
    licence: str = ""
    size_bytes: int = 0
    loaded: bool = False
    served: bool = True
    problem: str = ""
    device: str = CPU
    slots: int = 1
    context_tokens: int = 0
    rate: float = 0.0
    price_in_per_mtoken: Money = 0
    price_out_per_mtoken: Money = 0
    price_per_run_second: Money = 0
    price_per_gfuel: Money = 0


class JobOutcome(StrEnum):
    """How a job stands, or how it ended."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # the work itself; its log says why
    CANCELLED = "cancelled"  # the customer left
    STOPPED = "stopped"  # by the owner's controls
    UNPAID = "unpaid"  # the customer stopped paying
    INTERRUPTED = "interrupted"  # the engine was killed in the middle of it


class JobStatus(Snapshot):
    """One job of a customer; `log` is what there is to say about it, a line each, `device` as of a `ModelStatus`."""

    id: str
    kind: str
    model: str
    customer: str
    device: str = CPU
    outcome: JobOutcome
    queued_at: float
    started_at: float | None = None
    ended_at: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    fuel: int = 0
    seconds: float = 0.0
    earned: Money = 0
    log: str = ""


class DeviceEarnings(Snapshot):
    """What one device (as of a `ModelStatus`) has earned; `energy_wh` is what it drew for that, where it is known."""

    device: str
    jobs: int = 0
    busy_s: float = 0.0
    earned_today: Money = 0
    earned_total: Money = 0
    energy_wh: float | None = None


class ModelImport(Snapshot):
    """A model's file on its way in; it leaves the list when the model is there, or when its failure has been read.

    Attributes:
        id: by which it is cancelled, or taken off the list once it has failed.
        problem: why it failed, with what to do about it; empty while it goes on.
    """

    id: str
    name: str
    path: str
    size_bytes: int = 0
    done_bytes: int = 0
    problem: str = ""


class ComputeStatus(Snapshot):
    """Everything the Compute page shows besides the controls; jobs are ordered with the newest first.

    Attributes:
        checked_right, checked_wrong: answers that customers have checked, as they tell it.
    """

    service: ServiceStatus
    shared: bool = False
    models: tuple[ModelStatus, ...] = ()
    jobs: tuple[JobStatus, ...] = ()
    running: int = 0
    waiting: int = 0
    done_total: int = 0
    checked_right: int = 0
    checked_wrong: int = 0
    devices: tuple[DeviceEarnings, ...] = ()
    models_bytes: int = 0
    imports: tuple[ModelImport, ...] = ()


class ShareCompute(Snapshot):
    """Share this machine's computing power; None leaves what was chosen before, at first the network's suggestions.

    Attributes:
        upstreams: base URLs of OpenAI-compatible servers that work too, and no others; None for those of before.
        upstream_key: sent to the servers that are named here.
        ray: address of a Ray cluster that works too; empty for none, None for the one of before.
    """

    chat: bool | None = None
    embeddings: bool | None = None
    onnx: bool | None = None
    wasm: bool | None = None
    price_in_per_mtoken: Money | None = None
    price_out_per_mtoken: Money | None = None
    price_per_run_second: Money | None = None
    price_per_gfuel: Money | None = None
    upstreams: tuple[str, ...] | None = None
    upstream_key: str = Field(default="", repr=False)
    ray: str | None = None
    ray_token: str = Field(default="", repr=False)


class ImportModel(Snapshot):
    """Take a model's file (GGUF or ONNX) into the models of this machine."""

    path: str
    name: str = ""
    sha256: str = ""
    licence: str = ""
