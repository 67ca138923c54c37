"""Directories that look like ``/proc`` and ``/sys`` of some machine."""

import os
from pathlib import Path

CAPTURES = Path(__file__).parent / "captures"
FIRST_NAMESPACE = "pid:[4026531836]"
CONTAINER = "pid:[4026532001]"


def write(root: Path, path: str, content: str) -> None:
    """Write one file below ``root``."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content)


def captured_machine(root: Path) -> Path:
    """A machine made of files captured on a two-CPU virtual machine."""
    for name, path in (
        ("stat", "proc/stat"),
        ("loadavg", "proc/loadavg"),
        ("cpuinfo", "proc/cpuinfo"),
        ("pressure_cpu", "proc/pressure/cpu"),
    ):
        write(root, path, (CAPTURES / name).read_text())
    return root


def process(
    root: Path,
    number: int | str,
    *,
    group: int | None = None,
    parent: int = 0,
    inside: tuple[int, ...] = (),
    namespace: str | None = None,
) -> None:
    """A process, or with ``group`` a thread of one; ``inside``: its numbers further inside."""
    own = int(number) if number != "self" else 1
    tgid = own if group is None else group
    status = (CAPTURES / "status").read_text().splitlines()
    replaced = {
        "Tgid": str(tgid),
        "Pid": str(own),
        "PPid": str(parent),
        "NStgid": "\t".join(map(str, (tgid, *inside))),
        "NSpid": "\t".join(map(str, (own, *inside))),
    }
    lines = [
        f"{name}:\t{replaced[name]}" if (name := line.partition(":")[0]) in replaced else line
        for line in status
    ]
    write(root, f"proc/{number}/status", "\n".join(lines) + "\n")
    if namespace is not None:
        link = root / f"proc/{number}/ns/pid"
        link.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(namespace, link)


def place(root: Path, namespace: str, inside: tuple[int, ...] = ()) -> Path:
    """The machine as seen from a pid namespace; ``inside`` when its /proc is the host's."""
    process(root, "self", namespace=namespace, inside=inside)
    return root
