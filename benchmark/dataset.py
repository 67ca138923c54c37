"""The QSL's samples: ImageNet-shaped, preprocessed, in host memory before anything is timed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import DatasetError

if TYPE_CHECKING:
    import torch

IMAGE_SIZE = 224
_RESIZED = 256
# ImageNet's channel statistics, as in torchvision's reference preprocessing.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"})


def check_dataset(dataset: str, sample_count: int) -> None:
    """Raise DatasetError when ``dataset`` cannot give ``sample_count`` samples."""
    if dataset != "synthetic":
        _image_files(dataset, sample_count)


def load_samples(dataset: str, sample_count: int, seed: int) -> torch.Tensor:
    """Return fp32 samples of shape [sample_count, 224, 224, 3] (NHWC), normalised.

    Raises:
        DatasetError: the folder is missing, too small or holds a file that is no image.
    """
    import torch

    if dataset == "synthetic":
        generator = torch.Generator().manual_seed(seed)
        return torch.randn((sample_count, IMAGE_SIZE, IMAGE_SIZE, 3), generator=generator)
    files = _image_files(dataset, sample_count)
    samples = torch.empty((sample_count, IMAGE_SIZE, IMAGE_SIZE, 3))
    for index, path in enumerate(files):
        samples[index] = _load_image(path)
    return samples


def _image_files(dataset: str, sample_count: int) -> list[Path]:
    try:
        folder = Path(dataset).expanduser()
    except RuntimeError as error:
        raise DatasetError(f"Image folder {dataset} names an unknown user's home.") from error
    try:
        files = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in _SUFFIXES and path.is_file()
        )
    except OSError as error:
        raise DatasetError(f"Image folder {folder} cannot be read: {error.strerror}.") from error
    if not folder.is_dir():
        raise DatasetError(
            f"Image folder {folder} is not there.", "Name a folder of images or 'synthetic'."
        )
    if len(files) < sample_count:
        raise DatasetError(
            f"Image folder {folder} holds {len(files)} images and the plan wants {sample_count}.",
            "Add images or lower sample_count in the profile.",
        )
    return files[:sample_count]


def _load_image(path: Path) -> torch.Tensor:
    import numpy
    import torch
    from PIL import Image

    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} is not an image that can be read.") from error
    # The middle of the image first: resized whole, a picture of one by a million pixels would
    # take gigabytes.
    side = min(image.size) * IMAGE_SIZE / _RESIZED
    left, top = (image.width - side) / 2, (image.height - side) / 2
    image = image.resize(
        (IMAGE_SIZE, IMAGE_SIZE),
        Image.Resampling.BILINEAR,
        box=(left, top, left + side, top + side),
    )
    pixels = torch.from_numpy(numpy.asarray(image, dtype=numpy.float32) / 255.0)
    return (pixels - torch.tensor(_MEAN)) / torch.tensor(_DEVIATION)
