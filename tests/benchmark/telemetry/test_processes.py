from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.telemetry.processes import ProcessBook, ProcessView, parse_status
from tests.benchmark.telemetry.machines import (
    CAPTURES,
    CONTAINER,
    FIRST_NAMESPACE,
    place,
    process,
)

ORCHESTRATOR, CHILD, STRANGER = 500, 510, 700


@pytest.fixture
def host(tmp_path: Path) -> Path:
    process(tmp_path, 1)
    process(tmp_path, ORCHESTRATOR, parent=1)
    process(tmp_path, CHILD, parent=ORCHESTRATOR)
    process(tmp_path, STRANGER, parent=1)
    return place(tmp_path, FIRST_NAMESPACE)


@pytest.fixture
def container(tmp_path: Path) -> Path:
    process(tmp_path, 1)
    process(tmp_path, ORCHESTRATOR, parent=1)
    process(tmp_path, CHILD, parent=ORCHESTRATOR)
    process(tmp_path, STRANGER, parent=1)
    return place(tmp_path, CONTAINER)


def test_nobody_on_the_gpu_is_nobody_foreign(host: Path) -> None:
    assert ProcessBook(host).judge([], [ORCHESTRATOR]) == ProcessView(0, (), 0)


def test_descendants_are_ours(host: Path) -> None:
    assert ProcessBook(host).judge([CHILD], [ORCHESTRATOR]) == ProcessView(1, (), 0)


def test_a_thread_is_its_process(host: Path) -> None:
    process(host, 511, group=CHILD, parent=ORCHESTRATOR)
    assert ProcessBook(host).judge([511], [ORCHESTRATOR]) == ProcessView(1, (), 0)


def test_another_process_is_foreign_on_the_machine_itself(host: Path) -> None:
    assert ProcessBook(host).judge([STRANGER], [ORCHESTRATOR]).foreign == (STRANGER,)
    assert ProcessBook(host).judge([CHILD, STRANGER], [CHILD]).foreign == (STRANGER,)


def test_our_parent_is_foreign(host: Path) -> None:
    assert ProcessBook(host).judge([1], [ORCHESTRATOR]).foreign == (1,)


def test_a_number_that_proc_does_not_know_is_unidentified(host: Path) -> None:
    assert ProcessBook(host).judge([99_999], [ORCHESTRATOR]) == ProcessView(1, None, 1)


def test_what_is_certain_is_said_beside_what_is_not(host: Path) -> None:
    view = ProcessBook(host).judge([99_999, STRANGER], [ORCHESTRATOR])
    assert view == ProcessView(2, (STRANGER,), 1)


def test_one_of_ours_that_has_just_ended_is_ours(host: Path) -> None:
    assert ProcessBook(host).judge([520], [ORCHESTRATOR, 520]) == ProcessView(1, (), 0)


def test_a_host_number_that_equals_a_local_one_is_not_foreign_in_a_container(
    container: Path,
) -> None:
    view = ProcessBook(container).judge([STRANGER], [ORCHESTRATOR])
    assert view == ProcessView(1, None, 1)


def test_in_a_container_numbers_are_trusted_once_ours_is_among_them(container: Path) -> None:
    view = ProcessBook(container).judge([CHILD, STRANGER], [ORCHESTRATOR])
    assert view == ProcessView(2, (STRANGER,), 0)


def test_the_hosts_proc_in_a_container_translates_the_hosts_numbers(tmp_path: Path) -> None:
    place(tmp_path, CONTAINER, inside=(7,))
    process(tmp_path, 645_400, inside=(7,), namespace=CONTAINER)
    process(tmp_path, 645_500, parent=645_400, inside=(9,), namespace=CONTAINER)
    process(tmp_path, 800_000, inside=(7,), namespace="pid:[4026539999]")
    process(tmp_path, 7)
    book = ProcessBook(tmp_path)
    assert book.judge([645_400, 645_500], [7]) == ProcessView(2, (), 0)
    # The same number in another container is not ours.
    assert book.judge([645_500, 800_000], [7]) == ProcessView(2, (800_000,), 0)


def test_without_proc_nothing_is_said(tmp_path: Path) -> None:
    assert ProcessBook(tmp_path).judge([4, 5], [6]) == ProcessView(2, None, 2)


def test_a_loop_of_parents_ends(host: Path) -> None:
    process(host, 800, parent=801)
    process(host, 801, parent=800)
    assert ProcessBook(host).judge([800], [ORCHESTRATOR]).foreign == (800,)


@settings(deadline=None)
@given(st.binary())
def test_any_status_file_is_read_or_passed_over(content: bytes) -> None:
    status = parse_status(content)
    assert status is None or status.chain


def test_a_captured_status_file_is_read() -> None:
    status = parse_status((CAPTURES / "status").read_bytes())
    assert status is not None
    assert (status.group, status.parent, status.chain) == (4155, 4065, (4155,))
