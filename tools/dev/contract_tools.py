"""anvil, forge, the Solidity compiler and OpenZeppelin's contracts: npm packages, pinned by version and digest."""

from __future__ import annotations

import os
import platform
import shutil
import sys

from tools.dev.commands import run_quietly
from tools.dev.places import CONTRACTS
from tools.dev.say import Stop, say
from tools.dev.stamps import Stamp, fingerprint


def ensure_contract_tools() -> None:
    """Brings `node_modules` in line with its lock file; npm compares each package with the digest written there.

    Raises:
        Stop: npm is missing, or a package could not be had or differs.
    """
    modules = CONTRACTS / "node_modules"
    wanted = fingerprint(CONTRACTS / "package-lock.json", CONTRACTS / "package.json")
    stamp = Stamp(modules / ".made-from")
    if stamp.matches(wanted):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise Stop("npm is missing, which brings the embedded chain. Install it:\n  sudo apt-get install -y npm")
    say("installing the embedded chain and the contract tools (npm)")
    stamp.clear()
    run_quietly(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *_for_this_system()],
        cwd=CONTRACTS,
        log="npm",
        failure="npm could not install the embedded chain",
        remedy="Check the network connection and start again.",
    )
    if not any((modules / "@foundry-rs").glob("anvil-*/bin/anvil*")) and not _anvil_elsewhere():
        raise Stop(
            "npm has no embedded chain (anvil) for this system. "
            "Install Foundry so that anvil is on the PATH, or set DEPIN_ANVIL to it, and start again."
        )
    stamp.write(wanted)


def _anvil_elsewhere() -> bool:
    return bool(os.environ.get("DEPIN_ANVIL") or shutil.which("anvil"))


def _for_this_system() -> list[str]:
    """The lock file names the programs for Linux on x86-64; other systems leave them out.

    They are ordinary packages, not optional ones: npm silently passes over optional packages that ask for a newer
    Node.js than Debian has, although these contain no JavaScript.
    """
    native = sys.platform == "linux" and platform.machine() == "x86_64"
    return [] if native else ["--omit=dev", "--force"]
