"""Judge a folder or file of images; one folder or NPZ is one sample of the cohort's report."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.images.read import is_images, read_pictures
from cordon_client.qc.modality import (
    CohortQc,
    Modality,
    Plot,
    SampleFiles,
    SampleQc,
    Series,
    StatColumn,
)
from cordon_common.errors import DataError
from cordon_common.qc.image_checks import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.images.read import Picture
    from cordon_client.qc.modality import Progress
    from cordon_common.qc.profile import Profile

COLUMNS = (
    StatColumn("images", "Images", "images", "images of the folder or file", 0),
    StatColumn("blank", "Blank", "%", "images of one colour", 2),
    StatColumn("copies", "Copies", "%", "images that occurred before", 2),
    StatColumn("odd", "Odd size", "%", "images of another size or mode than most", 2),
    StatColumn("brightness", "Brightness", "%", "mean pixel, of the scale"),
    StatColumn("labels", "Labels", "labels", "different labels", 0),
)
_BLANK_LEVELS = 1.0
_NEAR_LEVELS = 2.0
_HASH_SIDE = 8
_BARS = 32
_MIN_LABELLED = 20


@dataclass
class Seen:
    """What the first image of a look-alike group left behind: where it was, and a thumbnail."""

    splits: set[str]
    labels: set[str]
    thumbnail: npt.NDArray[np.float64]


@dataclass
class Tally:
    """Counts over images; brightness: mean pixel of the scale, one per image."""

    shapes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    brightness: list[float] = field(default_factory=list)
    groups: dict[bytes, list[Seen]] = field(default_factory=dict)
    damaged: int = 0
    blank: int = 0
    saturated: int = 0
    copies: int = 0
    across: int = 0
    conflicting: int = 0

    @property
    def read(self) -> int:
        """Images that could be read."""
        return sum(self.shapes.values())

    def add(self, picture: Picture) -> None:
        """Count one image."""
        if picture.pixels is None or picture.pixels.size == 0:
            self.damaged += 1
            return
        pixels = picture.pixels
        self.shapes[(*pixels.shape, pixels.dtype.itemsize)] += 1
        top = 255.0 if pixels.dtype == np.uint8 else 65535.0
        scaled = pixels.astype(np.float64) * (255.0 / top)
        self.brightness.append(float(scaled.mean()) / 255)
        if picture.label is not None:
            self.labels[picture.label] += 1
        if float(scaled.std()) < _BLANK_LEVELS:
            self.blank += 1
            return  # all blank images look alike: they are no copies of one patient's
        self.saturated += bool(((scaled == 0) | (scaled == 255)).mean() > 0.5)
        self._compare(picture, scaled)

    def _compare(self, picture: Picture, scaled: npt.NDArray[np.float64]) -> None:
        thumbnail = shrink(scaled)
        key = look(thumbnail, scaled.shape)
        for other in self.groups.setdefault(key, []):
            if float(np.abs(other.thumbnail - thumbnail).max()) < _NEAR_LEVELS:
                self.copies += 1
                self.across += bool(picture.split and other.splits - {picture.split})
                self.conflicting += bool(picture.label and other.labels - {picture.label})
                other.splits.add(picture.split)
                other.labels.update({picture.label} if picture.label else ())
                return
        labels = {picture.label} if picture.label else set()
        self.groups[key].append(Seen({picture.split}, labels, thumbnail))


def shrink(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Average an image into 8 × 9 cells of grey; float64 [8, 9], in grey levels."""
    grey = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    rows = np.linspace(0, grey.shape[0], _HASH_SIDE + 1).astype(int)
    columns = np.linspace(0, grey.shape[1], _HASH_SIDE + 2).astype(int)
    sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=0), columns[:-1], axis=1)
    areas = np.outer(np.maximum(np.diff(rows), 1), np.maximum(np.diff(columns), 1))
    return np.asarray(sums / areas, dtype=np.float64)


