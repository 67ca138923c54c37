"""Whose processes are on the GPU: ours, somebody else's, or not to be told.

What a number in NVML's lists means depends on driver and place. In the machine's first pid
namespace it is a process id. In a container, older drivers give the host's numbers, of every
process; newer ones translate them to the container's and leave out every process that the container
cannot see; it has also been seen to be the id of a thread. What is decided here, for each entry:

- *ours* when its process, or an ancestor of it, is one of our processes; a thread id counts as its
  process, and where ``/proc`` shows the host's numbers the kernel's own translation (NSpid) is
  used;
- *unidentified* when ``/proc`` does not know the number;
- *foreign* when ``/proc`` names another process **and** the number can be trusted: we are in the
  first pid namespace, or one of our own processes was recognised in the same list;
- otherwise *unidentified*, because a host's number may equal that of an unrelated process here.

So a false alarm needs a collision of numbers, and "no foreign process" from inside a container with
a newer driver means none in this container. The length of the list is a hint only: if it changes
inside the measuring window, somebody came or went, whoever it was. It is a remark, not a reason to
void. An MPS server is foreign: it exists to let others in.
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

# Linux gives the first pid namespace of a machine this inode, always.
_FIRST_PID_NAMESPACE = "pid:[4026531836]"

# Deeper chains of parents are not met in practice; the bound ends a loop of a torn read.
_MAXIMUM_DEPTH = 64


class ProcessView(NamedTuple):
    """The verdict on one list of processes."""

    listed: int
    foreign: tuple[int, ...] | None
    """Process ids certainly not ours; ``None`` when there are only unidentified ones left."""
    unidentified: int


class _Status(NamedTuple):
    group: int
    parent: int
    chain: tuple[int, ...]
    """The process's number in each namespace, from that of the mounted ``/proc`` inwards."""


class ProcessBook:
    """Tells the processes on the GPU apart. ``root`` is where ``proc`` is found."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = str(root / "proc")
        self._namespace = self._namespace_of("self")
        me = self._read("self")
        # More than 1 where a container is given the host's /proc: its numbers are not ours then.
        self._depth = 1 if me is None else len(me.chain)

    @property
    def sees_every_process(self) -> bool | None:
        """Whether no process is hidden from us by a pid namespace; ``None`` without ``/proc``."""
        return None if self._namespace is None else self._namespace == _FIRST_PID_NAMESPACE

    def judge(self, listed: Collection[int], own: Iterable[int]) -> ProcessView:
        """Judge NVML's list against our own processes (their descendants are ours too)."""
        roots = frozenset(own)
        ours = 0
        others: list[int] = []
        unidentified = 0
        for number in set(listed):
            verdict = self._is_ours(number, roots)
            if verdict:
                ours += 1
            elif verdict is None:
                unidentified += 1
            else:
                others.append(number)
        if self._namespace != _FIRST_PID_NAMESPACE and not ours:
            unidentified += len(others)
            others = []
        foreign = None if unidentified and not others else tuple(sorted(others))
        return ProcessView(len(listed), foreign, unidentified)

    def _is_ours(self, number: int, roots: frozenset[int]) -> bool | None:
        current = number
        for step in range(_MAXIMUM_DEPTH):
            status = self._read(current)
            if status is None:
                # One of ours that has just ended may stay listed for a moment.
                return (number in roots or None) if step == 0 else False
            if self._names_one_of(current, status, roots):
                return True
            if status.parent <= 0 or status.parent == current:
                return False
            current = status.parent
        return False

    def _names_one_of(self, number: int, status: _Status, roots: frozenset[int]) -> bool:
        if self._depth == 1:
            return status.group in roots
        if len(status.chain) < self._depth or status.chain[self._depth - 1] not in roots:
            return False
        # Another container may use the same number at the same depth.
        return self._namespace is not None and self._namespace_of(number) == self._namespace

    def _namespace_of(self, name: int | str) -> str | None:
        try:
            return os.readlink(f"{self._proc}/{name}/ns/pid")
        except OSError:
            return None

    def _read(self, name: int | str) -> _Status | None:
        try:
            with open(f"{self._proc}/{name}/status", "rb", buffering=0) as file:
                content = file.read(4096)
        except OSError:
            return None
        return parse_status(content)


def parse_status(content: bytes) -> _Status | None:
    """The lines of ``/proc/<pid>/status`` that matter here; ``None`` when they are not there."""
    fields: dict[bytes, list[bytes]] = {}
    for line in content.splitlines():
        name, separator, value = line.partition(b":")
        if separator:
            fields[name] = value.split()
    try:
        group = int(fields[b"Tgid"][0])
        parent = int(fields[b"PPid"][0])
        # Kernels without pid namespaces have no NStgid line; then there is one numbering only.
        chain = tuple(int(number) for number in fields.get(b"NStgid", [])) or (group,)
    except (KeyError, IndexError, ValueError):
        return None
    return _Status(group, parent, chain)
