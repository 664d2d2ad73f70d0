"""Sex from expression: XIST is expressed from the silenced X, the others only from a Y."""

from __future__ import annotations

import csv
import gzip
import math
from typing import TYPE_CHECKING

from cordon_common.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_XIST = {"XIST", "ENSG00000229807"}
_Y_GENES = {
    "RPS4Y1", "ENSG00000129824", "DDX3Y", "ENSG00000067048", "KDM5D", "ENSG00000012817",
    "UTY", "ENSG00000183878", "EIF1AY", "ENSG00000198692",
}  # fmt: skip
_FOURFOLD = 2.0
"""log2 of how many times XIST must exceed the Y genes, or they it."""


def sexes_by_expression(path: Path) -> dict[str, str | None]:
    """Read a table of genes × samples (TSV or CSV; counts or logarithms) and tell each sample's sex.

    None where XIST and the Y genes are missing or do not differ fourfold.

    Raises:
        DataError: DA044 when the table cannot be read.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", newline="", encoding="utf-8") as file:
            first = file.readline()
            delimiter = "\t" if "\t" in first else ","
            names = next(csv.reader([first], delimiter=delimiter))[1:]
            rows = [
                row
                for row in csv.reader(file, delimiter=delimiter)
                if row and row[0].split(".")[0].upper() in _XIST | _Y_GENES
            ]
        return _sexes(names, rows)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, ValueError, StopIteration):
        raise DataError("DA044", why="an expression table cannot be read") from None


def _sexes(names: list[str], rows: list[list[str]]) -> dict[str, str | None]:
    values = {
        row[0].split(".")[0].upper(): [float(cell or "nan") for cell in row[1:]] for row in rows
    }
    flat = [value for row in values.values() for value in row if not math.isnan(value)]
    # Counts are whole numbers; anything else is taken as logarithms already.
    counts = all(value >= 0 and value.is_integer() for value in flat)
    sexes: dict[str, str | None] = {}
    for index, name in enumerate(names):
        x = [_log(row[index], counts=counts) for gene, row in values.items() if gene in _XIST]
        y = [_log(row[index], counts=counts) for gene, row in values.items() if gene in _Y_GENES]
        difference = x[0] - sum(y) / len(y) if x and y else math.nan
        female, male = difference > _FOURFOLD, difference < -_FOURFOLD
        sexes[name] = "female" if female else "male" if male else None
    return sexes


def _log(value: float, *, counts: bool) -> float:
    return math.log2(value + 1) if counts else value
