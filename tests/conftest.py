"""Which tests go to one worker of pytest-xdist, one after the other, and which begin.

A file whose tests share something costly names a group of its own with ``xdist_group``. Without
workers (no ``-n``) only the order comes of this.
"""

from __future__ import annotations

import pytest

# Each test of these uses a thing that is there only once, or the whole machine.
_CLUSTER = "cluster"
_MACHINE = "machine"
# Whole runs against the stand-in of Google, each file of which plays them once.
_GKE = "gke"
_GKE_TESTS = "tests/e2e/test_gke_"
_ENGINE_TESTS = "tests/core/image/test_real.py"
_E2E_TESTS = "tests/e2e/"


def _group(item: pytest.Item) -> str | None:
    """Return the group of a test.

    ``cluster`` is what needs the cluster, or an engine beside it; ``machine`` what starts the real
    benchmark, or the console on a real terminal, where times are taken; ``gke`` whole runs on a
    sped-up clock; and files name their own.
    """
    if item.get_closest_marker("cluster") or item.nodeid.startswith(_ENGINE_TESTS):
        return _CLUSTER
    if item.nodeid.startswith(_GKE_TESTS):
        return _GKE
    if item.get_closest_marker("real") or item.nodeid.startswith(_E2E_TESTS):
        return _MACHINE
    named = item.get_closest_marker("xdist_group")
    return str(named.args[0]) if named else None


def _begins(item: pytest.Item) -> tuple[bool, bool, bool, bool]:
    group = _group(item)
    return (
        # The longest first, so that at the end no worker waits for the other. Of the cluster's
        # those that measure: their load is over when the terminal's times are taken.
        not (group == _CLUSTER and item.nodeid.startswith(_E2E_TESTS)),
        group != _CLUSTER,
        group != _MACHINE,
        group is None,
    )


# Before xdist's own hook, which reads the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (group := _group(item)) in (_CLUSTER, _MACHINE, _GKE):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_begins)
