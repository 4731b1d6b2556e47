"""Serial ports, satellite receivers and the processor, on machines laid out as Linux shows them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from depin_desktop.hardware import linux, machine, portable
from depin_desktop.hardware.facts import SerialPort, UsbDevice
from depin_desktop.hardware.sensors import attached_sensors, read_measurements

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /sys")


@pytest.fixture
def machine_root(tmp_path: Path) -> Path:
    """A u-blox receiver and an FTDI cable on USB, one real serial chip, one empty port and a console."""
    usb = tmp_path / "sys/devices/pci0/usb1"
    for name, vendor, product, maker, title, tty in [
        ("1-1", "1546", "01A8", "u-blox AG", "u-blox GNSS receiver", "ttyACM0"),
        ("1-2", "0403", "6001", "FTDI", "FT232R USB UART", "ttyUSB0"),
    ]:
        device = usb / name
        node = device / f"{name}:1.0" / "tty" / tty
        node.mkdir(parents=True)
        for file, text in [("idVendor", vendor), ("idProduct", product), ("manufacturer", maker), ("product", title)]:
            (device / file).write_text(f"{text}\n")
        (node / "device").mkdir()
        _link(tmp_path / "sys/class/tty" / tty, node)
        _link(tmp_path / "sys/bus/usb/devices" / name, device)
        _link(tmp_path / "sys/bus/usb/devices" / f"{name}:1.0", device / f"{name}:1.0")
    for tty, kind, real in [("ttyS0", "4", True), ("ttyS1", "0", True), ("tty1", None, False)]:
        node = tmp_path / "sys/devices/platform" / tty
        node.mkdir(parents=True)
        if real:
            (node / "device").mkdir()
        if kind:
            (node / "type").write_text(kind)
        _link(tmp_path / "sys/class/tty" / tty, node)
    return tmp_path


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


@linux_only
def test_only_ports_with_hardware_behind_them_are_listed(machine_root: Path) -> None:
    ports = {port.path: port for port in linux.serial_ports(machine_root)}
    assert set(ports) == {"/dev/ttyACM0", "/dev/ttyUSB0", "/dev/ttyS0"}
    assert (ports["/dev/ttyUSB0"].vendor, ports["/dev/ttyUSB0"].product) == ("0403", "6001")


@linux_only
def test_a_receiver_is_listed_once_with_its_port(machine_root: Path) -> None:
    found = attached_sensors(linux.usb_devices(machine_root), linux.serial_ports(machine_root), ())
    assert [(sensor.kind, sensor.name, sensor.detail) for sensor in found] == [
        ("gps", "u-blox AG u-blox GNSS receiver", "/dev/ttyACM0"),
        ("serial-port", "/dev/ttyS0", ""),
        ("serial-port", "/dev/ttyUSB0", "FTDI FT232R USB UART (0403:6001)"),
    ]


@linux_only
def test_plugging_something_in_changes_what_is_attached(machine_root: Path) -> None:
    before = linux.attached(machine_root)
    _link(machine_root / "sys/bus/usb/devices/1-3", machine_root / "sys/devices/pci0/usb1/1-2")
    assert linux.attached(machine_root) != before


@pytest.mark.parametrize(
    ("device", "is_receiver"),
    [
        (UsbDevice("1546", "01a9"), True),
        (UsbDevice("091e", "0003"), True),
        (UsbDevice("0e8d", "3329"), True),
        (UsbDevice("0e8d", "2008", "Acme phone"), False),
        (UsbDevice("067b", "2303", "USB-Serial Controller"), False),
        (UsbDevice("10c4", "ea60", "Acme GPS mouse"), True),
        (UsbDevice("1234", "5678", "Acme gpsomething"), False),
    ],
)
def test_receivers_are_known_by_their_ids_or_their_name(device: UsbDevice, is_receiver: bool) -> None:
    assert bool(attached_sensors([device], (), ())) is is_receiver


def test_receivers_of_the_kernel_are_listed() -> None:
    (sensor,) = attached_sensors((), [], [("/dev/gnss0", "UBX")])
    assert (sensor.kind, sensor.name, sensor.detail) == ("gps", "UBX receiver", "/dev/gnss0")


def test_a_port_without_a_name_is_still_listed() -> None:
    (sensor,) = attached_sensors((), [SerialPort("/dev/cu.x")], ())
    assert (sensor.name, sensor.detail) == ("/dev/cu.x", "")


def test_the_measurements_of_this_machine_are_possible() -> None:
    for sensor in read_measurements():
        assert sensor.value is not None
        if sensor.kind == "temperature":
            assert -50 < sensor.value < 150


@linux_only
def test_linux_and_llvm_agree_about_sha_instructions() -> None:
    assert linux.sha_extensions() == portable.sha_extensions()


@linux_only
def test_a_board_without_a_processor_name_gives_its_own(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nFeatures\t: fp sha1 sha2\n\nModel\t\t: Raspberry Pi 5\n")
    assert linux.cpu_name(tmp_path) == "Raspberry Pi 5"
    assert linux.sha_extensions(tmp_path)


@linux_only
@pytest.mark.parametrize(("text", "limit"), [("max", None), ("536870912", 536870912), ("9223372036854771712", None)])
def test_a_containers_memory_limit_is_read(tmp_path: Path, text: str, limit: int | None) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text(f"{text}\n")
    assert linux.memory_limit(tmp_path) == limit


def test_this_machine_has_a_processor_memory_and_no_loopback() -> None:
    cpu, memory = machine.read_cpu(), machine.read_memory()
    assert 1 <= cpu.cores <= cpu.threads
    assert 0 < memory.available_bytes <= memory.total_bytes
    for interface in machine.read_interfaces():
        assert not any(address.startswith("127.") or address == "::1" for address in interface.addresses)
