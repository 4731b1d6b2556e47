"""Where a local network keeps what it needs to be the same network after a restart."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from depin_desktop.core.files import write_atomically

LOOPBACK = "127.0.0.1"


class Ports(BaseModel):
    """TCP ports on loopback; 0 where none has been chosen yet."""

    model_config = ConfigDict(frozen=True)

    rpc: int = 0
    hub: int = 0
    faucet: int = 0


@dataclass(frozen=True)
class Folder:
    """Paths inside a local network's folder; making one touches nothing."""

    root: Path

    def __post_init__(self) -> None:
        # Children and later callers may have another working directory.
        object.__setattr__(self, "root", self.root.absolute())

    @property
    def network(self) -> Path:
        return self.root / "network.json"

    @property
    def deployment(self) -> Path:
        return self.root / "deployment.json"

    @property
    def treasury(self) -> Path:
        return self.root / "treasury.json"

    @property
    def genesis(self) -> Path:
        return self.root / "chain" / "genesis.json"

    @property
    def chain(self) -> Path:
        return self.root / "chain"

    @property
    def hub(self) -> Path:
        return self.root / "hub"

    @property
    def demand(self) -> Path:
        return self.root / "demand"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def last_words(self) -> Path:
        """What the supervisor printed; nothing unless it could not start."""
        return self.logs / "supervisor.out"

    @property
    def database(self) -> Path:
        return self.root / "localnet.sqlite"

    @property
    def lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def status(self) -> Path:
        return self.root / "status.json"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    def load_ports(self) -> Ports:
        """The ports of the last run; none of them where there was no run."""
        try:
            return Ports.model_validate_json(self.ports.read_bytes())
        except (OSError, ValidationError):
            return Ports()

    def save_ports(self, ports: Ports) -> None:
        write_atomically(self.ports, ports.model_dump_json().encode())


def usable_port(wanted: int) -> int:
    """`wanted` if it can be listened on now, else a free one chosen by the system."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            if sys.platform != "win32":  # there the option would let us share a port that is in use
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on loopback")
