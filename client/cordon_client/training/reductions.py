"""Norms, clip factors and weighted sums of rows in float64, whatever precision the rows have.

On the CPU one compiled pass reads every row once, where it lies, and widens value by value; on a
device the same is done by the library's operations, some rows at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cordon_client.training import sum_loops

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64] | npt.NDArray[np.float32]

_WIDENED_VALUES = 2**16
"""So many values are widened to float64 at a time: they stay in the cache."""


class Rows(NamedTuple):
    """Rows of a tensor, [rows, width], and the piece of memory that they lie in, if loops may read it.

    stride: how many values they start apart there.
    """

    tensor: torch.Tensor
    values: Values | None
    stride: int


def rows_of(tensor: torch.Tensor) -> Rows:
    """Return the rows of [rows, width], any float type, wherever they lie."""
    if not _compiled_here(tensor):
        return Rows(tensor, None, 0)
    if tensor.stride(1) != 1:
        tensor = tensor.contiguous()
    count, width = tensor.shape
    stride = tensor.stride(0)
    if not count:
        return Rows(tensor, tensor.numpy().ravel(), stride)
    return Rows(tensor, tensor.as_strided([(count - 1) * stride + width], [1]).numpy(), stride)


def square_norms(rows: Rows) -> torch.Tensor:
    """Return |row|², float64 [rows]."""
    if rows.values is None:
        norms = [
            torch.linalg.vector_norm(part, dim=1, dtype=torch.float64)
            for part in torch.split(rows.tensor, _rows_at_a_time(rows.tensor))
        ]
        return torch.cat(norms).square_()
    found = np.empty(len(rows.tensor))
    sum_loops.square_norms(rows.values, rows.stride, found)
    return torch.from_numpy(found)


def add_weighted(total: torch.Tensor, rows: Rows, factor: torch.Tensor) -> None:
    """Add Σ factor_p · row_p to float64 [width]; a factor of 0 drops its row.

    A dropped row may hold NaN or infinity.
    """
    if rows.values is None:
        some = _rows_at_a_time(rows.tensor)
        for part, weights in zip(
            torch.split(rows.tensor, some), torch.split(factor, some), strict=True
        ):
            total.addmv_(without(part, weights).double().mT, weights)
        return
    sum_loops.add_weighted(rows.values, rows.stride, factor.numpy(), total.numpy())


def outer_squares(a: Rows, g: Rows, *, bias: bool) -> torch.Tensor:
    """Return (|a|² + 1) |g|², without the 1 if there is no bias, float64 [rows]."""
    if a.values is None or g.values is None:
        return square_norms(a).add_(float(bias)).mul_(square_norms(g))
    found = np.empty(len(a.tensor))
    sum_loops.outer_squares(a.values, a.stride, g.values, g.stride, float(bias), found)
    return torch.from_numpy(found)


def add_outer(total: torch.Tensor, a: Rows, g: Rows, factor: torch.Tensor) -> None:
    """Add Σ factor_p g_p a_pᵀ to flat float64 [out · in]; a factor of 0 drops its row, NaN or not."""
    outputs = g.tensor.shape[1]
    if a.values is None or g.values is None:
        weighted = without(g.tensor, factor).double().mul_(factor[:, None])
        total.view(outputs, -1).addmm_(weighted.mT, without(a.tensor, factor).double())
        return
    add = sum_loops.add_few if outputs < sum_loops.TILE else sum_loops.add_outer
    add(a.values, a.stride, g.values, g.stride, factor.numpy(), total.numpy())


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


def _rows_at_a_time(rows: torch.Tensor) -> int:
    return max(1, _WIDENED_VALUES // max(1, rows.shape[1]))
