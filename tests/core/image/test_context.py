"""What goes into the image, and the hash that names it."""

from __future__ import annotations

import io
import shutil
import tarfile
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from core.image.context import BuildContext, ContextFile, load_context
from core.image.errors import SourceError
from tests.core.runs import ROOT

names = st.text("abc/.", min_size=1, max_size=6)
files = st.builds(ContextFile, names, st.binary(max_size=8), st.booleans())
contexts = st.builds(
    BuildContext,
    st.lists(files, max_size=4, unique_by=lambda file: file.path),
    st.dictionaries(st.text("AB", max_size=2), st.text("ab=", max_size=3), max_size=2),
)
bases = st.sampled_from([None, "a:1", "b:1"])


def copy_of_the_source(place: Path) -> Path:
    """The files of a checkout that the image is made from."""
    shutil.copytree(ROOT / "benchmark", place / "benchmark")
    (place / "core/image").mkdir(parents=True)
    shutil.copy(ROOT / "core/image/unmet.py", place / "core/image")
    shutil.copy(ROOT / "Dockerfile", place)
    return place


def packed(context: BuildContext) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(context.archive())) as tar:
        return {member.name: member for member in tar}


@given(contexts, bases, contexts, bases)
def test_two_contents_share_a_tag_only_when_they_are_the_same(
    one: BuildContext, one_base: str | None, other: BuildContext, other_base: str | None
) -> None:
    def content(context: BuildContext, base: str | None) -> object:
        return (
            sorted((file.path, file.content, file.executable) for file in context.files),
            context.build_arguments(base),
        )

    same = content(one, one_base) == content(other, other_base)
    assert (one.tag(one_base) == other.tag(other_base)) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BuildContext([ContextFile("a", b"-")]), BuildContext([ContextFile("a-", b"")])),
        (
            BuildContext([ContextFile("a", b""), ContextFile("b", b"")]),
            BuildContext([ContextFile("a", b"fileb-")]),
        ),
        (BuildContext([], {"A": "BC"}), BuildContext([], {"AB": "C"})),
    ],
)
def test_contents_that_run_together_have_tags_of_their_own(
    one: BuildContext, other: BuildContext
) -> None:
    assert one.tag(None) != other.tag(None)


@given(contexts, bases, st.randoms())
def test_the_order_of_the_files_is_no_content(
    context: BuildContext, base: str | None, random: st.DataObject
) -> None:
    shuffled = list(context.files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = replace(context, files=shuffled)
    assert again.tag(base) == context.tag(base)
    assert again.archive() == context.archive()


@given(contexts, bases)
def test_a_tag_is_one_that_registries_take(context: BuildContext, base: str | None) -> None:
    tag = context.tag(base)
    assert len(tag) == 16
    assert set(tag) <= set("0123456789abcdef")


def test_the_default_base_given_by_name_is_the_same_image() -> None:
    context = load_context()
    assert context.default_base is not None
    assert context.tag(None) == context.tag(context.default_base)
    assert context.tag("debian:12") != context.tag(None)


def test_the_archive_holds_times_and_owners_of_nobody() -> None:
    for member in packed(load_context()).values():
        assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
        assert member.mode in (0o644, 0o755)


def test_the_archive_holds_the_benchmark_and_nothing_else() -> None:
    paths = set(packed(load_context()))
    assert {"Dockerfile", "core/image/unmet.py", "benchmark/requirements.txt"} <= paths
    assert {"benchmark/__main__.py", "benchmark/profiles/quick.toml"} <= paths
    assert "benchmark/benchmark_results.schema.json" in paths
    assert not [path for path in paths if "__pycache__" in path or path.endswith(".pyc")]
    others = {path for path in paths if not path.startswith("benchmark/")}
    assert others == {"Dockerfile", "core/image/unmet.py"}


def test_what_is_no_content_changes_no_tag(tmp_path: Path) -> None:
    place = copy_of_the_source(tmp_path)
    before = load_context(place).tag(None)
    (place / "benchmark/__pycache__").mkdir(exist_ok=True)
    (place / "benchmark/__pycache__/late.py").write_text("")
    (place / "benchmark/notes.txt").write_text("mine")
    (place / "README.md").write_text("mine")
    (place / "benchmark/plan.py").touch()
    assert load_context(place).tag(None) == before


@pytest.mark.parametrize(
    "path", ["Dockerfile", "benchmark/plan.py", "core/image/unmet.py", "benchmark/requirements.txt"]
)
def test_what_is_content_changes_the_tag(tmp_path: Path, path: str) -> None:
    place = copy_of_the_source(tmp_path)
    before = load_context(place).tag(None)
    with (place / path).open("a") as file:
        file.write("# one more line\n")
    after = load_context(place).tag(None)
    assert after != before
    (place / path).chmod(0o755)
    assert load_context(place).tag(None) != after


def test_an_installation_has_its_dockerfile_under_the_prefix(tmp_path: Path) -> None:
    place = copy_of_the_source(tmp_path / "site-packages")
    prefix = tmp_path / "prefix"
    (prefix / "share/gpubench-tui").mkdir(parents=True)
    before = load_context(place).tag(None)
    (place / "Dockerfile").rename(prefix / "share/gpubench-tui/Dockerfile")
    assert load_context(place, prefix).tag(None) == before


def test_without_a_dockerfile_one_sentence_says_so(tmp_path: Path) -> None:
    place = copy_of_the_source(tmp_path)
    (place / "Dockerfile").unlink()
    with pytest.raises(
        SourceError, match=r"share/gpubench-tui/Dockerfile cannot be read"
    ) as caught:
        load_context(place, tmp_path / "prefix")
    assert "clone" in caught.value.remedy


def test_the_image_needs_what_running_here_needs() -> None:
    """The image pins more tightly than the extra `local`, and never outside of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    everything = [*project["dependencies"], *project["optional-dependencies"]["local"]]
    allowed = {canonicalize_name(Requirement(line).name): Requirement(line) for line in everything}
    lines = (ROOT / "benchmark/requirements.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    local = [Requirement(line).name for line in project["optional-dependencies"]["local"]]
    assert {canonicalize_name(each.name) for each in pinned} == {
        *map(canonicalize_name, local),
        *("numpy", "pydantic"),
    }
    for each in pinned:
        outer = allowed[canonicalize_name(each.name)].specifier
        (first, *_) = each.specifier
        if first.operator == "==":
            assert first.version in outer
        else:
            assert str(each.specifier) == str(outer), each.name
