"""Gaussian noise from a cryptographic generator, rounded into the integer grid of a release.

No seed is stored, logged or returned; nothing that stays in memory can reproduce a draw.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.training.csprng import WordStream
from cordon_client.training.exact_gaussian import rounded_draw
from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]

_CHUNK = 65_536
_MORE_WORDS = 5
_END_WORDS = 2**20
_WORD_STEP = 2.0**-64
_ANGLE_STEP = 2.0 * np.pi * 2.0**-64
_GRID_LIMIT = 2.0**62
"""Half of the signed 64-bit range: data and noise stay below it each, so their sum fits."""

_LARGEST_STD = 2.0**57
"""384-bit uniforms reach 23.1 standard deviations: below `_GRID_LIMIT`."""


def release(
    vector: npt.NDArray[np.float64], *, grid_per_unit: float, noise_std_grid: float
) -> npt.NDArray[np.int64]:
    """Return round(γ · vector) + Z with Z = round(std · g), g standard Gaussian, as int64 [d].

    Guarantee: equal to round(round(γ · vector) + std · g), so the result is post-processing of the
    Gaussian mechanism on an integer vector; the noise is drawn before it meets the data.
    Source: privacy by post-processing (Dwork, Roth 2014, Prop. 2.1); see PROOF.md.

    Raises:
        SystemFault: SY041 when data or noise do not fit the grid, or the vector is not finite.
    """
    released = rounded_gaussian(vector.size, std=noise_std_grid)
    for start in range(0, vector.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        released[part] += encode_grid(vector[part], grid_per_unit=grid_per_unit)
    return released


def encode_grid(vector: npt.NDArray[np.float64], *, grid_per_unit: float) -> npt.NDArray[np.int64]:
    """Return round(γ · vector), to nearest, ties to even, as int64 [d]; exact data, never released.

    Raises:
        SystemFault: SY041 when a value is not finite or beyond ±2^62 grid steps.
    """
    scaled = vector * grid_per_unit
    if scaled.size and not (scaled.min() > -_GRID_LIMIT and scaled.max() < _GRID_LIMIT):
        raise SystemFault("SY041")
    return np.rint(scaled, out=scaled).astype(np.int64)


def rounded_gaussian(count: int, *, std: float) -> npt.NDArray[np.int64]:
    """Return `count` independent draws of round(std · g), g standard Gaussian; std in grid steps.

    Guarantee: exactly rounded. Floating-point error never decides an integer: a draw closer to the
    boundary between two integers than its proved error is decided in decimal arithmetic with
    further random bits, and so are the far tails, which therefore have no end.
    Source: Box, Muller 1958; lazily revealed uniforms, Karney 2016.

    Raises:
        SystemFault: SY041 when std is above 2^57 grid steps, so that a draw might not fit.
    """
    if not 0 < std <= _LARGEST_STD:
        raise SystemFault("SY041")
    stream = WordStream()
    draws = np.empty(-(-count // 2) * 2, dtype=np.int64)
    words = np.empty(min(draws.size, _CHUNK), dtype=np.uint64)
    for start in range(0, draws.size, _CHUNK):
        chunk = draws[start : start + _CHUNK]
        stream.fill(words[: chunk.size])
        _rounded_pairs(words[: chunk.size], std, stream, chunk)
    return draws[:count]


def _rounded_pairs(
    words: npt.NDArray[np.uint64],
    std: float,
    stream: WordStream,
    draws: npt.NDArray[np.int64],
) -> None:
    """Fill draws [2m] from words [2m]: m radii, m angles; pair i is draws i and m + i."""
    half = words.size // 2
    with np.errstate(divide="ignore", invalid="ignore"):  # the word 0, which is decided below
        values = _box_muller(words, std)
        nearest = np.rint(values)
        draws[:] = nearest
        away = np.abs(np.subtract(values, nearest, out=values), out=values)
    worst = sum(error_bound(int(word)) for word in (words[:half].min(), words[:half].max()))
    # not (away < …): a value that is not a number is never sure
    unsure = np.flatnonzero(~(away < 0.5 - std * worst))
    for pair in np.unique(unsure % half):
        first, second = int(words[pair]), int(words[half + pair])
        if not max(away[pair], away[half + pair]) + std * error_bound(first) < 0.5:
            draws[pair], draws[half + pair] = _decided(first, second, std, stream)


def _box_muller(words: npt.NDArray[np.uint64], std: float) -> Vector:
    """Return std · g in float64, [2m]: cosines, then sines, at the lower end of each word's cell."""
    half = words.size // 2
    radius = (words[:half] >> np.uint64(1)).view(np.int64).astype(np.float64)
    radius *= 2.0 * _WORD_STEP
    np.log(radius, out=radius)
    radius *= -2.0 * std * std
    np.sqrt(radius, out=radius)
    angle = words[half:].view(np.int64).astype(np.float64)
    angle *= _ANGLE_STEP
    values = np.empty(2 * half)
    torch.cos(torch.from_numpy(angle), out=torch.from_numpy(values[:half]))
    torch.sin(torch.from_numpy(angle), out=torch.from_numpy(values[half:]))
    values[:half] *= radius
    values[half:] *= radius
    return values


def error_bound(word: int) -> float:
    """Bound |computed g - g anywhere in the cell| for a radius from this word; see PROOF.md §5.

    Guarantee: holds for both members of a pair; between two words it is at most the sum of its
    values at the two. Infinite near both ends of the range.
    """
    if min(word, 2**64 - 1 - word) < _END_WORDS:
        return math.inf
    uniform = word * _WORD_STEP
    radius = math.sqrt(-2.0 * math.log(uniform))
    return (2.0**-51 + 4.0 * _WORD_STEP / uniform) / radius + 2.0**-48 * radius


def _decided(first: int, second: int, std: float, stream: WordStream) -> tuple[int, int]:
    """Continue the bits of one pair of words and round both of its values exactly."""
    more = [int(word) for word in stream.take(2 * _MORE_WORDS)]
    radius, angle = first, second
    for index in range(_MORE_WORDS):
        radius = radius << 64 | more[index]
        angle = angle << 64 | more[_MORE_WORDS + index]
    bits = 64 * (_MORE_WORDS + 1)
    quarter_back = (angle + (3 << (bits - 2))) % (1 << bits)  # sin 2πv = cos 2π(v - 1/4)
    return (
        rounded_draw((radius, bits), (angle, bits), std=std),
        rounded_draw((radius, bits), (quarter_back, bits), std=std),
    )
