"""What the operating system modules (`linux`, `portable`) tell: plain facts, before they become API models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from depin_desktop.api.models import Gpu


class GpuReading(NamedTuple):
    """The cards that answered, and sentences about those that did not."""

    gpus: tuple[Gpu, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mount:
    """One mounted file system as the system lists it."""

    device: str
    path: str
    filesystem: str
    options: frozenset[str] = frozenset()


@dataclass(frozen=True)
class BlockDevice:
    """The physical disk behind a file system. `path` is the whole disk, for SMART; None where it cannot be told."""

    path: str
    model: str = ""
    removable: bool = False
    rotational: bool | None = None


@dataclass(frozen=True)
class UsbDevice:
    """A device on the USB bus; `vendor` and `product` are four hexadecimal digits in lower case."""

    vendor: str
    product: str
    name: str = ""
    ports: tuple[str, ...] = ()  # its serial ports, as paths


@dataclass(frozen=True)
class SerialPort:
    """A serial port that has hardware behind it."""

    path: str
    name: str = ""
    vendor: str = ""
    product: str = ""
