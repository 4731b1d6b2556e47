"""What the engine says of itself: immutable snapshots, the same for WebSocket events, HTTP answers and `--json`.

Amounts of money are integer base units as decimal strings in JSON (they pass 2^53); times are Unix seconds (UTC);
sizes are bytes; rates bytes per second. Every state that is measured carries when it was last verified.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

Money = Annotated[
    int,
    BeforeValidator(lambda value: int(value) if isinstance(value, str) else value),
    PlainSerializer(str, return_type=str, when_used="json"),
]
"""Base units (10^-18 token)."""


class Snapshot(BaseModel):
    """Base of all models: frozen, and strict about unknown fields so that drift is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- hardware -----------------------------------------------------------------------------------------------------


class Health(StrEnum):
    """A disk's own opinion of itself (SMART)."""

    OK = "ok"
    FAILING = "failing"
    UNKNOWN = "unknown"


class Disk(Snapshot):
    """One mounted file system that could hold shared data."""

    mount: str
    device: str
    filesystem: str
    total_bytes: int
    free_bytes: int
    removable: bool
    read_only: bool
    rotational: bool | None = None
    model: str = ""
    health: Health = Health.UNKNOWN
    health_detail: str = ""
    temperature_c: float | None = None


class GpuProcess(Snapshot):
    """A program on a card; None where the driver does not tell."""

    pid: int
    name: str
    memory_bytes: int | None = None
    utilisation_percent: float | None = None


class Gpu(Snapshot):
    """One graphics processor; None where the driver does not tell."""

    index: int
    uuid: str
    name: str
    driver: str
    memory_total_bytes: int
    memory_used_bytes: int
    utilisation_percent: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    power_range_w: tuple[float, float] | None = None  # between which the limit may be set
    processes: tuple[GpuProcess, ...] = ()


class Sensor(Snapshot):
    """A reading or an attached device, as the system shows it."""

    kind: str  # temperature | fan | battery | serial-port | gps
    name: str
    detail: str = ""
    value: float | None = None
    unit: str = ""


class Cpu(Snapshot):
    name: str
    cores: int
    threads: int
    frequency_mhz: float | None = None
    load_percent: float | None = None
    sha_extensions: bool = False


class Memory(Snapshot):
    total_bytes: int
    available_bytes: int


class NetworkInterface(Snapshot):
    name: str
    addresses: tuple[str, ...] = ()
    up: bool = True
    speed_mbit: int | None = None


class ProbeProblem(Snapshot):
    """A probe that failed or ran out of time; what it would have told is missing from the inventory."""

    probe: str
    message: str


