"""Gaussian noise from a cryptographic generator, rounded into the integer grid of a release.

No seed is stored, logged or returned; nothing that stays in memory can reproduce a draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.training.csprng import WordStream
from cordon_client.training.exact_gaussian import rounded_draw
from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    import numpy.typing as npt

_CHUNK = 16_384
_MORE_WORDS = 3
_SMALLEST_EASY = 2.0**-44
_WORD_STEP = 2.0**-64
_ANGLE_STEP = 2.0 * np.pi * 2.0**-53
_GRID_LIMIT = 2.0**62
"""Half of the signed 64-bit range: data and noise stay below it each, so their sum fits."""

_LARGEST_STD = 2.0**57
"""256-bit uniforms reach 18.8 standard deviations: below `_GRID_LIMIT`."""


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
    noise = rounded_gaussian(vector.size, std=noise_std_grid)
    return encode_grid(vector, grid_per_unit=grid_per_unit) + noise


def encode_grid(vector: npt.NDArray[np.float64], *, grid_per_unit: float) -> npt.NDArray[np.int64]:
    """Return round(γ · vector), to nearest, ties to even, as int64 [d]; exact data, never released.

    Raises:
        SystemFault: SY041 when a value is not finite or beyond ±2^62 grid steps.
    """
    scaled = vector * grid_per_unit
    if not bool((np.abs(scaled) < _GRID_LIMIT).all()):
        raise SystemFault("SY041")
    return np.rint(scaled).astype(np.int64)


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
    values, radius, uniform = _box_muller(words)
    values *= std
    nearest = values.round()
    draws[:] = nearest.numpy()
    error = std * _error_of(radius, uniform)
    room = (values - nearest).abs_().neg_().add_(0.5).view(2, half).amin(dim=0)
    for pair in np.flatnonzero(~(room > error).numpy()):
        first, second = int(words[pair]), int(words[half + pair])
        draws[pair], draws[half + pair] = _decided(first, second, std, stream)


def _box_muller(
    words: npt.NDArray[np.uint64],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (values [2m], radius [m], uniform [m]) in float64 at the middle of each word's cell."""
    half = words.size // 2
    uniform = torch.from_numpy(words[:half].astype(np.float64))
    uniform.add_(0.5).mul_(_WORD_STEP)
    radius = uniform.log().mul_(-2.0).sqrt_().abs_()  # ln 1 = 0 would give -0.0
    turns = (words[half:].view(np.int64) >> 11).astype(np.float64)
    angle = torch.from_numpy(turns).add_(0.5).mul_(_ANGLE_STEP)
    values = torch.empty(2 * half, dtype=torch.float64)
    torch.mul(angle.cos(), radius, out=values[:half])
    torch.mul(angle.sin_(), radius, out=values[half:])
    return values, radius, uniform


def _error_of(radius: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Bound |computed value - value anywhere in the word's cell|, per unit of std; see PROOF.md."""
    cell = uniform.reciprocal().mul_(_WORD_STEP).add_(2.0**-51)
    cell.masked_fill_(uniform < _SMALLEST_EASY, torch.inf)
    return cell.div_(radius).add_(radius, alpha=2.0**-48)


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
