"""Read protein tables: MaxQuant, DIA-NN, FragPipe, mzTab, and plain matrices of intensities."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.matrix.table import FeatureMatrix, read_matrix
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

_MAX_LOG = 64.0
"""No log2 intensity exceeds what 64 bits can count."""
_DECOY = re.compile(r"^(REV_|rev_|##|DECOY|decoy|XXX_)")
_CONTAMINANT = re.compile(r"^(CON_|Cont_|contam_|cRAP|sp\|cRAP)")
_FRAGPIPE = (" MaxLFQ Intensity", " Razor Intensity", " Intensity")
_DIANN = frozenset(
    {"Protein.Group", "Protein.Ids", "Protein.Names", "Genes", "First.Protein.Description"}
    | {"N.Sequences", "N.Proteotypic.Sequences"}
)


@dataclass(frozen=True)
class ProteinTable:
    """Proteins × runs as log2 intensities; NaN = not quantified.

    matrix: all rows, decoys too. usable: bool [proteins], rows that are proteins of the sample.
    decoy, contaminant, by_site: bool [proteins], None where the format cannot tell. q_values:
    float64 [proteins] or None. wrong: impossible intensities per run, int [runs].
    """

    matrix: FeatureMatrix
    engine: str
    decoy: Mask | None
    contaminant: Mask | None
    by_site: Mask | None
    q_values: Values | None
    wrong: tuple[int, ...]

    @property
    def usable(self) -> Mask:
        """Rows that are neither decoy, contaminant nor identified by a site only."""
        out = np.zeros(len(self.matrix.features), dtype=np.bool_)
        for flagged in (self.decoy, self.contaminant, self.by_site):
            if flagged is not None:
                out |= flagged
        return ~out


def engine_of(path: Path) -> str | None:
    """Tell the format by the header; None for a plain matrix."""
    header, _ = _header(path)
    names = set(header)
    if header[:1] == ["MTD"]:
        return "mzTab"
    if {"Protein IDs", "Majority protein IDs"} & names:
        return "MaxQuant"
    if {"Protein.Group", "Protein.Ids"} <= names:
        return "DIA-NN"
    if "Protein ID" in names and any(n.endswith(_FRAGPIPE) for n in header):
        return "FragPipe"
    return None


def _header(path: Path) -> tuple[list[str], int]:
    try:
        with path.open("rb") as file:
            line = file.readline(1 << 20)
    except OSError as error:
        raise DataError("DA015", why=error.strerror or "") from None
    if b"\x00" in line:
        return [], 0
    return line.decode("utf-8-sig", "replace").rstrip("\r\n").split("\t"), len(line)


def read_proteins(path: Path) -> ProteinTable:
    """Read a protein table of any known format.

    Raises:
        DataError: DA068 when no intensities are there, DA060 when it is damaged; for plain
            matrices as `read_matrix`.
    """
    facts = path.stat()
    return _cached(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=2)
def _cached(path: Path, _changed_ns: int, _size: int) -> ProteinTable:
    engine = None if path.suffix.lower() in {".parquet", ".gz"} else engine_of(path)
    if engine is None:
        return _plain(read_matrix(path))
    if engine == "mzTab":
        header, rows, runs = _mztab(path)
        return _table(engine, header, rows, runs)
    header, rows = _rows(path)
    runs = _RUNS[engine](header)
    return _table(engine, header, rows, runs)


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Read tab-separated rows; exports that drop empty cells at a line's end are filled up."""
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = next(reader)
            rows = [row for row in reader if row]
    except csv.Error:
        raise DataError("DA060", why="a line is too long") from None
    if any(len(row) > len(header) for row in rows):
        raise DataError("DA060", why="a line has more fields than the header")
    return header, [row + [""] * (len(header) - len(row)) for row in rows]


def _maxquant_runs(header: Sequence[str]) -> dict[str, int]:
    for prefix in ("LFQ intensity ", "Intensity "):
        runs = {n.removeprefix(prefix): i for i, n in enumerate(header) if n.startswith(prefix)}
        if runs:
            return runs
    return {}


def _diann_runs(header: Sequence[str]) -> dict[str, int]:
    return {n: i for i, n in enumerate(header) if n not in _DIANN}


def _fragpipe_runs(header: Sequence[str]) -> dict[str, int]:
    for suffix in _FRAGPIPE:
        runs = {n.removesuffix(suffix): i for i, n in enumerate(header) if n.endswith(suffix)}
        if runs:
            return runs
    return {}


_RUNS: dict[str, Callable[[Sequence[str]], dict[str, int]]] = {
    "MaxQuant": _maxquant_runs,
    "DIA-NN": _diann_runs,
    "FragPipe": _fragpipe_runs,
}
_NAME_OF = {
    "MaxQuant": ("Majority protein IDs", "Protein IDs"),
    "DIA-NN": ("Protein.Group",),
    "FragPipe": ("Protein", "Protein ID"),
    "mzTab": ("accession",),
}


