"""The checks that need no test: formatting, lint, types, layering, and the contracts' own tests and gas figures."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tools.dev.places import CONTRACTS, PYTHON, ROOT
from tools.dev.processes import Family
from tools.dev.say import say


def lint_commands(*, fix: bool = False) -> dict[str, list[str]]:
    """Name → command, quickest first."""
    python = str(PYTHON)
    return {
        "format": [python, "-m", "ruff", "format", *([] if fix else ["--check", "--quiet"]), "."],
        "lint": [python, "-m", "ruff", "check", "--quiet", *(["--fix"] if fix else []), "."],
        "layers": [str(PYTHON.with_name("lint-imports")), "--no-logo"],
        "types": [python, "-m", "mypy", "--no-error-summary", "-p", "depin_desktop", "-p", "tools"],
    }


def run_checks(family: Family, *, fix: bool = False) -> list[str]:
    """Runs all of them and returns the names of those that failed."""
    return [name for name, command in lint_commands(fix=fix).items() if not passes(family, name, command)]


def run_contract_tests(family: Family) -> bool:
    """forge's tests, and x402's measurement under x402's settings; the gas must be that of the figures in git."""
    command = [forge(), "test", "--gas-snapshot-check=true", "--gas-snapshot-emit=false"]
    profiles = {"contracts": "default", "contracts, as x402 measures": "x402"}
    done = [
        passes(family, name, command, env={"FOUNDRY_PROFILE": profile}, cwd=CONTRACTS)
        for name, profile in profiles.items()
    ]
    return all(done)


def forge() -> str:
    """The forge that `npm ci` installed, else the one on the PATH."""
    return str(next(iter(sorted(CONTRACTS.glob("node_modules/@foundry-rs/forge-*/bin/forge*"))), "forge"))


def passes(
    family: Family, name: str, command: list[str], *, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> bool:
    began = time.monotonic()
    say(f"{name}: {Path(command[0]).name} {' '.join(os.path.basename(word) for word in command[1:])}")
    try:
        passed = family.run(command, env=env, cwd=cwd) == 0
    except OSError as error:
        say(f"{name}: cannot be run ({error.strerror})")
        return False
    say(f"{name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.1f} s")
    return passed
