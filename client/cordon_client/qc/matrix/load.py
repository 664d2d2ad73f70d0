"""Open a matrix of any format that can hold one: text, Parquet, h5ad."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.matrix.table import read_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_client.qc.matrix.table import FeatureMatrix


def load_matrix(path: Path) -> FeatureMatrix:
    """Read a matrix of features × samples into memory.

    Raises:
        DataError: DA015, DA060 to DA063, DA065 or DA072.
    """
    if path.name.lower().endswith(".h5ad"):
        from cordon_client.qc.single_cell.read import dense_matrix

        return dense_matrix(path)
    return read_matrix(path)


def matrix_samples(path: Path) -> tuple[str, ...]:
    """List the samples of a matrix.

    Raises:
        DataError: as `load_matrix`.
    """
    return load_matrix(path).samples
