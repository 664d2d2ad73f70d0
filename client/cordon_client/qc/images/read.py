"""Read images one by one: PNG files, and NPZ arrays of uint8."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_MAX_PIXELS = 200_000_000
_LABEL_OF = "labels"


@dataclass(frozen=True)
class Picture:
    """One image: pixels [height, width] or [height, width, channels]; None = damaged.

    split: the part of the data set that it belongs to, if the file says so.
    """

    pixels: Pixels | None
    split: str = ""
    label: str | None = None


def is_images(path: Path) -> bool:
    """Whether a file is PNG, or an NPZ with an array of images."""
    name = path.name.lower()
    try:
        if name.endswith(".png"):
            with path.open("rb") as file:
                return file.read(8) == PNG_MAGIC
        return name.endswith(".npz") and bool(_image_arrays(path))
    except OSError:
        return False


def _image_arrays(path: Path) -> list[str]:
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            return [
                name
                for name in file.files
                if file[name].ndim in {3, 4}
                and file[name].dtype.kind == "u"
                and file[name].dtype.itemsize <= 2
            ]
    except (OSError, ValueError, zipfile.BadZipFile, KeyError):
        return []


def read_pictures(files: Sequence[Path]) -> Iterator[Picture]:
    """Yield the images of a folder's PNG files, or of one NPZ, in their order.

    A damaged PNG is a picture without pixels; its neighbours are read on.

    Raises:
        DataError: DA071 when an NPZ is damaged or holds no images.
    """
    for path in files:
        if path.name.lower().endswith(".npz"):
            yield from _npz(path)
        else:
            yield Picture(_png(path))


def _npz(path: Path) -> Iterator[Picture]:
    names = _image_arrays(path)
    if not names:
        raise DataError("DA071", why="the NPZ file is damaged or holds no images of whole numbers")
    with np.load(path) as file:
        for name in names:
            split = name.rpartition("_")[0]
            twin = f"{split}_{_LABEL_OF}" if split else _LABEL_OF
            labels = file[twin].ravel().tolist() if twin in file.files else None
            images = file[name]
            known = labels if labels is not None and len(labels) == len(images) else None
            for index, image in enumerate(images):
                yield Picture(image, split, None if known is None else str(known[index]))


def _png(path: Path) -> Pixels | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > _MAX_PIXELS:
                return None
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    kept: Pixels = (
        pixels.astype(np.uint16) if pixels.dtype.itemsize > 1 else pixels.astype(np.uint8)
    )
    return kept
