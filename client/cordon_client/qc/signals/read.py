"""Read series: rows of readings (text, NPZ), or readings of patients with their times."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.matrix.peek import peek
from cordon_client.qc.matrix.table import head_of
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

_TIME = re.compile(r"^(re_?date|time|timestamp|date_?time|charttime|visit_?time|t)$", re.IGNORECASE)
_PATIENT = re.compile(r"^(patient|subject|person|stay|case|hadm)_?(id)?$|^id$", re.IGNORECASE)
_NUMBERS = re.compile(r"^\s*[-+]?\d")
_MIN_READINGS = 20
_ROW_ENDINGS = (".txt", ".csv", ".tsv", ".dat")
_MAX_BYTES = 2 << 30
_NOT_MEASURED = re.compile(
    r"time|date|outcome|label|death|discharge|admission|(^|_)id$", re.IGNORECASE
)


@dataclass(frozen=True)
class RegularSeries:
    """Series of readings at one rate; float64 [series, readings], NaN = missing.

    lengths: readings up to the last that is there, int [series]. labels: one per series, or None.
    """

    values: Values
    lengths: npt.NDArray[np.int64]
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class TimedSeries:
    """Readings of patients over time. patient: int [rows]; seconds: float64 [rows], NaN = no time.

    values: float64 [rows, variables], NaN = missing.
    """

    patient: npt.NDArray[np.int64]
    seconds: Values
    values: Values


def signal_kind(path: Path) -> str | None:
    """Tell `rows` (one series per line), `timed` (patient and time columns) and `npz`."""
    name = path.name.lower()
    if name.endswith(".npz"):
        return "npz" if _float_array(path) is not None else None
    found = peek(path)
    named = () if found is None else found.header
    if any(_PATIENT.match(word) for word in named) and any(_TIME.match(word) for word in named):
        return "timed"
    if not name.endswith(_ROW_ENDINGS):
        return None
    try:
        first = head_of(path).lstrip().partition("\n")[0]
    except DataError:
        return None
    cells = re.split(r"[,\s]+", first.strip())
    numbers = sum(bool(_NUMBERS.match(cell)) for cell in cells)
    return "rows" if len(cells) >= _MIN_READINGS and numbers == len(cells) else None


def _float_array(path: Path) -> str | None:
    """Return the first array of an NPZ that holds series: two dimensions, floating point."""
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            for name in file.files:
                array = file[name]
                if array.ndim == 2 and array.dtype.kind == "f" and array.shape[1] >= _MIN_READINGS:
                    return str(name)
    except (OSError, ValueError, zipfile.BadZipFile, KeyError):
        return None
    return None


def read_signals(path: Path) -> RegularSeries | TimedSeries:
    """Read series of any known layout.

    Raises:
        DataError: DA015 when it cannot be opened, DA070 when it holds no series.
    """
    if not path.is_file():
        raise DataError("DA015")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError("DA070", why="it is larger than 2 GiB")
    kind = signal_kind(path)
    if kind == "npz":
        return _npz(path)
    if kind == "rows":
        return _rows(path)
    if kind == "timed":
        return _timed(path)
    raise DataError("DA070", why="its layout is not known")


def _rows(path: Path) -> RegularSeries:
    """Read one series per line, fields separated by blanks or commas.

    A first field of few different whole numbers is the label, as in the UCR archive.
    """
    head_of(path)  # refuses what is not text
    rows: list[list[float]] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            cells = [cell for cell in re.split(r"[,\s]+", line.strip()) if cell]
            try:
                rows.append(
                    [float(c) if c.lower() not in {"na", "null"} else np.nan for c in cells]
                )
            except ValueError:
                raise DataError("DA070", why="a reading is not a number") from None
    rows = [row for row in rows if row]
    if not rows:
        raise DataError("DA070", why="it is empty")
    first = np.array([row[0] for row in rows])
    labelled = bool((first == np.rint(first)).all()) and len(set(first.tolist())) <= max(
        2, len(rows) // 10
    )
    body = [row[1:] if labelled else row for row in rows]
    labels = tuple(f"{int(value)}" for value in first) if labelled else None
    return _regular(body, labels)


def _regular(rows: list[list[float]], labels: tuple[str, ...] | None) -> RegularSeries:
    longest = max(len(row) for row in rows)
    values = np.full((len(rows), longest), np.nan)
    for index, row in enumerate(rows):
        values[index, : len(row)] = row
    return RegularSeries(values, _lengths(values), labels)


def _lengths(values: Values) -> npt.NDArray[np.int64]:
    present = ~np.isnan(values)
    last = values.shape[1] - np.argmax(present[:, ::-1], axis=1)
    return np.where(present.any(axis=1), last, 0).astype(np.int64)


def _npz(path: Path) -> RegularSeries:
    name = _float_array(path)
    assert name is not None  # noqa: S101 - the kind was told by it
    with np.load(path) as file:
        values = file[name].astype(np.float64)
        match = [n for n in file.files if n != name and file[n].size == len(values)]
        labels = tuple(str(v) for v in file[match[0]].ravel().tolist()) if match else None
    return RegularSeries(values, _lengths(values), labels)


def _timed(path: Path) -> TimedSeries:
    import pandas as pd

    try:
        table = pd.read_csv(path, sep=None, engine="python", dtype=object, encoding="utf-8-sig")
    except (ValueError, OSError, UnicodeDecodeError):
        raise DataError("DA070", why="it is damaged, or not UTF-8 text") from None
    patient = next(column for column in table.columns if _PATIENT.match(str(column)))
    time = next(column for column in table.columns if _TIME.match(str(column)))
    stamps = pd.to_datetime(table[time], errors="coerce", format="mixed")
    if stamps.isna().mean() > 0.5:
        seconds = pd.to_numeric(table[time], errors="coerce").to_numpy(dtype=np.float64)
    else:
        elapsed = (stamps - stamps.min()).dt.total_seconds()
        seconds = elapsed.to_numpy(dtype=np.float64)
    measured = [c for c in table.columns if c != patient and not _NOT_MEASURED.search(str(c))]
    numbers = table[measured].apply(pd.to_numeric, errors="coerce")
    if not len(table) or numbers.shape[1] == 0:
        raise DataError("DA070", why="it has no readings")
    codes, _ = pd.factorize(table[patient].ffill())
    return TimedSeries(
        np.asarray(codes, dtype=np.int64), seconds, numbers.to_numpy(dtype=np.float64)
    )
