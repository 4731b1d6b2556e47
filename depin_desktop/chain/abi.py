"""Contract interfaces from the committed artifacts: encoding of calls, decoding of results, logs and errors.

A thin layer over eth-abi. web3's contract objects do the same, with an import of their own and several times slower;
the tests hold both against each other.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from eth_abi.abi import decode, encode
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

Abi = list[dict[str, Any]]
_SUFFIX = re.compile(r"((\[\d*\])*)$")


@dataclass(frozen=True)
class Parameter:
    """One argument: `type` in canonical form, tuples written out."""

    name: str  # snake case
    type: str
    indexed: bool
    normalise: Normaliser | None


@dataclass(frozen=True)
class Function:
    """A function, an error or a constructor: the types that its arguments are encoded with."""

    name: str
    selector: bytes
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]

    def encode(self, *arguments: Any) -> bytes:
        """Selector and arguments. Raises eth_abi's EncodingError for a value that does not fit its type."""
        return self.selector + encode([parameter.type for parameter in self.inputs], arguments)

    def decode_result(self, data: bytes) -> tuple[Any, ...]:
        return _decode(self.outputs, data)

    def decode_arguments(self, data: bytes) -> dict[str, Any]:
        """The arguments of a call or error, by name; `data` without the selector."""
        return {p.name: value for p, value in zip(self.inputs, _decode(self.inputs, data), strict=True)}


@dataclass(frozen=True)
class Event:
    """An event; indexed arguments of dynamic types come as their hash, as Solidity stores them."""

    name: str
    topic: bytes
    inputs: tuple[Parameter, ...]

    @functools.cached_property
    def indexed(self) -> tuple[Parameter, ...]:
        return tuple(parameter for parameter in self.inputs if parameter.indexed)

    @functools.cached_property
    def plain(self) -> tuple[Parameter, ...]:
        return tuple(parameter for parameter in self.inputs if not parameter.indexed)

    def decode(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """The arguments by name, in the order of their declaration."""
        values = {p.name: value for p, value in zip(self.plain, _decode(self.plain, data), strict=True)}
        for parameter, topic in zip(self.indexed, topics[1:], strict=True):
            values[parameter.name] = _decode((parameter,), topic)[0] if _fits_topic(parameter.type) else topic
        return {parameter.name: values[parameter.name] for parameter in self.inputs}

    def topic_of(self, argument: str, value: Any) -> tuple[int, bytes]:
        """Which topic (1..3) holds an indexed argument, and its bytes for `value`; KeyError when it is not indexed."""
        for position, parameter in enumerate(self.indexed, start=1):
            if parameter.name == argument:
                return position, encode([parameter.type], [value])
        raise KeyError(f"{self.name} has no indexed argument {argument}")


class Interface:
    """Everything that one contract understands and says."""

    def __init__(self, abi: Abi) -> None:
        self.functions: dict[str, Function] = {}
        self.errors: dict[bytes, Function] = {}
        self.events: dict[bytes, Event] = {}
        self.constructor = Function("constructor", b"", (), ())
        for item in abi:
            self._add(item)

    def _add(self, item: dict[str, Any]) -> None:
        kind, name = item["type"], item.get("name", "")
        inputs = _parameters(item.get("inputs", []))
        topic = keccak(f"{name}({','.join(parameter.type for parameter in inputs)})".encode())
        if kind == "function":
            # Where a name is overloaded, the first one keeps it.
            self.functions.setdefault(name, Function(name, topic[:4], inputs, _parameters(item.get("outputs", []))))
        elif kind == "error":
            self.errors[topic[:4]] = Function(name, topic[:4], inputs, ())
        elif kind == "event":
            self.events[topic] = Event(name, topic, inputs)
        elif kind == "constructor":
            self.constructor = Function(kind, b"", inputs, ())

    def event(self, name: str) -> Event:
        for event in self.events.values():
            if event.name == name:
                return event
        raise KeyError(name)


@functools.cache
def artifact(name: str) -> dict[str, Any]:
    """The committed compiler output of one contract, such as "DepinToken"."""
    text = files("depin_desktop.chain").joinpath("artifacts", f"{name}.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@functools.cache
def interface(name: str) -> Interface:
    """The interface of one contract, parsed once."""
    return Interface(artifact(name)["abi"])


def creation_code(name: str) -> bytes:
    """The bytecode that deploys a contract; constructor arguments follow it."""
    code = artifact(name)["bytecode"]
    return bytes.fromhex((code["object"] if isinstance(code, dict) else code).removeprefix("0x"))


def snake(name: str) -> str:
    """A Solidity name as Python writes it: "firstPieceId" → "first_piece_id"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.lstrip("_")).lower()


class Normaliser:
    """Turns decoded values into ours: addresses to EIP-55, at any depth."""

    def __init__(self, item: Normaliser | None = None, components: tuple[Normaliser | None, ...] = ()) -> None:
        self._item = item
        self._components = components

    def __call__(self, value: Any) -> Any:
        if self._item is not None:
            return tuple(self._item(item) for item in value)
        if self._components:
            return tuple(v if n is None else n(v) for n, v in zip(self._components, value, strict=True))
        return to_checksum_address(value)


def _normaliser(type_: str, components: tuple[Normaliser | None, ...]) -> Normaliser | None:
    if type_.endswith("]"):
        item = _normaliser(type_[: type_.rindex("[")], components)
        return None if item is None else Normaliser(item=item)
    if any(components):
        return Normaliser(components=components)
    return Normaliser() if type_ == "address" else None


def _parameters(items: list[dict[str, Any]]) -> tuple[Parameter, ...]:
    def walk() -> Iterator[Parameter]:
        for position, item in enumerate(items):
            type_, normaliser = _type(item)
            name = snake(item.get("name") or "") or f"value{position}"
            yield Parameter(name, type_, bool(item.get("indexed")), normaliser)

    return tuple(walk())


def _type(item: dict[str, Any]) -> tuple[str, Normaliser | None]:
    type_: str = item["type"]
    if not type_.startswith("tuple"):
        return type_, _normaliser(type_, ())
    parts = [_type(component) for component in item["components"]]
    suffix = _SUFFIX.search(type_)
    written = f"({','.join(part for part, _ in parts)}){suffix.group(0) if suffix else ''}"
    return written, _normaliser(written, tuple(normaliser for _, normaliser in parts))


def _decode(parameters: tuple[Parameter, ...], data: bytes) -> tuple[Any, ...]:
    values = decode([parameter.type for parameter in parameters], data)
    return tuple(v if p.normalise is None else p.normalise(v) for p, v in zip(parameters, values, strict=True))


def _fits_topic(type_: str) -> bool:
    return not (type_ in ("bytes", "string") or type_.endswith(("]", ")")))
