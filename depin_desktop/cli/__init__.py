"""`depin`, the command line: every command prints for people, or with `--json` for programs.

It talks to the engine through `depin_desktop.api` where one runs, and brings in heavy rooms only when a command needs
them. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 engine or network out of reach, 130 interrupted.
"""

from depin_desktop.cli.root import main

__all__ = ["main"]
