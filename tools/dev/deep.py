"""`dev.py test --deep`: the contracts' long tests, slither in a virtual environment of its own, and the flood.

slither needs an older web3 than we do.
"""

from __future__ import annotations

import os
from pathlib import Path

from tools.dev.checks import forge, passes
from tools.dev.places import CONTRACTS, PYTHON, ROOT, STATE
from tools.dev.processes import Family
from tools.dev.python_packages import install_into, make_environment
from tools.dev.say import say
from tools.dev.slither_report import judge
from tools.dev.stamps import Stamp, fingerprint

DEEP = {"DEPIN_DEEP": "1"}  # what tests look for


def run_deep_contract_tests(family: Family) -> list[str]:
    """forge with 10,000 runs of every fuzz test and long invariants, then slither; the names of what failed."""
    failed = []
    if not passes(family, "contracts, deep", [forge(), "test"], env={"FOUNDRY_PROFILE": "deep"}, cwd=CONTRACTS):
        failed.append("contracts")
    if not run_slither(family):
        failed.append("slither")
    return failed


def run_flood(family: Family) -> bool:
    """Ten thousand half-open connections against an engine: by itself, since it takes all of the machine."""
    flood = str(ROOT / "tests" / "integration" / "test_engine_flood.py")
    return passes(family, "flood", [str(PYTHON), "-m", "pytest", flood], env=DEEP)


def run_slither(family: Family) -> bool:
    """Whether every grave finding has its reason in slither-explained.json."""
    slither, report = ensure_slither(), STATE / "slither.json"
    report.unlink(missing_ok=True)
    path = os.pathsep.join((str(CONTRACTS / "node_modules" / ".bin"), os.environ.get("PATH", "")))
    say("slither: . --config-file slither.config.json")
    # Its exit status tells that there are findings, which the report tells better.
    family.run([slither, ".", "--json", report], env={"PATH": path}, cwd=CONTRACTS, silent=True)
    try:
        wrong = judge(report)
    except (OSError, ValueError) as error:
        wrong = [f"there is no report: {error}"]
    for one in wrong:
        say(f"slither: {one}")
    say(f"slither: {'FAILED' if wrong else 'passed, every finding is explained'}")
    return not wrong


def ensure_slither() -> Path:
    """The program `slither`, installed from its hashed lock file."""
    folder, lock = STATE / "slither", ROOT / "tools" / "dev" / "slither.lock"
    program = folder / "bin" / "slither"
    wanted, stamp = fingerprint(lock, PYTHON.resolve().as_posix()), Stamp(folder / "made-from")
    if not (stamp.matches(wanted) and program.exists()):
        say("installing slither")
        make_environment(folder)
        install_into(folder / "bin" / "python", "-r", lock, "--require-hashes", log="slither")
        stamp.write(wanted)
    return program
