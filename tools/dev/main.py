"""The command line of dev.py."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from tools.dev import package, run, screenshots, testing
from tools.dev.places import ROOT
from tools.dev.say import Stop, complain

INTERRUPTED = 130  # what shells give for Ctrl-C


def parser() -> argparse.ArgumentParser:
    """`dev.py COMMAND`, each with its own --help."""
    top = argparse.ArgumentParser(
        prog="dev.py", description="Everything a working copy of DePIN Desktop does; sets itself up on first use."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    start = commands.add_parser("run", help="start a private network, an engine and the app")
    start.add_argument("--headless", action="store_true", help="without a window")
    testing_ = commands.add_parser(
        "test", help="run every check and test; what follows goes to pytest, which then runs alone"
    )
    testing_.add_argument(
        "--deep", action="store_true", help="the contracts' long tests, slither and a flood too; half an hour"
    )
    linting = commands.add_parser("lint", help="check formatting, style, layers and types")
    linting.add_argument("--fix", action="store_true", help="mend what can be mended by itself")
    commands.add_parser("bench", help="run the benchmarks; what follows goes to them")
    commands.add_parser("screenshots", help="take the pictures of the README from the real app")
    commands.add_parser("package", help="build the wheel into dist/")
    return top


def main(arguments: Sequence[str]) -> int:
    """Runs one command; returns the exit status."""
    options, rest = parser().parse_known_args(arguments)
    if rest and options.command not in ("test", "bench"):
        parser().error(f"unknown: {' '.join(rest)}")
    os.chdir(ROOT)
    # The project is used from here, never from another installation that happens to be around.
    for variable in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DEPIN_HOME"):
        os.environ.pop(variable, None)
    _end_in_order_on_signals()
    try:
        match options.command:
            case "run":
                return run.run(headless=options.headless)
            case "test":
                return testing.test(rest, deep=options.deep)
            case "lint":
                return testing.lint(fix=options.fix)
            case "bench":
                return testing.bench(rest)
            case "screenshots":
                return screenshots.take()
            case _:
                return package.build()
    except Stop as stop:
        complain(str(stop))
        return 1
    except KeyboardInterrupt:
        complain("Interrupted.")
        return INTERRUPTED
    except OSError as error:
        complain(f"{error.strerror or error}: {error.filename or 'dev.py'}.")
        return 1
    finally:
        sys.stdout.flush()


def _end_in_order_on_signals() -> None:
    """Every signal that asks to end does what Ctrl-C does; `nohup` still keeps the terminal's end from mattering."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and not (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            signal.signal(number, signal.default_int_handler)
