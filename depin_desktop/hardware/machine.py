"""The machine itself: processor, memory, network interfaces."""

from __future__ import annotations

import ipaddress
import socket

import psutil

from depin_desktop.api.models import Cpu, Memory, NetworkInterface
from depin_desktop.hardware.system import system

_LOAD_SAMPLE_S = 0.1
_UNKNOWN_SPEEDS = (0, 65_535, 2**32 - 1)  # what drivers say when they do not know


def read_cpu() -> Cpu:
    """Name, cores and the load of the next tenth of a second, for which it blocks."""
    threads = psutil.cpu_count() or 1
    frequency = psutil.cpu_freq()
    return Cpu(
        name=system.cpu_name() or "unknown processor",
        cores=psutil.cpu_count(logical=False) or threads,
        threads=threads,
        frequency_mhz=round(frequency.current) if frequency and frequency.current else None,
        load_percent=psutil.cpu_percent(interval=_LOAD_SAMPLE_S),
        sha_extensions=system.sha_extensions(),
    )


def read_memory() -> Memory:
    """Memory in bytes; in a container, no more than it may use."""
    memory = psutil.virtual_memory()
    total = min(memory.total, system.memory_limit() or memory.total)
    return Memory(total_bytes=total, available_bytes=min(memory.available, total))


def read_interfaces() -> tuple[NetworkInterface, ...]:
    """Interfaces that lead somewhere: not the loopback, and none that are down without an address."""
    states = psutil.net_if_stats()
    found = []
    for name, entries in sorted(psutil.net_if_addrs().items()):
        addresses = tuple(
            entry.address.partition("%")[0]
            for entry in entries
            if entry.family in (socket.AF_INET, socket.AF_INET6) and _useful(entry.address)
        )
        state = states.get(name)
        up = state is not None and state.isup
        loopback = state is not None and "loopback" in getattr(state, "flags", "")
        if loopback or name == "lo" or not (addresses or up):
            continue
        speed = state.speed if state and state.speed not in _UNKNOWN_SPEEDS else None
        found.append(NetworkInterface(name=name, addresses=addresses, up=up, speed_mbit=speed))
    return tuple(found)


def _useful(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_link_local)
