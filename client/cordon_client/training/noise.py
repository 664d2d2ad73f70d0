"""Gaussian noise from a cryptographic generator, rounded into the integer grid of a release.

No seed is stored, logged or returned; nothing that stays in memory can reproduce a draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.training.csprng import WordStream
from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    import numpy.typing as npt

_CHUNK = 16_384
_TAIL_WORD = np.uint64(2**32)
_WORD_STEP = 2.0**-64
_ANGLE_STEP = 2.0 * np.pi * 2.0**-53
_GRID_LIMIT = 2.0**62
"""Half of the signed 64-bit range: data and noise stay below it each, so their sum fits."""


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
    """Return `count` independent draws of round(std · g) as int64; std in grid steps.

    Raises:
        SystemFault: SY041 when a draw would leave ±2^62 grid steps.
    """
    noise = gaussian(count)
    noise *= std
    if not bool((np.abs(noise) < _GRID_LIMIT).all()):
        raise SystemFault("SY041")
    return np.rint(noise, out=noise).astype(np.int64)


def gaussian(count: int) -> npt.NDArray[np.float64]:
    """Return `count` independent standard Gaussian values as float64.

    Guarantee: Box-Muller over AES-CTR words; radii from 64-bit uniforms, refined by 64 further bits
    below 2^-32, so that tails reach 13 standard deviations without gaps; angles on 2^53 points.
    Source: Box, Muller 1958.
    """
    stream = WordStream()
    values = np.empty(-(-count // 2) * 2)
    words = np.empty(min(values.size, _CHUNK), dtype=np.uint64)
    for start in range(0, values.size, _CHUNK):
        chunk = values[start : start + _CHUNK]
        stream.fill(words[: chunk.size])
        _box_muller(words[: chunk.size], chunk, stream)
    return values[:count]


def _box_muller(
    words: npt.NDArray[np.uint64], out: npt.NDArray[np.float64], stream: WordStream
) -> None:
    """Turn an even number of uniform words into as many independent Gaussian values."""
    half = words.size // 2
    radius = _radii(words[:half], stream)
    angle = torch.from_numpy((words[half:] >> np.uint64(11)).astype(np.float64))
    angle *= _ANGLE_STEP
    result = torch.from_numpy(out)
    torch.cos(angle, out=result[:half])
    torch.sin(angle, out=result[half:])
    result[:half] *= radius
    result[half:] *= radius


def _radii(words: npt.NDArray[np.uint64], stream: WordStream) -> torch.Tensor:
    """Return sqrt(-2 ln u) for uniform u in (0, 1): cell midpoints, finer cells near 0."""
    uniform = words.astype(np.float64)
    uniform += 0.5
    rare = np.flatnonzero(words < _TAIL_WORD)
    if rare.size:
        fine = stream.take(rare.size).astype(np.float64)
        uniform[rare] = words[rare].astype(np.float64) + (fine + 0.5) * _WORD_STEP
    uniform *= _WORD_STEP
    radius = torch.from_numpy(uniform).log_().mul_(-2.0).clamp_(min=0.0)
    return radius.sqrt_()
