"""The virtual environment, made from the hashed lock file."""

from __future__ import annotations

import shutil
import subprocess
import sys

from tools.dev.commands import run_quietly
from tools.dev.places import LOCK, MODELS, PYTHON, ROOT, VENV
from tools.dev.say import Stop, say
from tools.dev.stamps import Stamp, fingerprint
from tools.dev.system_packages import install_or_explain

_REMEDY = "Check the network connection and start again."


def ensure_python_packages() -> None:
    """Makes `.venv` with exactly the packages of the lock files and this project in it, unless it is there.

    Raises:
        Stop: a package could not be had, or differs from its hash.
    """
    version = ".".join(str(number) for number in sys.version_info[:3])
    # A virtual environment holds absolute paths: it is of no use in a copy of the folder or for another Python.
    place = fingerprint(version, sys.base_prefix, str(VENV))
    wanted, stamp = fingerprint(LOCK, MODELS, place), Stamp(VENV / "made-from")
    if not (stamp.matches(wanted) and PYTHON.exists()):
        stamp.clear()
        if not _is_usable(version):
            _make(version)
        say("installing the Python packages (the first time this takes a few minutes)")
        install_into(PYTHON, "-r", LOCK, "--require-hashes", log="pip")
        install_into(PYTHON, "-r", MODELS, "--require-hashes", log="pip-models")
        stamp.write(wanted)
    declared, project = fingerprint(ROOT / "pyproject.toml", wanted), Stamp(VENV / "project-made-from")
    if not project.matches(declared):
        # The project itself comes from here and needs nothing that the lock file has not brought.
        install_into(PYTHON, "--no-build-isolation", "--editable", ROOT, log="pip-project")
        project.write(declared)


def install_into(python: object, *arguments: object, log: str) -> None:
    """`pip install --no-deps` with these arguments: a lock file names every package, so nothing is resolved."""
    run_quietly(
        [str(python), "-m", "pip", "install", "--no-deps", "--no-input", *map(str, arguments)],
        log=log,
        failure="The Python packages could not be installed",
        remedy=_REMEDY,
        env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )


def _is_usable(version: str) -> bool:
    """Whether `.venv` is of this very Python and has pip."""
    if not PYTHON.exists():
        return False
    ask = "import pip, sys; print('.'.join(map(str, sys.version_info[:3])), sys.base_prefix, sys.prefix, sep='\\n')"
    done = subprocess.run([str(PYTHON), "-c", ask], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() == [version, sys.base_prefix, str(VENV)]


def _make(version: str) -> None:
    say(f"making a virtual environment in .venv with Python {version}")
    make_environment(VENV)


def make_environment(folder: object) -> None:
    """A fresh virtual environment with pip; Debian keeps what it takes for that in a package of its own.

    Raises:
        Stop: the package is missing and could not be installed.
    """
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        install_or_explain([package], "Making a virtual environment needs a package that this system keeps apart")
    shutil.rmtree(str(folder), ignore_errors=True)
    run_quietly(
        [sys.executable, "-m", "venv", str(folder)],
        log="venv",
        failure="The virtual environment could not be made",
        remedy="Check that this folder is writable and the disk is not full.",
    )
    if not shutil.which("python", path=f"{folder}/bin") and sys.platform != "win32":
        raise Stop("The virtual environment has no Python in it. Remove .venv and start again.")
