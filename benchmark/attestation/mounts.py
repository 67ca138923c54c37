"""Whether the text of a file is the kernel's own, or that of something mounted over it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

_HOMES: Final = {"sysfs": "/sys", "proc": "/proc", "xenfs": "/proc/xen"}
"""The kernel's own filesystems, and where their top belongs."""


class _Mount(NamedTuple):
    identity: str
    parent: str
    root: str
    point: str
    filesystem: str


def covered_paths(mountinfo: str, paths: Iterable[str]) -> dict[str, str]:
    """Return those paths below /sys and /proc that do not lie on the kernel's own filesystem.

    `mountinfo` is text in the format of /proc/self/mountinfo. The value tells what lies there: a
    filesystem's name, or for a kernel filesystem bound to a wrong place "sysfs from /elsewhere".
    """
    mounts = [mount for line in mountinfo.splitlines() if (mount := _parse(line))]
    covered = {}
    for path in paths:
        if path.startswith(("/sys/", "/proc/")):
            # /sys/class/dmi/id is a link, and a mount lies on the directory that it leads to.
            linked = path.replace("/sys/class/dmi/", "/sys/devices/virtual/dmi/")
            foreign = _foreign(mounts, path) or _foreign(mounts, linked)
            if foreign:
                covered[path] = foreign
    return covered


def _parse(line: str) -> _Mount | None:
    before, separator, after = line.partition(" - ")
    columns = before.split(" ")
    if not separator or len(columns) < 6 or not after:
        return None
    return _Mount(columns[0], columns[1], columns[3], columns[4], after.split(" ")[0])


def _foreign(mounts: list[_Mount], path: str) -> str | None:
    mount = _walk([mount for mount in mounts if _holds(mount.point, path)])
    if mount is None:
        return None
    home = _HOMES.get(mount.filesystem)
    if home is None or not _holds(home, path):
        return mount.filesystem
    # A directory of the kernel's own can be bound to another of its directories.
    inside = mount.root.rstrip("/") + path[len(mount.point.rstrip("/")) :]
    return None if home + inside == path else f"{mount.filesystem} from {inside}"


def _walk(on_the_way: list[_Mount]) -> _Mount | None:
    """The mount that a path walk ends in: from the root, over what is mounted on each mount.

    The order of the lines would not do, because it is not that of mounting.
    """
    identities = {mount.identity for mount in on_the_way}
    tops = [mount for mount in on_the_way if mount.parent not in identities]
    if not tops:
        return None
    current = min(tops, key=lambda mount: len(mount.point))
    left = [mount for mount in on_the_way if mount is not current]
    while children := [mount for mount in left if mount.parent == current.identity]:
        current = min(children, key=lambda mount: len(mount.point))
        left.remove(current)
    return current


def _holds(point: str, path: str) -> bool:
    return point == path or path.startswith(f"{point.rstrip('/')}/")
