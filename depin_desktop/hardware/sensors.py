"""Sensors as the system shows them: temperatures, fans, battery, serial ports and satellite receivers."""

from __future__ import annotations

import re
from collections.abc import Iterable

import psutil

from depin_desktop.api.models import Sensor
from depin_desktop.hardware.facts import SerialPort, UsbDevice
from depin_desktop.hardware.system import system

# USB vendors all of whose products are satellite receivers, and single products of other vendors. Chips that only
# turn USB into a serial line (Prolific, FTDI, Silicon Labs) are left out: most of them have no receiver behind them.
_GPS_VENDORS = {"1546": "u-blox", "152a": "Septentrio", "1163": "DeLorme"}
_GPS_PRODUCTS = {
    ("091e", "0003"): "Garmin receiver",
    ("0e8d", "3329"): "MediaTek receiver",
    ("067b", "aaa0"): "PS-360 receiver",
}
_GPS_WORDS = re.compile(r"\b(gps|gnss|glonass|galileo receiver)\b", re.IGNORECASE)


def read_measurements() -> tuple[Sensor, ...]:
    """Temperatures in °C, fans in revolutions per minute, the battery's charge in percent."""
    return (*_temperatures(), *_fans(), *_battery())


def _temperatures() -> Iterable[Sensor]:
    read = getattr(psutil, "sensors_temperatures", None)  # Linux and FreeBSD only
    for chip, entries in (read() if read else {}).items():
        for number, entry in enumerate(entries):
            # Broken sensors report impossible values rather than none.
            if entry.current is None or not -50 < entry.current < 150 or entry.current == 0:
                continue
            limit = f"critical at {entry.critical:.0f} °C" if entry.critical and 0 < entry.critical < 200 else ""
            name = f"{chip} {entry.label or number}".strip()
            yield Sensor(kind="temperature", name=name, detail=limit, value=round(entry.current, 1), unit="°C")


def _fans() -> Iterable[Sensor]:
    read = getattr(psutil, "sensors_fans", None)
    for chip, entries in (read() if read else {}).items():
        for number, entry in enumerate(entries):
            name = f"{chip} {entry.label or number}".strip()
            yield Sensor(kind="fan", name=name, value=float(entry.current), unit="rpm")


def _battery() -> Iterable[Sensor]:
    read = getattr(psutil, "sensors_battery", None)
    battery = read() if read else None
    if battery is None:
        return
    detail = "on mains power" if battery.power_plugged else "discharging"
    if not battery.power_plugged and battery.secsleft and battery.secsleft > 0:
        detail += f", about {battery.secsleft // 60} min left"
    yield Sensor(kind="battery", name="Battery", detail=detail, value=round(float(battery.percent), 1), unit="%")


def read_attached() -> tuple[Sensor, ...]:
    """Satellite receivers and serial ports that are plugged in; a receiver's port is listed as the receiver."""
    return attached_sensors(system.usb_devices(), system.serial_ports(), system.gnss_receivers())


def attached_sensors(
    usb: Iterable[UsbDevice], ports: Iterable[SerialPort], receivers: Iterable[tuple[str, str]]
) -> tuple[Sensor, ...]:
    """Receivers first, then the serial ports that belong to none; `receivers` are (path, type) of the kernel's own."""
    found = [Sensor(kind="gps", name=f"{kind or 'GNSS'} receiver", detail=path) for path, kind in receivers]
    taken: set[str] = set()
    for device in usb:
        label = _receiver_name(device)
        if label:
            taken.update(device.ports)
            found.append(Sensor(kind="gps", name=label, detail=", ".join(device.ports)))
    for port in ports:
        if port.path not in taken:
            ids = f" ({port.vendor}:{port.product})" if port.vendor else ""
            found.append(Sensor(kind="serial-port", name=port.path, detail=f"{port.name}{ids}".strip()))
    return tuple(found)


def _receiver_name(device: UsbDevice) -> str:
    known = _GPS_PRODUCTS.get((device.vendor, device.product))
    maker = _GPS_VENDORS.get(device.vendor)
    if known or maker:
        return device.name or known or f"{maker} receiver"
    return device.name if _GPS_WORDS.search(device.name) else ""