def look(thumbnail: npt.NDArray[np.float64], shape: tuple[int, ...]) -> bytes:
    """Return the difference hash: which cells are over a grey level brighter than their left one.

    The level keeps equal neighbours from flickering. Images of other shapes never share a hash.
    """
    brighter = np.diff(thumbnail, axis=1) > 1.0
    return hashlib.blake2b(
        repr(shape).encode() + np.packbits(brighter).tobytes(), digest_size=16
    ).digest()


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Check the images of a folder or NPZ, one at a time.

    Raises:
        DataError: DA071 when there is no image to read.
    """
    sizes = [path.stat().st_size for path in sample.files]
    tally, total, done = Tally(), sum(sizes), 0
    for index, picture in enumerate(read_pictures(sample.files)):
        tally.add(picture)
        if len(sizes) > 1:
            done += sizes[min(index, len(sizes) - 1)]
        if index % 200 == 0:
            progress(min(done, total), total)
    if not tally.read:
        raise DataError("DA071", why="none of them could be decoded")
    progress(total, total)
    return SampleQc(
        sample=sample.sample,
        stats=_stats(tally),
        results=tuple(result_of(finding, profile) for finding in _findings(tally)),
        plots=tuple(_plots(tally)),
    )


def _odd(tally: Tally) -> int:
    return tally.read - tally.shapes.most_common(1)[0][1]


def _stats(tally: Tally) -> dict[str, float | int | None]:
    n = tally.read
    return {
        "images": n + tally.damaged,
        "blank": 100 * tally.blank / n,
        "copies": 100 * tally.copies / n,
        "odd": 100 * _odd(tally) / n,
        "brightness": 100 * float(np.mean(tally.brightness)),
        "labels": len(tally.labels) or None,
    }


def _findings(tally: Tally) -> Iterator[Finding]:
    n = tally.read
    every = n + tally.damaged
    counts = (
        ("image.readable", tally.damaged, every),
        ("image.blank", tally.blank, n),
        ("image.saturated", tally.saturated, n),
        ("image.duplicates", tally.copies, n),
        ("image.size", _odd(tally), n),
    )
    for check, found, of in counts:
        yield Finding(check, found / of, found, f"{found} of {of} images.")
    splits = {split for group in tally.groups.values() for seen in group for split in seen.splits}
    several = len(splits) > 1
    yield Finding(
        "image.across-splits", tally.across if several else None, tally.across,
        f"{tally.across} images.",
    )  # fmt: skip
    labelled = sum(tally.labels.values())
    yield Finding(
        "image.conflicting-labels", tally.conflicting if labelled else None, tally.conflicting,
        f"{tally.conflicting} images.",
    )  # fmt: skip
    share = tally.labels.most_common(1)[0][1] / labelled if labelled >= _MIN_LABELLED else None
    yield Finding("image.balance", share)


def _plots(tally: Tally) -> Iterator[Plot]:
    counts, edges = np.histogram(tally.brightness, _BARS, range=(0, 1))
    middle = (edges[:-1] + edges[1:]) / 2
    yield Plot(
        id="image-brightness",
        title="Brightness of the images",
        kind="histogram",
        x_label="mean pixel, % of the scale",
        y_label="images",
        sentence="Two humps are two scanners or two export settings; a bar at 0 or 100 % is blank "
        "images.",
        series=(Series("images", tuple((100 * middle).tolist()), tuple(counts.tolist())),),
    )


def check_cohort(
    _samples: Sequence[SampleFiles], _checked: Sequence[SampleQc], _profile: Profile
) -> CohortQc:
    """Nothing is asked of several folders of images together."""
    return CohortQc()


def group(files: Sequence[Path]) -> tuple[SampleFiles, ...]:
    """Make one sample of each folder's PNG files, and one of each NPZ."""
    folders: dict[Path, list[Path]] = {}
    made = []
    for path in files:
        if path.name.lower().endswith(".npz"):
            made.append(SampleFiles(path.name, (path,)))
        else:
            folders.setdefault(path.parent, []).append(path)
    return (*made, *(SampleFiles(home.name, tuple(inside)) for home, inside in folders.items()))


MODALITY = Modality(
    name=IMAGES,
    title="Images",
    columns=COLUMNS,
    recognises=is_images,
    check_sample=check_sample,
    check_cohort=check_cohort,
    group=group,
)
