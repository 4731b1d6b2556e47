"""What all bindings share: an address, an interface and a way to ask the chain."""

from __future__ import annotations

from typing import Any, Protocol

from depin_desktop.chain.abi import Interface
from depin_desktop.chain.calls import Call


class Caller(Protocol):
    """Whoever can run a view: the chain, or a test's stand-in."""

    now_block: str

    async def view(self, to: str, data: bytes, block: str) -> bytes:
        """The returned bytes of `eth_call`; raises `Reverted` when the contract refuses."""
        ...


class Contract:
    """One deployed contract.

    Args:
        label: the field's name in `Addresses`; calls and events carry it.
    """

    def __init__(self, chain: Caller, label: str, address: str, interface: Interface) -> None:
        self.address = address
        self.label = label
        self.interface = interface
        self._chain = chain

    async def _view(self, function: str, *arguments: Any, now: bool = False) -> tuple[Any, ...]:
        """The decoded results of a view at the latest block; `now` also sees the time that has passed since it."""
        described = self.interface.functions[function]
        block = self._chain.now_block if now else "latest"
        return described.decode_result(await self._chain.view(self.address, described.encode(*arguments), block))

    async def _value(self, function: str, *arguments: Any, now: bool = False) -> Any:
        """The only result of a view."""
        return (await self._view(function, *arguments, now=now))[0]

    def _call(self, function: str, *arguments: Any) -> Call:
        described = self.interface.functions[function]
        return Call(self.address, described.encode(*arguments), f"{self.label}.{function}")
