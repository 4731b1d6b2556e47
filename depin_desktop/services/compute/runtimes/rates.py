"""What was measured, kept, so that a machine is not measured anew at each start."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from depin_desktop.core.files import write_atomically

log = logging.getLogger(__name__)

MAX_ENTRIES = 500


class Rates:
    """Rates by model, engine build, device and threads, in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rates: dict[str, float] = {}
        self._engines: dict[str, str] = {}

    def load(self) -> None:
        """Reads the file; one that cannot be read means that everything is measured again."""
        try:
            found = json.loads(self._path.read_text("utf-8"))
            self._rates = {str(key): float(rate) for key, rate in found["rates"].items()}
            self._engines = {str(key): str(engine) for key, engine in found["engines"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            log.warning("%s cannot be read; models are measured again", self._path)

    def get(self, sha256: str, engine: str, threads: int) -> float:
        """The rate; 0 where it has not been measured."""
        return self._rates.get(_key(sha256, engine, threads), 0.0)

    def put(self, sha256: str, engine: str, threads: int, rate: float) -> None:
        """Keeps a rate."""
        key = _key(sha256, engine, threads)
        self._rates.pop(key, None)
        self._rates[key] = rate
        while len(self._rates) > MAX_ENTRIES:
            del self._rates[next(iter(self._rates))]
        self._save()

    def engine(self, package: str, *, gpu: bool) -> str:
        """What an engine of this package and version last called itself; empty where it has not been started yet."""
        return self._engines.get(f"{package} {gpu}", "")

    def put_engine(self, package: str, engine: str, *, gpu: bool) -> None:
        """Keeps what an engine calls itself."""
        if self.engine(package, gpu=gpu) != engine:
            self._engines[f"{package} {gpu}"] = engine
            self._save()

    def _save(self) -> None:
        try:
            write_atomically(self._path, json.dumps({"rates": self._rates, "engines": self._engines}).encode())
        except OSError as error:
            log.warning("measured rates cannot be kept: %s", error)


def _key(sha256: str, engine: str, threads: int) -> str:
    return f"{sha256}|{engine}|{threads}"