def _mztab(path: Path) -> tuple[list[str], list[list[str]], dict[str, int]]:
    """Read the protein section (PRH, PRT) of mzTab 1.0, with the metadata's names of its assays."""
    header: list[str] = []
    rows: list[list[str]] = []
    names: dict[str, str] = {}
    text = path.read_bytes().decode("utf-8", "replace")
    for line in text.splitlines():
        fields = line.rstrip("\r").split("\t")
        named = re.match(r"^(?:assay|study_variable)\[(\d+)\](?:-description)?$", fields[1]) if (
            fields[0] == "MTD" and len(fields) == 3
        ) else None  # fmt: skip
        if named:
            names[fields[1].partition("-")[0]] = fields[2]
        elif fields[0] == "PRH":
            header = fields
        elif fields[0] == "PRT":
            if len(fields) != len(header):
                raise DataError("DA060", why="a protein has other fields than the section's header")
            rows.append(fields)
    prefix = "protein_abundance_"
    places = {n.removeprefix(prefix): i for i, n in enumerate(header) if n.startswith(prefix)}
    assays = {n: i for n, i in places.items() if n.startswith("assay[")} or {
        n: i for n, i in places.items() if n.startswith("study_variable[")
    }
    return header, rows, {names.get(n, n): i for n, i in assays.items()}


def _table(
    engine: str, header: list[str], rows: list[list[str]], runs: dict[str, int]
) -> ProteinTable:
    if not runs:
        raise DataError("DA068")
    if not rows:
        raise DataError("DA063")
    place = next((header.index(n) for n in _NAME_OF[engine] if n in header), 0)
    names = tuple(row[place] for row in rows)
    try:
        raw = np.array([[_number(row[i]) for i in runs.values()] for row in rows])
    except ValueError:
        raise DataError("DA061", why="numbers and text are mixed in one column") from None
    flags = _Flags(header, rows, names)
    logs, wrong = _log2(raw, zero_is_missing=True)
    return ProteinTable(
        matrix=FeatureMatrix(names, tuple(runs), logs),
        engine=engine,
        decoy=flags.mask(("Reverse", "opt_global_cv_MS:1002217_decoy_peptide"), _DECOY),
        contaminant=flags.mask(("Potential contaminant", "Contaminant"), _CONTAMINANT),
        by_site=flags.mask(("Only identified by site",), None),
        q_values=flags.numbers(("Q-value", "Global.Q.Value", "PG.Q.Value")),
        wrong=wrong,
    )


def _number(cell: str) -> float:
    text = cell.strip()
    return float("nan") if text.lower() in {"", "nan", "na", "null", "filtered"} else float(text)


@dataclass(frozen=True)
class _Flags:
    header: list[str]
    rows: list[list[str]]
    names: tuple[str, ...]

    def mask(self, columns: Sequence[str], pattern: re.Pattern[str] | None) -> Mask | None:
        place = next((self.header.index(c) for c in columns if c in self.header), None)
        if place is not None:  # the engine's own mark knows more than a name does
            return np.array([row[place].strip() in {"+", "1", "true"} for row in self.rows])
        if pattern is None:
            return None
        return np.array([bool(pattern.match(name)) for name in self.names])

    def numbers(self, columns: Sequence[str]) -> Values | None:
        place = next((self.header.index(c) for c in columns if c in self.header), None)
        return None if place is None else np.array([_number(row[place]) for row in self.rows])


def _plain(matrix: FeatureMatrix) -> ProteinTable:
    logs, wrong = _log2(matrix.values, zero_is_missing=True)
    names = matrix.features
    return ProteinTable(
        matrix=FeatureMatrix(names, matrix.samples, logs, matrix.notes),
        engine="matrix",
        decoy=np.array([bool(_DECOY.match(name)) for name in names]),
        contaminant=np.array([bool(_CONTAMINANT.match(name)) for name in names]),
        by_site=None,
        q_values=None,
        wrong=wrong,
    )


def _log2(raw: Values, *, zero_is_missing: bool) -> tuple[Values, tuple[int, ...]]:
    """Turn intensities into log2; a run that holds logarithms already stays as it is.

    Each run is told by its own values: another run must not change what becomes of this one.
    """
    finite, infinite = np.isfinite(raw), np.isinf(raw)
    largest = np.where(finite, raw, -np.inf).max(axis=0, initial=-np.inf)
    is_log = finite.any(axis=0) & (largest <= _MAX_LOG)  # below 1 on the raw scale is negative
    negative = ~is_log & (raw < 0)
    usable = finite & (is_log | (raw > 0 if zero_is_missing else raw >= 0))
    logs = np.full(raw.shape, np.nan)
    logs[usable] = raw[usable]
    np.log2(raw, out=logs, where=usable & ~is_log)
    return logs, tuple((infinite | negative).sum(axis=0).tolist())


def protein_matrix(path: Path) -> FeatureMatrix:
    """Return the usable rows of a protein table as log2 intensities.

    Raises:
        DataError: as `read_proteins`.
    """
    table = read_proteins(path)
    keep = table.usable
    names = tuple(n for n, kept in zip(table.matrix.features, keep.tolist(), strict=True) if kept)
    return FeatureMatrix(names, table.matrix.samples, table.matrix.values[keep])


def protein_runs(path: Path) -> tuple[str, ...]:
    """List the runs of a protein table.

    Raises:
        DataError: as `read_proteins`.
    """
    return read_proteins(path).matrix.samples
