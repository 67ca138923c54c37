"""A file is whole, old or new, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import DiskFullError, OutputError, writing
from benchmark.files import file_sha256, write_atomically
from tests.benchmark.loadgen_client import REPOSITORY


@given(st.binary() | st.text(st.characters(codec="utf-8")))
def test_what_is_written_is_what_stands_there(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.getbasetemp() / "file"
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [entry.name for entry in path.parent.glob(".file*")] == []


def test_a_full_disk_is_said_and_the_old_file_stays(small_disk: Path) -> None:
    path = small_disk / "result.json"
    write_atomically(path, "the old content")
    with pytest.raises(DiskFullError) as caught:
        write_atomically(path, b"x" * 100_000)
    assert str(path) in caught.value.sentence
    assert caught.value.exit_code == 1
    assert path.read_text() == "the old content"
    assert os.listdir(small_disk) == ["result.json"]


def test_a_file_size_limit_is_said_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("the old content")
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from benchmark.errors import DiskFullError\n"
        "from benchmark.files import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_atomically(Path(sys.argv[1]), b'x' * 2000)\n"
        "except DiskFullError as error:\n"
        "    print(error.sentence)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == f"The disk is full: {path} could not be written.\n"
    assert path.read_text() == "the old content"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_device_without_space_is_a_full_disk() -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(DiskFullError), writing(full), full.open("wb", buffering=0) as stream:
        stream.write(b"x")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EFBIG, DiskFullError),
        (errno.EACCES, OutputError),
        (errno.EROFS, OutputError),
        (errno.EIO, OutputError),
    ],
)
def test_only_a_lack_of_space_is_a_full_disk(number: int, kind: type[Exception]) -> None:
    with pytest.raises(kind), writing(Path("somewhere")):
        raise OSError(number, os.strerror(number))


def test_an_error_that_is_not_the_systems_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), writing(Path("somewhere")):
        raise ZeroDivisionError


def test_a_place_that_cannot_be_written_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "x", tmp_path / "absent" / "x", tmp_path / "folder"):
        with pytest.raises(OutputError) as caught:
            write_atomically(path, "content")
        assert str(path) in caught.value.sentence
        assert caught.value.exit_code == 2
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_wrong_input(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            write_atomically(tmp_path / "x", "content")
    finally:
        tmp_path.chmod(0o700)


def test_a_kill_while_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    script = (
        "import itertools, sys\n"
        "from pathlib import Path\n"
        "from benchmark.files import write_atomically\n"
        "for number in itertools.count():\n"
        "    write_atomically(Path(sys.argv[1]), bytes([number % 256]) * 500_000)\n"
        "    print(number, flush=True)\n"
    )
    for rounds in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        for _ in range(rounds + 1):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        content = path.read_bytes()
        assert len(content) == 500_000
        assert len(set(content)) == 1


def test_a_files_hash_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
