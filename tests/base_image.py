"""A base image for tests that needs no image registry: Debian by debootstrap, and the packages of
this very environment that the benchmark needs.

Made once and kept: Debian's part as a file in the cache, the whole as an image of the engine. By
hand: ``python -m tests.base_image`` prints the image's name.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

REPOSITORY = "gpubench-test-base"
GPU_NAME = "STAND-IN GPU (test)"
_ROOTS = ("torch", "torchvision", "numpy", "pydantic", "mlcommons-loadgen", "nvidia-ml-py")
_DEBIAN = "bookworm"
# Debian's python3 is this one, and compiled packages fit no other.
_PYTHON = (3, 11)
_DEBIAN_PACKAGES = ("python3", "tini", "ca-certificates", "libgomp1")
_SITE = "usr/local/lib/python3.11/dist-packages"
# Nothing imports these: headers for compiling against torch, programs, and the packages' own tests.
_LEFT_OUT = re.compile(
    r"^torch/(test|include|share)/|^torch/bin/(?!torch_shm_manager)|^torch/lib/.*_test\.so$"
    r"|^(numpy|sympy|mpmath|networkx|functorch)/(.*/)?tests/|^setuptools/tests/"
)
_DEBIAN_LEFT_OUT = re.compile(
    r"^\./(usr/share/(doc|man|info|locale)/.|var/cache/apt/.|var/lib/apt/lists/.|dev/.)"
)
_NVIDIA_SMI = rf"""#!/bin/sh
# A stand-in for tests: there is no GPU here.
case " $* " in
*" --query-gpu=name,driver_version "*) echo "{GPU_NAME}, 570.00.01"; exit 0 ;;
*" --query-gpu=name "*) echo "{GPU_NAME}"; exit 0 ;;
esac
cat <<'END'
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.00.01              Driver Version: 570.00.01      CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|=========================================+========================+======================|
|   0  {GPU_NAME:<26} Off |   00000000:00:00.0 Off |                    0 |
| N/A   30C    P8              9W /   70W |       0MiB /  15360MiB |      0%      Default |
+-----------------------------------------+------------------------+----------------------+
END
"""


def why_not() -> str:
    """Return why no base image can be made here, or nothing."""
    if sys.version_info[:2] != _PYTHON or platform.machine() != "x86_64":
        return (
            f"the test base is Debian {_DEBIAN} for x86_64 with Python 3.11, and this is Python "
            f"{platform.python_version()} on {platform.machine()}"
        )
    missing = [name for name in _ROOTS if not _is_installed(name)]
    if missing:
        return f"not installed here: {', '.join(missing)}"
    try:
        with _engine() as engine:
            if _has(engine, _tag()):
                return ""
    except Exception as error:
        return f"no container engine answers: {type(error).__name__}"
    if _debian_file().exists():
        return ""
    if os.geteuid() != 0:
        return "debootstrap needs root"
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed (apt-get install debootstrap)"
    return ""


def ensure_base_image() -> str:
    """Return the name of the base image in the engine; make it where it is not there.

    Raises RuntimeError with the reason where it cannot be made.
    """
    if reason := why_not():
        raise RuntimeError(reason)
    tag = _tag()
    with _engine() as engine, _alone():
        if not _has(engine, tag):
            debian = _debian_file()
            if not debian.exists():
                _bootstrap(debian)
            _import(engine, debian, tag)
    return tag


def _tag() -> str:
    return f"{REPOSITORY}:{_fingerprint(*sorted(_distributions().items()))}"


def _fingerprint(*parts: object) -> str:
    """Return a name for what these parts make, with this file's own recipe."""
    recipe = Path(__file__).read_bytes()
    return hashlib.sha256(recipe + repr(parts).encode()).hexdigest()[:12]


def _cache() -> Path:
    place = Path(os.environ.get("GPUBENCH_TEST_CACHE") or "/var/cache/gpubench-test-base")
    place.mkdir(parents=True, exist_ok=True)
    return place


