"""Disks: which mounts count as storage, and the disk under a path, on this machine and on odd ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from depin_desktop.core.errors import UserFacingError
from depin_desktop.hardware import linux
from depin_desktop.hardware.disks import choose, describe, disk_of, mounts
from depin_desktop.hardware.facts import Mount

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /sys")


def mount(device: str, path: str, filesystem: str, options: str = "rw") -> Mount:
    return Mount(device, path, filesystem, frozenset(options.split(",")))


ORDINARY = [
    mount("proc", "/proc", "proc"),
    mount("/dev/nvme0n1p2", "/", "ext4"),
    mount("/dev/nvme0n1p1", "/boot/efi", "vfat"),
    mount("tmpfs", "/run", "tmpfs"),
    mount("/dev/loop3", "/snap/core/1", "squashfs", "ro"),
    mount("/dev/sda1", "/srv/data", "xfs"),
    mount("/dev/sda1", "/home/ada/data", "xfs"),
    mount("/dev/sdb1", "/run/media/ada/STICK", "exfat"),
    mount("nas:/export", "/mnt/nas", "nfs4"),
    mount("systemd-1", "/mnt/auto", "autofs"),
    mount("gvfsd-fuse", "/run/user/1000/gvfs", "fuse.gvfsd-fuse"),
]
DOCKER = [
    mount("overlay", "/", "overlay"),
    mount("proc", "/proc", "proc"),
    mount("tmpfs", "/dev", "tmpfs"),
    mount("/dev/vda1", "/etc/resolv.conf", "ext4"),
    mount("/dev/vda1", "/etc/hostname", "ext4"),
    mount("/dev/vdb1", "/data", "ext4"),
]
DOCKER_HOST = [
    mount("/dev/sda2", "/", "btrfs"),
    mount("/dev/sda2", "/home", "btrfs"),
    mount("overlay", "/var/lib/docker/overlay2/af/merged", "overlay"),
    mount("nsfs", "/run/docker/netns/x", "nsfs"),
]
WSL = [mount("/dev/sdc", "/", "ext4"), mount("C:\\", "/mnt/c", "9p"), mount("none", "/usr/lib/wsl", "overlay", "ro")]
WINDOWS = [mount("C:\\", "C:\\", "NTFS", "rw,fixed"), mount("D:\\", "D:\\", "CDFS", "ro,cdrom")]
MACOS = [
    mount("/dev/disk3s1s1", "/", "apfs", "ro"),
    mount("/dev/disk3s6", "/System/Volumes/VM", "apfs"),
    mount("/dev/disk3s5", "/System/Volumes/Data", "apfs"),
]


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        (ORDINARY, ["/", "/mnt/nas", "/run/media/ada/STICK", "/srv/data"]),
        (DOCKER, ["/", "/data", "/etc/hostname"]),  # a file is told apart by asking it, see `describe`
        (DOCKER_HOST, ["/"]),
        (WSL, ["/", "/mnt/c"]),
        (WINDOWS, ["C:\\"]),
        (MACOS, ["/", "/System/Volumes/Data"]),
        ([mount("proc", "/proc", "proc"), mount("/dev/vdb1", "/data", "ext4")], ["/", "/data"]),  # a chroot
        ([], ["/"]),
    ],
)
def test_one_mount_is_chosen_for_each_real_file_system(listed: list[Mount], chosen: list[str]) -> None:
    assert [entry.path for entry in choose(listed)] == chosen


def test_a_writable_mount_is_preferred_to_a_shorter_read_only_one() -> None:
    twice = [*WSL, mount("/dev/sda1", "/ro", "ext4", "ro"), mount("/dev/sda1", "/somewhere/rw", "ext4")]
    assert [entry.path for entry in choose(twice)] == ["/", "/mnt/c", "/somewhere/rw"]


def test_a_mounted_file_is_no_disk(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("")
    assert describe(mount("/dev/vda1", str(tmp_path / "hosts"), "ext4")) is None


def test_the_disk_of_a_path_is_found_before_the_path_exists(tmp_path: Path) -> None:
    disk = disk_of(tmp_path / "not" / "yet")
    usage = shutil.disk_usage(tmp_path)
    assert disk.total_bytes == usage.total
    assert str(tmp_path).startswith(disk.mount)


@linux_only
@pytest.mark.parametrize("place", ["/proc", "/dev", "/sys"])
def test_even_a_place_without_storage_has_a_file_system(place: str) -> None:
    assert disk_of(place).filesystem not in ("", "unknown")


def test_a_path_is_found_without_a_mount_table(tmp_path: Path) -> None:
    disk = disk_of(tmp_path, listed=list)
    assert disk.total_bytes == shutil.disk_usage(tmp_path).total
    assert os.path.ismount(disk.mount)


def test_a_disk_that_vanishes_while_asked_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    disk = tmp_path / "pulled"
    disk.mkdir()

    def vanish() -> list[Mount]:
        disk.rmdir()
        return [*mounts(), mount("/dev/sdx1", str(disk), "ext4")]

    with pytest.raises(UserFacingError) as caught:
        disk_of(disk, listed=vanish)
    assert caught.value.code == "disk-unreachable"
    assert caught.value.remedy


ODD_MOUNTS = """
set -e
cd "$1"
mkdir -p real bound over lower upper work tiny "with space"
mount -t tmpfs -o size=32m tmpfs tiny
mount -t tmpfs -o size=16m tmpfs "with space"
mkdir tiny/upper tiny/work
mount --bind real bound
mount -t overlay overlay -o lowerdir=lower,upperdir=tiny/upper,workdir=tiny/work over
if truncate -s 24M image && mkfs.ext4 -q image && mkdir disk && mount -o loop,ro image disk; then :; fi
exec "$2" -c "$3"
"""
ASK = """
import json
from depin_desktop.hardware.disks import choose, disk_of, mounts
places = ["bound/x", "over/a/b", "tiny", "with space/deep", "disk/file"]
print(json.dumps({
    "of": {place: disk_of(place).model_dump(mode="json") for place in places},
    "chosen": [mount.path for mount in choose(mounts())],
}))
"""


@linux_only
def test_bind_overlay_memory_and_loop_mounts_are_told_apart(tmp_path: Path) -> None:
    program = shutil.which("unshare")
    if program is None:
        pytest.skip("needs unshare")
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        [program, "--mount", *own_user, "sh", "-c", ODD_MOUNTS, "sh", str(tmp_path), sys.executable, ASK],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    if done.returncode and done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"this machine does not allow mounting: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    of = answer["of"]
    assert of["tiny"]["total_bytes"] == 32 << 20
    assert of["with space/deep"]["mount"] == str(tmp_path / "with space")
    assert of["over/a/b"]["filesystem"] == "overlay"
    assert of["over/a/b"]["total_bytes"] == 32 << 20, "an overlay holds what its upper layer holds"
    assert of["bound/x"]["total_bytes"] == shutil.disk_usage(tmp_path).total
    assert not {str(tmp_path / name) for name in ("tiny", "over", "bound", "with space")} & set(answer["chosen"])
    if of["disk/file"]["filesystem"] == "ext4" and of["disk/file"]["mount"] == str(tmp_path / "disk"):
        assert of["disk/file"]["read_only"]
        assert str(tmp_path / "disk") in answer["chosen"]


@linux_only
def test_this_machine_has_a_disk_with_the_size_that_the_system_reports() -> None:
    chosen = [entry for entry in choose(mounts()) if os.path.isdir(entry.path)]
    assert chosen, "a machine that runs tests stores them somewhere"
    for entry in chosen:
        described = describe(entry)
        if described is not None:
            assert described[0].total_bytes == psutil.disk_usage(entry.path).total


def lay_out(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@linux_only
def test_the_model_is_read_through_encryption_and_a_partition(tmp_path: Path) -> None:
    disk = "sys/devices/pci0/usb2/2-1/block/sdx"
    lay_out(
        tmp_path,
        {
            f"{disk}/removable": "0",
            f"{disk}/queue/rotational": "1",
            f"{disk}/device/model": "Portable  SSD",
            f"{disk}/device/vendor": "Acme",
            f"{disk}/sdx1/partition": "1",
            "sys/devices/virtual/block/dm-7/dm/name": "luks",
        },
    )
    (tmp_path / "sys/devices/virtual/block/dm-7/slaves").mkdir()
    (tmp_path / "sys/devices/virtual/block/dm-7/slaves/sdx1").symlink_to(tmp_path / disk / "sdx1")
    (tmp_path / "sys/class/block").mkdir(parents=True)
    (tmp_path / "sys/class/block/dm-7").symlink_to(tmp_path / "sys/devices/virtual/block/dm-7")
    found = linux.block_device("/dev/dm-7", "/nowhere", tmp_path)
    assert found is not None
    assert (found.path, found.model, found.rotational) == ("/dev/sdx", "Acme Portable SSD", True)
    assert found.removable, "a disk on USB can be pulled although it calls itself fixed"


@linux_only
def test_network_and_memory_file_systems_have_no_disk_behind_them(tmp_path: Path) -> None:
    assert linux.block_device("nas:/export", "/nowhere", tmp_path) is None
    assert linux.block_device("tmpfs", "/dev/shm", tmp_path) is None