class Inventory(Snapshot):
    """What this machine has, as of `taken_at`."""

    taken_at: float
    hostname: str
    system: str
    cpu: Cpu
    memory: Memory
    disks: tuple[Disk, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    interfaces: tuple[NetworkInterface, ...] = ()
    problems: tuple[ProbeProblem, ...] = ()


# --- services -----------------------------------------------------------------------------------------------------


class ServiceKind(StrEnum):
    STORAGE = "storage"
    COMPUTE = "compute"
    SENSING = "sensing"
    RIDES = "rides"


class ServiceState(StrEnum):
    """One word for a service's card; colour and icon follow from it."""

    OFF = "off"
    STARTING = "starting"
    EARNING = "earning"
    IDLE = "idle"  # on, offered, nobody has bought yet
    PAUSED = "paused"
    ATTENTION = "attention"
    FAULT = "fault"


class ServiceStatus(Snapshot):
    """The state of one service, and the one sentence that explains it."""

    kind: ServiceKind
    state: ServiceState
    reason: str = ""
    verified_at: float | None = None
    earned_today: Money = 0
    earned_total: Money = 0


class FolderState(StrEnum):
    OK = "ok"
    FULL = "full"  # the allocation, or the free space that the guard keeps
    SHRINKING = "shrinking"  # asked smaller than what is stored: nothing new until customers leave
    READ_ONLY = "read-only"
    MISSING = "missing"
    FOREIGN = "foreign"  # the marker inside names another node
    SLOW = "slow"  # a probe ran out of time
    LEAVING = "leaving"  # unshared: serves what it holds, takes nothing new


class SharedFolder(Snapshot):
    """One shared folder and what is in it."""

    id: str
    path: str
    mount: str
    filesystem: str
    allocated_bytes: int
    stored_bytes: int
    reserved_bytes: int
    disk_total_bytes: int
    disk_free_bytes: int
    keep_free_bytes: int
    pieces: int
    state: FolderState
    detail: str = ""
    checked_at: float | None = None


class DataSetStatus(Snapshot):
    """One customer's data set on this provider."""

    id: str
    customer: str
    stored_bytes: int
    pieces: int
    price_per_tib_month: Money
    earned: Money
    funded: Money  # escrow left, base units
    last_proven_at: float | None = None
    ends_at: float | None = None
    state: str = "active"  # active | unfunded | ending | ended


class RatePoint(Snapshot):
    """Mean rates over one sampling interval that ended at `at`."""

    at: float
    received: float
    sent: float


class ProofRecord(Snapshot):
    """The outcome of one proving period."""

    period: int
    at: float
    data_sets: int
    proven: bool
    paid: Money = 0
    transaction: str = ""
    detail: str = ""


class StorageStatus(Snapshot):
    """Everything the Storage page shows."""

    service: ServiceStatus
    folders: tuple[SharedFolder, ...] = ()
    data_sets: tuple[DataSetStatus, ...] = ()
    pieces: int = 0
    stored_bytes: int = 0
    price_per_tib_month: Money = 0
    price_per_gib_read: Money = 0
    last_proven_at: float | None = None
    next_proof_at: float | None = None
    proofs: tuple[ProofRecord, ...] = ()
    rates: tuple[RatePoint, ...] = ()


# --- the whole ----------------------------------------------------------------------------------------------------


class NetworkStatus(Snapshot):
    """The link to the chain."""

    name: str
    chain_id: int
    symbol: str
    private: bool  # an embedded network: tokens have no value
    connected: bool
    block: int = 0
    block_at: float = 0
    detail: str = ""


class HubStatus(Snapshot):
    connected: bool
    detail: str = ""
    offers: int = 0


class NodeStatus(Snapshot):
    node_id: str
    addresses: tuple[str, ...] = ()
    peers: int = 0


class Activity(Snapshot):
    """One thing that just happened, in words for its owner.

    Kinds: proof, piece-stored, piece-read, piece-removed, paid, claimed, payout, fault, folder, network, started.
    """

    at: float
    kind: str
    title: str
    detail: str = ""
    amount: Money = 0


class EarningsPoint(Snapshot):
    """What was earned in the bucket that starts at `at` (an hour or a day)."""

    at: float
    amount: Money


class EngineStatus(Snapshot):
    """Everything *Home* shows; the first thing a client asks for."""

    version: str
    started_at: float
    home: str
    sharing: bool
    paused_reason: str = ""
    registered: bool
    network: NetworkStatus
    hub: HubStatus
    node: NodeStatus
    services: tuple[ServiceStatus, ...] = ()
    earned_today: Money = 0
    earned_total: Money = 0
    pending: Money = 0
    earnings: tuple[EarningsPoint, ...] = ()
    activity: tuple[Activity, ...] = ()
    advice: tuple[str, ...] = ()  # sentences that ask for the owner's attention


# --- requests -----------------------------------------------------------------------------------------------------


class ShareStorage(Snapshot):
    """Share a folder, or change what is already shared there."""

    path: str
    size_bytes: int
    keep_free_bytes: int | None = None
    price_per_tib_month: Money | None = None


class UnshareStorage(Snapshot):
    """Stop sharing one folder (by path), or all with None. Paid pieces are served until their deals end."""

    path: str | None = None


class SetSharing(Snapshot):
    """The one switch of *Home*."""

    on: bool


class Problem(Snapshot):
    """An error answer of the API."""

    code: str
    message: str
    remedy: str = ""


class Event(Snapshot):
    """One WebSocket message; `data` is the topic's model in JSON form.

    Topics and models: status EngineStatus, storage StorageStatus, hardware Inventory, activity Activity,
    wallet WalletStatus (api/wallet.py), controls ControlsStatus (api/controls.py), compute ComputeStatus
    (api/compute.py).
    """

    topic: str
    data: dict[str, object]
