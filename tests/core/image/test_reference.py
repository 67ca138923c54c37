"""Names of images."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.image.errors import ImageNameError
from core.image.reference import ImageReference, is_loopback, parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("host.example/a/b", ImageReference("host.example", "a/b")),
        ("127.0.0.1:5000/a:1", ImageReference("127.0.0.1:5000", "a", "1")),
        ("[::1]:5000/a", ImageReference("[::1]:5000", "a")),
        ("localhost/a", ImageReference("localhost", "a")),
        (f"host:5000/a@{DIGEST}", ImageReference("host:5000", "a", None, DIGEST)),
        (f"gcr.io/p/a:v1@{DIGEST}", ImageReference("gcr.io", "p/a", "v1", DIGEST)),
        ("ubuntu:24.04", ImageReference("docker.io", "library/ubuntu", "24.04")),
        ("nvidia/cuda", ImageReference("docker.io", "nvidia/cuda")),
        ("index.docker.io/nvidia/cuda", ImageReference("docker.io", "nvidia/cuda")),
        ("docker.io/ubuntu", ImageReference("docker.io", "library/ubuntu")),
        ("a.b/c__d/e--f", ImageReference("a.b", "c__d/e--f")),
    ],
)
def test_a_name_is_read_as_docker_reads_it(text: str, reference: ImageReference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "host.example/", "/a", "host.example//a", "host.example/A", "a b", "a:"),
        *("a@sha256:12", f"a@{DIGEST[:-1]}g", "https://host/a", "host.example/a/", "a:-x"),
        *("host.example:port/a", "host.example/a..b", "host.example/a\n", "ho_st.example/a"),
        f"host.example/{'a' * 255}",
    ],
)
def test_what_is_no_name_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ImageNameError) as caught:
        parse_reference(text)
    assert "REGISTRY/REPOSITORY" in caught.value.remedy
    assert caught.value.exit_code == 2


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    said = ""
    try:
        reference = parse_reference(text)
    except ImageNameError as problem:
        said = str(problem)
    else:
        assert parse_reference(str(reference)) == reference
    assert not said or said.isprintable()


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        *((name, True) for name in ("127.0.0.1", "127.0.0.1:5000", "localhost:1", "[::1]:5000")),
        *((name, True) for name in ("127.9.9.9", "[::1]", "localhost")),
        *((name, False) for name in ("10.0.0.1:5000", "127.0.0.1.example", "localhost.example")),
        *((name, False) for name in ("gcr.io", "[fe80::1]:5000")),
    ],
)
def test_only_this_machine_is_loopback(domain: str, expected: bool) -> None:
    assert is_loopback(domain) is expected
