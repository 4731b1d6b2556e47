"""Where things lie in a working copy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
LOCK = ROOT / "requirements.lock"
MODELS = ROOT / "tools" / "dev" / "models.lock"  # installed without what they declare to need
CONTRACTS = ROOT / "resources" / "contracts"
# Everything that running leaves behind; never committed. Tests have theirs elsewhere.
STATE = Path(os.environ.get("DEPIN_DEV_STATE") or ROOT / ".depin").absolute()
LOGS = STATE / "logs"


def shown(path: Path) -> str:
    """A path as people want to read it: relative to where they are, where that is shorter."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return min(relative, str(path), key=len)
