"""Norms, clip factors and weighted sums of rows in float64, whatever precision the rows have.

On the CPU one compiled pass reads every row once, where it lies, and widens value by value; on a
device the same is done by the library's operations, some rows at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.training import sum_loops

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Values = npt.NDArray[np.float64] | npt.NDArray[np.float32]

WIDENED_VALUES = 2**16
"""So many values are widened to float64 at a time: they stay in the cache."""


def square_norms(rows: torch.Tensor) -> torch.Tensor:
    """Return |row|² of [rows, width], float64 [rows]."""
    if not _compiled_here(rows):
        norms = [
            torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in _parts(rows)
        ]
        return torch.cat(norms).square_()
    found = np.empty(len(rows))
    values, stride = _lying(rows)
    sum_loops.square_norms(values, stride, rows.shape[1], found)
    return torch.from_numpy(found)


def add_weighted(total: torch.Tensor, rows: torch.Tensor, factor: torch.Tensor) -> None:
    """Add Σ factor_p · row_p of [rows, width] to float64 [width]; a factor of 0 drops its row.

    A dropped row may hold NaN or infinity.
    """
    if not _compiled_here(rows):
        for part, weights in zip(
            _parts(rows), torch.split(factor, _rows_at_a_time(rows)), strict=True
        ):
            total.addmv_(without(part, weights).double().mT, weights)
        return
    values, stride = _lying(rows)
    sum_loops.add_weighted(values, stride, factor.numpy(), total.numpy())


def outer_squares(rows: torch.Tensor, gradients: torch.Tensor, *, bias: bool) -> torch.Tensor:
    """Return (|a|² + 1) |g|², without the 1 if there is no bias, for rows a and g, float64 [rows]."""
    if not _compiled_here(rows):
        return square_norms(rows).add_(float(bias)).mul_(square_norms(gradients))
    found = np.empty(len(rows))
    sum_loops.outer_squares(*_lying(rows), *_lying(gradients), float(bias), found)
    return torch.from_numpy(found)


def add_outer(
    total: torch.Tensor, rows: torch.Tensor, gradients: torch.Tensor, factor: torch.Tensor
) -> None:
    """Add Σ factor_p g_p a_pᵀ to flat float64 [out · in]; a factor of 0 drops its row, NaN or not."""
    if not _compiled_here(rows):
        weighted = without(gradients, factor).double().mul_(factor[:, None])
        total.view(gradients.shape[1], -1).addmm_(weighted.mT, without(rows, factor).double())
        return
    add = sum_loops.add_few if gradients.shape[1] < sum_loops.TILE else sum_loops.add_outer
    add(*_lying(rows), *_lying(gradients), factor.numpy(), total.numpy())


def without(values: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Replace the values [rows, …] of a factor of 0 by exact zeros: 0 · NaN would still be NaN."""
    return values.masked_fill((factor == 0.0).view(-1, *[1] * (values.dim() - 1)), 0.0)


def factors(
    square: torch.Tensor, mass_square: torch.Tensor, slack: float, bounds: tuple[float, float]
) -> torch.Tensor:
    """Return min(1, C / √max(square + slack · mass², mass² / M²)), float64 [rows]; 0 for NaN.

    bounds: (C, M²).
    """
    clip_norm, most = bounds
    if _compiled_here(square):
        found = np.empty(len(square))
        sum_loops.factors(square.numpy(), mass_square.numpy(), slack, bounds, found)
        return torch.from_numpy(found)
    bound = torch.maximum(square + slack * mass_square, mass_square / most)
    return (clip_norm / bound.sqrt_()).clamp_(max=1.0).nan_to_num_(nan=0.0)


def _compiled_here(values: torch.Tensor) -> bool:
    return values.device.type == "cpu"


def _lying(rows: torch.Tensor) -> tuple[Values, int]:
    """Return the piece of memory that rows lie in, and how far apart they start."""
    if rows.stride(1) != 1:
        rows = rows.contiguous()
    count, width = rows.shape
    if not count:
        return rows.numpy().ravel(), width
    stride = rows.stride(0)
    return rows.as_strided([(count - 1) * stride + width], [1]).numpy(), stride


def _rows_at_a_time(rows: torch.Tensor) -> int:
    return max(1, WIDENED_VALUES // max(1, rows.shape[1]))


def _parts(rows: torch.Tensor) -> Iterator[torch.Tensor]:
    yield from torch.split(rows, _rows_at_a_time(rows))
