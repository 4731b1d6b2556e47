"""What dev.py says, and how it fails: one sentence, never a traceback."""

from __future__ import annotations

import sys


class Stop(Exception):
    """Ends dev.py with a sentence that says what happened and what to do."""


def say(text: str) -> None:
    """One line about what happens now."""
    print(f"· {text}", flush=True)


def complain(text: str) -> None:
    """One line about what went wrong."""
    print(text, file=sys.stderr, flush=True)
