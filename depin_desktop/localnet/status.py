"""What a local network says of itself, to `depin localnet status` and to its own next start."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.api.models import Snapshot
from depin_desktop.core.files import write_atomically
from depin_desktop.localnet.children import ProcessId
from depin_desktop.localnet.folder import Folder, Ports


class ProcessStatus(Snapshot):
    """One supervised process; `pid` is None while it is down and about to be restarted."""

    name: str  # anvil | nats-server | demand
    pid: int | None
    uptime_s: float
    restarts: int


class LocalnetStatus(Snapshot):
    """A local network now; `network` is its network file once it has been made."""

    running: bool
    folder: str
    supervisor_pid: int | None = None
    processes: tuple[ProcessStatus, ...] = ()
    block: int = 0
    period_s: int = 0
    ports: Ports = Ports()
    network: str | None = None


class ProcessRecord(BaseModel):
    """One supervised process as the supervisor writes it down."""

    model_config = ConfigDict(frozen=True)

    name: str
    identity: ProcessId | None
    started_at: float
    restarts: int


class Record(BaseModel):
    """The supervisor's note in `status.json`; true only as long as `supervisor` runs."""

    model_config = ConfigDict(frozen=True)

    supervisor: ProcessId
    ready: bool
    processes: tuple[ProcessRecord, ...] = ()
    block: int = 0
    period_s: int = 0
    ports: Ports = Ports()

    def write(self, folder: Folder) -> None:
        write_atomically(folder.status, self.model_dump_json().encode())

    @staticmethod
    def read(folder: Folder) -> Record | None:
        """The last note; None where there is none."""
        try:
            return Record.model_validate_json(folder.status.read_bytes())
        except (OSError, ValidationError):
            return None

    @property
    def alive(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return self.supervisor.process() is not None

    def leftovers(self) -> list[ProcessId]:
        """The children that this note names."""
        return [process.identity for process in self.processes if process.identity is not None]


def describe(root: Path) -> LocalnetStatus:
    """The status of the network in `root`, from its files and the process table. Blocking."""
    folder = Folder(root)
    network = str(folder.network) if folder.network.exists() else None
    record = Record.read(folder)
    if record is None or not (record.ready and record.alive):
        return LocalnetStatus(running=False, folder=str(folder.root), network=network)
    now = time.time()
    processes = tuple(
        ProcessStatus(
            name=process.name,
            pid=process.identity.pid if process.identity else None,
            uptime_s=round(max(0.0, now - process.started_at), 1) if process.identity else 0.0,
            restarts=process.restarts,
        )
        for process in record.processes
    )
    return LocalnetStatus(
        running=True,
        folder=str(folder.root),
        supervisor_pid=record.supervisor.pid,
        processes=processes,
        block=record.block,
        period_s=record.period_s,
        ports=record.ports,
        network=network,
    )
