"""The home folder of one person's node: where everything it keeps has its place."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

NETWORK_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")


@dataclass(frozen=True)
class Home:
    """Paths inside the home folder; making one touches nothing.

    The keys are the same on every network. What belongs to one network alone (its profile, the databases) is kept apart
    from the others', in `place`, so that changing the network is one small file and mixes nothing.
    """

    root: Path

    @staticmethod
    def choose(explicit: str | os.PathLike[str] | None = None) -> Home:
        """The folder given, else DEPIN_HOME, else the platform's place for application data."""
        chosen = explicit or os.environ.get("DEPIN_HOME") or user_data_path("depin-desktop", appauthor=False)
        return Home(Path(chosen).expanduser().absolute())

    @property
    def settings(self) -> Path:
        return self.root / "settings.json"

    @property
    def controls(self) -> Path:
        """What the owner has set of the controls, and a pause under way."""
        return self.root / "controls.json"

    @property
    def networks(self) -> Path:
        """One folder for each network beside the first, which lies in the root."""
        return self.root / "networks"

    @property
    def network_in_use(self) -> Path:
        """Holds the name of the folder that is in use; no such file means the root."""
        return self.networks / "in-use"

    @property
    def place(self) -> Path:
        """Where the network in use has its files."""
        try:
            name = self.network_in_use.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return self.root
        return self.networks / name if NETWORK_NAME.match(name) else self.root

    @property
    def network(self) -> Path:
        return self.place / "network.json"

    @property
    def vault(self) -> Path:
        return self.root / "wallet" / "vault.json"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def engine_database(self) -> Path:
        return self.place / "engine.sqlite"

    @property
    def customer_database(self) -> Path:
        return self.place / "customer.sqlite"

    @property
    def endpoint(self) -> Path:
        """Where the running engine can be reached, and the token that opens it (mode 0600)."""
        return self.root / "engine.json"

    @property
    def lock(self) -> Path:
        return self.root / "engine.lock"

    @property
    def compute(self) -> Path:
        """Models, customers' modules and the scratch space of work; the same on every network."""
        return self.root / "compute"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def initialised(self) -> bool:
        return self.network.exists() and self.vault.exists()
