"""Samples are ImageNet-shaped, in a known order, and a folder that cannot give them says why."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmark.dataset import IMAGE_SIZE, check_dataset, load_samples
from benchmark.errors import DatasetError

WHITE = (1 - torch.tensor((0.485, 0.456, 0.406))) / torch.tensor((0.229, 0.224, 0.225))


def picture(width: int, height: int, colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def bytes_of(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, red, green and blue by name, of other sizes and formats, and a text."""
    picture(300, 200, (255, 0, 0)).save(tmp_path / "a.png")
    (tmp_path / "b").mkdir()
    picture(100, 400, (0, 255, 0)).save(tmp_path / "b" / "green.BMP")
    picture(224, 224, (0, 0, 255)).save(tmp_path / "c.ppm")
    (tmp_path / "README.txt").write_text("not a picture")
    return tmp_path


def test_synthetic_samples_are_the_same_for_the_same_seed_and_only_then() -> None:
    first = load_samples("synthetic", 2, seed=4)
    assert first.shape == (2, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert torch.equal(first, load_samples("synthetic", 2, seed=4))
    assert not torch.equal(first, load_samples("synthetic", 2, seed=5))
    assert not torch.equal(first[0], first[1])


def test_synthetic_samples_leave_torchs_own_random_numbers_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_samples("synthetic", 1, seed=4)
    assert torch.equal(torch.rand(3), expected)


def test_a_folder_of_images_is_read_in_the_order_of_its_paths(folder: Path) -> None:
    check_dataset(str(folder), 3)
    samples = load_samples(str(folder), 3, seed=4)
    assert samples.shape == (3, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert samples.mean(dim=(1, 2)).argmax(dim=1).tolist() == [0, 1, 2]


def test_only_as_many_images_as_the_plan_wants_are_read(folder: Path) -> None:
    (folder / "z.png").write_bytes(b"broken, and not needed")
    assert len(load_samples(str(folder), 2, seed=4)) == 2


@pytest.mark.parametrize("size", [(1, 1), (224, 224), (1000, 30), (31, 500)])
def test_every_size_of_image_is_resized_cropped_and_normalised(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    picture(*size, (255, 255, 255)).save(tmp_path / "white.png")
    sample = load_samples(str(tmp_path), 1, seed=4)[0]
    assert torch.allclose(sample, WHITE.expand(IMAGE_SIZE, IMAGE_SIZE, 3), atol=1e-5)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_every_mode_of_image_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    picture(50, 50, (255, 255, 255)).convert(mode).save(tmp_path / "white.png")
    assert torch.allclose(load_samples(str(tmp_path), 1, seed=4)[0, 0, 0], WHITE, atol=1e-5)


def test_a_crop_takes_the_middle(tmp_path: Path) -> None:
    image = picture(768, 256, (0, 0, 0))
    image.paste((255, 255, 255), (256, 0, 512, 256))
    image.save(tmp_path / "striped.png")
    sample = load_samples(str(tmp_path), 1, seed=4)[0]
    assert torch.allclose(sample, WHITE.expand(IMAGE_SIZE, IMAGE_SIZE, 3), atol=1e-5)


def test_too_few_images_are_refused_with_both_numbers(folder: Path) -> None:
    for attempt in (check_dataset, lambda name, count: load_samples(name, count, 4)):
        with pytest.raises(DatasetError) as caught:
            attempt(str(folder), 4)
        assert "holds 3 images and the plan wants 4" in caught.value.sentence
        assert caught.value.remedy


@pytest.mark.parametrize("name", ["absent", "a.png", "~nobody-has-this-name/images"])
def test_a_folder_that_is_not_there_is_refused_by_name(folder: Path, name: str) -> None:
    dataset = name if name.startswith("~") else str(folder / name)
    with pytest.raises(DatasetError) as caught:
        check_dataset(dataset, 1)
    assert dataset in caught.value.sentence


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"P6\n9 x"])
def test_a_file_that_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    for suffix in (".png", ".ppm", ".jpg"):
        path = tmp_path / f"broken{suffix}"
        path.write_bytes(content)
        with pytest.raises(DatasetError) as caught:
            load_samples(str(tmp_path), 1, seed=4)
        assert caught.value.sentence == f"{path} is not an image that can be read."
        path.unlink()


NOISE = Image.frombytes("RGB", (20, 20), random.Random(4).randbytes(1200))
IMAGES = {kind: bytes_of(NOISE, kind) for kind in ("png", "jpeg", "bmp", "ppm", "webp")}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@given(
    kind=st.sampled_from(sorted(IMAGES)),
    length=st.integers(1, 1000),
    changes=st.dictionaries(st.integers(0, 60), st.integers(0, 255), max_size=2),
)
def test_a_damaged_image_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, length: int, changes: dict[int, int]
) -> None:
    content = bytearray(IMAGES[kind][:length])
    for place, value in changes.items():
        if place < len(content):
            content[place] = value
    folder = tmp_path_factory.mktemp("damaged")
    (folder / f"image.{kind}").write_bytes(content)
    try:
        sample = load_samples(str(folder), 1, seed=4)
    except DatasetError:
        return
    assert torch.isfinite(sample).all()
