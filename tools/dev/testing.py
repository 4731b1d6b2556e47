"""`dev.py test`, `lint` and `bench`."""

from __future__ import annotations

from collections.abc import Sequence

from tools.dev.checks import run_checks, run_contract_tests
from tools.dev.contract_tools import ensure_contract_tools
from tools.dev.deep import DEEP, run_deep_contract_tests, run_flood
from tools.dev.places import PYTHON, ROOT, STATE, shown
from tools.dev.processes import Family
from tools.dev.python_packages import ensure_python_packages, install_into, make_environment
from tools.dev.say import Stop, complain, say
from tools.dev.stamps import Stamp, fingerprint
from tools.dev.system_libraries import ensure_system_libraries

_WITHOUT_SCREEN = {"QT_QPA_PLATFORM": "offscreen"}
_GRACE_S = 10.0
# Tests mostly wait, for chains and children: a process for each core, four at most. A file's tests stay together, for
# what they share.
_SIDE_BY_SIDE = ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile")


def set_up_for_tests() -> None:
    """Everything that any check or test needs."""
    ensure_python_packages()
    ensure_contract_tools()
    ensure_system_libraries()


def test(arguments: Sequence[str], *, deep: bool) -> int:
    """All checks, then all tests; with arguments, only pytest with those. Ends with pytest's summary."""
    set_up_for_tests()
    family = Family()
    failed: list[str] = []
    if not arguments:
        failed = run_checks(family)
        if not run_contract_tests(family):
            failed.append("contracts")
        if deep:
            failed += run_deep_contract_tests(family)
            if not run_flood(family):
                failed.append("flood")
    if failed:
        say(f"FAILED so far: {', '.join(failed)} (see above); now the tests")
    else:
        say("tests: pytest")
    try:
        status = abs(
            family.run(
                [PYTHON, "-m", "pytest", *(arguments or _SIDE_BY_SIDE)],
                env={**_WITHOUT_SCREEN, **(DEEP if deep else {})},
            )
        )
    finally:
        left = _end_leftovers(family)
    return status or (1 if failed or left else 0)


def _end_leftovers(family: Family) -> bool:
    """Ends what tests left running, and says so: it is a fault of theirs."""
    left = family.end_others(_GRACE_S)
    for pid, command in left.items():
        complain(f"Left running by the tests, now ended: {command[:150]} (process {pid})")
    return bool(left)


def lint(*, fix: bool) -> int:
    """Formatting, lint, layers and types."""
    ensure_python_packages()
    failed = run_checks(Family(), fix=fix)
    say(f"FAILED: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


def bench(arguments: Sequence[str]) -> int:
    """The benchmarks, with Tahoe-LAFS beside them as their yardstick."""
    set_up_for_tests()
    folder = ROOT / "tests" / "benchmarks"
    if not (folder / "__main__.py").exists():
        raise Stop(f"There are no benchmarks in {shown(folder)}.")
    family = Family()
    try:
        return family.run([PYTHON, folder, *arguments], env={**_WITHOUT_SCREEN, "DEPIN_TAHOE": ensure_tahoe()})
    finally:
        family.end_others(_GRACE_S)


def ensure_tahoe() -> str:
    """The program `tahoe`, in a virtual environment of its own: it needs older packages than ours."""
    folder, lock = STATE / "tahoe", ROOT / "tools" / "dev" / "tahoe.lock"
    wanted, stamp = fingerprint(lock, PYTHON.resolve().as_posix()), Stamp(folder / "made-from")
    if not stamp.matches(wanted):
        say("installing Tahoe-LAFS, which the benchmarks compare with")
        make_environment(folder)
        install_into(folder / "bin" / "python", "-r", lock, "--require-hashes", log="tahoe")
        stamp.write(wanted)
    return str(folder / "bin" / "tahoe")
