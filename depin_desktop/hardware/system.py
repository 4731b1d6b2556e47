"""Chooses the module that knows this operating system; both answer the same questions."""

from __future__ import annotations

import sys

from depin_desktop.hardware import linux, portable

system = linux if sys.platform == "linux" else portable
