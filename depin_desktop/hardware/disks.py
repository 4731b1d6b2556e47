"""Disks: which mounted file systems could hold shared data, and the disk under any path.

Of what a system mounts, most is not storage: kernel interfaces, memory, images, boot partitions, and the same file
system once more under another path (bind mounts, container volumes). `choose` leaves one entry for each real one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from depin_desktop.api.models import Disk
from depin_desktop.core.errors import UserFacingError
from depin_desktop.hardware.facts import Mount
from depin_desktop.hardware.system import system

_KERNEL_AND_MEMORY = """
    autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devfs devpts devtmpfs efivarfs fdescfs fusectl hugetlbfs
    mqueue none nsfs nullfs proc procfs pstore ramfs rootfs rpc_pipefs securityfs selinuxfs sysfs tmpfs tracefs
"""
_READ_ONLY_IMAGES = "cdfs cramfs erofs iso9660 romfs squashfs udf"
_VIEWS_OF_ELSEWHERE = "fuse.appimage fuse.gvfsd-fuse fuse.lxcfs fuse.portal fuse.snapfuse"
_NOT_STORAGE = frozenset(f"{_KERNEL_AND_MEMORY} {_READ_ONLY_IMAGES} {_VIEWS_OF_ELSEWHERE}".split())
_OVERLAYS = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs", "unionfs"})
_SYSTEM_PLACES = ("/boot", "/efi", "/proc", "/sys", "/dev", "/run", "/snap", "/var/lib/docker", "/var/lib/containers")
_MACOS_PLACES = "/System/Volumes/"
_UNLISTED = "unknown"  # the kind of a file system that the mount table does not show


def mounts() -> tuple[Mount, ...]:
    """Everything mounted now, in the order it was mounted. Asks no file system, so it cannot hang on one."""
    return tuple(
        Mount(part.device, part.mountpoint, part.fstype, frozenset(part.opts.split(",")))
        for part in psutil.disk_partitions(all=True)
    )


def choose(everything: Iterable[Mount]) -> tuple[Mount, ...]:
    """One mount for each file system that could hold shared data: writable before read-only, then the shortest path.

    Pure: it asks no file system. A container's overlay counts only as the root, where the container's own data are.
    """
    listed = list(everything)
    if all(mount.path.startswith("/") and mount.path != "/" for mount in listed):
        # Inside a chroot the table hides what the root lies on; it is there all the same.
        listed.append(Mount(device="", path="/", filesystem=_UNLISTED))
    best: dict[str, Mount] = {}
    for mount in listed:
        if not _could_hold_data(mount):
            continue
        key = mount.device if mount.device.startswith(("/dev/", "//")) or ":" in mount.device else mount.path
        other = best.get(key)
        if other is None or _rank(mount) < _rank(other):
            best[key] = mount
    return tuple(sorted(best.values(), key=lambda mount: mount.path))


def _could_hold_data(mount: Mount) -> bool:
    kind = mount.filesystem.lower()
    if kind in _NOT_STORAGE or not mount.path or "cdrom" in mount.options:
        return False
    if kind in _OVERLAYS:
        return mount.path == "/"
    if mount.path.startswith(_MACOS_PLACES):
        return mount.path == f"{_MACOS_PLACES}Data"
    # Removable media of desktops live in /run/media/NAME; nothing else in /run is storage.
    if mount.path.startswith("/run/media/"):
        return True
    return not any(mount.path == place or mount.path.startswith(f"{place}/") for place in _SYSTEM_PLACES)


def _rank(mount: Mount) -> tuple[bool, int, str]:
    return ("ro" in mount.options, len(mount.path), mount.path)


def describe(mount: Mount) -> tuple[Disk, str | None] | None:
    """What a mount holds, and the path of the whole disk behind it (which SMART can be asked of), where there is one.

    None when it cannot hold files: a mounted file, a size of zero. Blocks for as long as the file system does.

    Raises:
        OSError: the file system does not answer, or may not be asked.
    """
    if not stat.S_ISDIR(os.stat(mount.path).st_mode):
        return None  # containers mount single files such as /etc/hosts
    usage = psutil.disk_usage(mount.path)
    if not usage.total:
        return None
    block = system.block_device(mount.device, mount.path)
    disk = Disk(
        mount=mount.path,
        device=mount.device or (block.path if block else ""),
        filesystem=mount.filesystem,
        total_bytes=usage.total,
        free_bytes=usage.free,
        removable="removable" in mount.options or (block is not None and block.removable),
        read_only="ro" in mount.options,
        rotational=block.rotational if block else None,
        model=block.model if block else "",
    )
    return disk, block.path if block else None


def disk_of(path: str | os.PathLike[str], listed: Callable[[], Iterable[Mount]] = mounts) -> Disk:
    """The file system that holds `path`, or would hold it once made. Always found, however odd the mounts are.

    Blocks for as long as the file system does: call it in a thread, with a time-out.

    Raises:
        UserFacingError: the file system cannot be asked.
    """
    wanted = Path(path).expanduser().absolute()
    try:
        existing = _existing(wanted).resolve()
        mount = _mount_of(existing, tuple(listed()))
        described = describe(mount)
        if described is not None:
            return described[0]
        usage = psutil.disk_usage(str(existing))
    except OSError as error:
        raise UserFacingError(
            f"The disk that holds {wanted} does not answer ({error.strerror or error}).",
            "Check that the disk is connected and that you may open this folder.",
            code="disk-unreachable",
        ) from error
    return Disk(
        mount=mount.path,
        device=mount.device,
        filesystem=mount.filesystem,
        total_bytes=usage.total,
        free_bytes=usage.free,
        removable=False,
        read_only="ro" in mount.options,
    )


def _existing(path: Path) -> Path:
    return next((candidate for candidate in (path, *path.parents) if candidate.exists()), path)


def _mount_of(path: Path, listed: tuple[Mount, ...]) -> Mount:
    above = {str(path), *(str(parent) for parent in path.parents)}
    holding = [mount for mount in listed if mount.path in above]
    if not holding:
        # A container or chroot may hide the mount table; the folder at which the device changes is still there.
        top = next((place for place in (path, *path.parents) if os.path.ismount(place)), Path(path.anchor))
        return Mount(device="", path=str(top), filesystem=_UNLISTED)
    data = [mount for mount in listed if mount.path == f"{_MACOS_PLACES}Data"]
    if data and os.stat(path).st_dev == os.stat(data[0].path).st_dev:
        return data[0]  # macOS shows the writable volume inside the read-only root
    # The longest path is the nearest; of several mounted at one place the last hides the others.
    return max(enumerate(holding), key=lambda item: (len(item[1].path), item[0]))[1]
