"""Packages of the operating system: installed where that is allowed, else the line that installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from tools.dev.commands import run_quietly
from tools.dev.say import Stop, say


def install_line(packages: Sequence[str]) -> str:
    """What a person types to install these packages on Debian and Ubuntu."""
    return f"sudo apt-get install -y {' '.join(packages)}"


def install_or_explain(packages: Sequence[str], reason: str) -> None:
    """Installs with apt-get as root; otherwise says which line to type.

    Args:
        reason: the sentence, without its full stop, that says why they are needed.

    Raises:
        Stop: not root, no apt-get, or it failed.
    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise Stop(f"{reason}. Install what your system has in place of Debian's packages: {', '.join(packages)}.")
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise Stop(f"{reason}. Install it, then start again:\n  {install_line(packages)}")
    say(f"installing {', '.join(packages)} (apt-get, as root)")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install = [apt, "install", "-y", "--no-install-recommends", *packages]
    # A fresh system has no package lists yet; an old one has lists of packages that are gone.
    tried = subprocess.run(install, env={**os.environ, **quiet}, capture_output=True, check=False)
    if tried.returncode:
        remedy = "Check the network connection and start again."
        run_quietly([apt, "update"], log="apt-update", failure="apt-get update failed", remedy=remedy, env=quiet)
        run_quietly(install, log="apt-install", failure="apt-get install failed", remedy=remedy, env=quiet)
