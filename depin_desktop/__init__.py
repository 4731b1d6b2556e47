"""DePIN Desktop: share what you own with a network that no company owns, and be paid for it.

The package is two programs: the engine (`depin engine`, no Qt) that earns, and the desktop (`depin-desktop`) that shows
it. `docs/architecture.md` says which folder does what.
"""

__version__ = "0.1.0"
