"""eth-account, without what it imports for key files: a third of the engine's start, for something we never use.

Its package imports eth-keyfile, which imports the pairings of BLS signatures (py-ecc), ciphers and a C parser: together
as long as everything else that the chain needs. They come when a key file is really read.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

_NAMES = ("create_keyfile_json", "decode_keyfile_json")


def _later(name: str) -> Callable[..., Any]:
    """A function that imports the real one when it is called."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module("eth_keyfile"), name)(*arguments, **options)

    return call


@contextlib.contextmanager
def _without_key_files() -> Iterator[None]:
    """While it lasts, `eth_keyfile` is a stand-in; whoever imports that package later gets the real one."""
    if "eth_keyfile" in sys.modules or "eth_account" in sys.modules:
        yield
        return
    package, module = ModuleType("eth_keyfile"), ModuleType("eth_keyfile.keyfile")
    for name in _NAMES:
        setattr(package, name, _later(name))
    module.KDFType = str  # type: ignore[attr-defined]  # it only annotates
    stand_ins = {"eth_keyfile": package, "eth_keyfile.keyfile": module}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


def _import() -> None:
    try:
        with _without_key_files():
            importlib.import_module("eth_account")
    except ImportError:
        # A version that needs more of the package than ours knew: then the whole of it, from the start.
        for name in [name for name in sys.modules if name.partition(".")[0] == "eth_account"]:
            del sys.modules[name]
        importlib.import_module("eth_account")


_import()

from eth_account import Account  # noqa: E402
from eth_account.signers.local import LocalAccount  # noqa: E402

__all__ = ["Account", "LocalAccount"]