def _debian_file() -> Path:
    parts = repr((_DEBIAN, _DEBIAN_PACKAGES, _DEBIAN_LEFT_OUT.pattern))
    return _cache() / f"{_DEBIAN}-{hashlib.sha256(parts.encode()).hexdigest()[:12]}.tar"


@contextmanager
def _alone() -> Iterator[None]:
    """Two test processes make one image, not two."""
    with (_cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _engine() -> Iterator[object]:
    import docker
    from docker.utils import kwargs_from_env

    engine = docker.APIClient(version="auto", timeout=600, **kwargs_from_env())
    try:
        yield engine
    finally:
        engine.close()


def _has(engine: object, tag: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        engine.inspect_image(tag)  # type: ignore[attr-defined]
    except ImageNotFound:
        return False
    return True


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _distributions() -> dict[str, str]:
    """Return name and version of everything that the benchmark's packages need."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    waiting = list(_ROOTS)
    while waiting:
        distribution = metadata.distribution(waiting.pop())
        name = distribution.metadata["Name"]
        if name in found:
            continue
        found[name] = distribution.version
        for line in distribution.requires or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                waiting.append(needed.name)
    return found


def _bootstrap(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=_cache()) as folder:
        root = Path(folder, "root")
        subprocess.run(
            [
                *("debootstrap", "--variant=minbase", f"--include={','.join(_DEBIAN_PACKAGES)}"),
                *(_DEBIAN, str(root)),
            ],
            check=True,
            stdout=sys.stderr,
        )
        part = Path(folder, "debian.tar")
        with tarfile.open(part, "w") as tar:
            tar.add(
                root,
                arcname=".",
                filter=lambda member: None if _DEBIAN_LEFT_OUT.match(member.name) else member,
            )
        part.rename(target)


def _import(engine: object, debian: Path, tag: str) -> None:
    """Stream Debian and the packages to the engine as one layer."""
    reading, writing = os.pipe()
    failures: list[BaseException] = []

    def feed() -> None:
        try:
            with (
                os.fdopen(writing, "wb") as stream,
                tarfile.open(fileobj=stream, mode="w|", bufsize=2**20) as tar,
            ):
                with tarfile.open(debian) as source:
                    for member in source:
                        content = source.extractfile(member) if member.isreg() else None
                        tar.addfile(member, content)
                _add_packages(tar)
                _add_script(tar, "usr/local/bin/nvidia-smi", _NVIDIA_SMI)
        except BaseException as error:
            failures.append(error)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    with os.fdopen(reading, "rb") as stream:
        answer = engine.import_image_from_data(  # type: ignore[attr-defined]
            iter(lambda: stream.read(2**20), b""),
            repository=tag.partition(":")[0],
            tag=tag.partition(":")[2],
            changes=['CMD ["python3"]'],
        )
    feeder.join()
    if failures:
        raise failures[0]
    if not _has(engine, tag):
        raise RuntimeError(f"the engine did not take the base image: {answer[-500:]}")


def _add_packages(tar: tarfile.TarFile) -> None:
    for name in _distributions():
        for file in metadata.distribution(name).files or []:
            if file.parts[0] == ".." or _LEFT_OUT.match(file.as_posix()):
                continue
            source = Path(str(file.locate()))
            if source.is_file():
                # Its own time: the compiled files beside it hold the time of their source.
                member = tar.gettarinfo(source, f"{_SITE}/{file.as_posix()}")
                member.uid = member.gid = 0
                member.uname = member.gname = "root"
                member.mode |= 0o444
                with source.open("rb") as content:
                    tar.addfile(member, content)


def _add_script(tar: tarfile.TarFile, path: str, text: str) -> None:
    content = text.encode()
    member = tarfile.TarInfo(path)
    member.size, member.mode = len(content), 0o755
    tar.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    print(ensure_base_image())
