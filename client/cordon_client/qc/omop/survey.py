"""Read an OMOP export once, table by table, in memory that grows with persons and not with rows."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.clinical.tables import open_table
from cordon_client.qc.clinical.tally import ColumnTally, tally_column
from cordon_client.qc.omop.cells import days, numbers, whole
from cordon_client.qc.omop.folder import by_table
from cordon_client.qc.omop.model import DEATH, EVENTS, PERIOD, PERSON, TABLES, VISIT
from cordon_client.qc.omop.persons import NO_DAY, NOBODY, Persons, earliest_birth, merge_periods
from cordon_client.qc.omop.tally import Batch, Tally, Visits
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from cordon_client.qc.modality import Progress
    from cordon_client.qc.omop.cells import Whole
    from cordon_client.qc.omop.model import CdmTable

    Ints = npt.NDArray[np.int64]

_ALSO = ("visit_occurrence_id", "unit_concept_id", "value_as_concept_id")
_BIRTH = ("month_of_birth", "day_of_birth")
_TEXTS = ("_datetime", "_source_value", "value_as_string")
_NO_ROWS = "DA006"


@dataclass
class Export:
    """Everything that was found in an export's tables.

    tallies: by table, those that are there. absent: required columns that a table has not. texts:
    source values, times and free text, by `table.column`. columns: all, as `table.column`. unread:
    other tables of the model. gender: persons by concept. without_period, touching: persons without
    an observation period, or with overlapping ones. broken: events by table that name a visit
    wrongly, and those tested. today: days since 1970, when the newest file was written.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    absent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    texts: dict[str, ColumnTally] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)
    days_of_birth: int = 0
    unread: tuple[str, ...] = ()
    gender: dict[int, int] = field(default_factory=dict)
    birth_years: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    persons: Persons | None = None
    person_rows: int = 0
    without_period: int = 0
    touching: int = 0
    broken: dict[str, tuple[int, int]] = field(default_factory=dict)
    today: int = 0


class Reading:
    """Tells how far all files together are, in bytes; a file that is read twice is listed twice."""

    def __init__(self, files: Sequence[Path], progress: Progress) -> None:
        self._total = sum(file.stat().st_size for file in files)
        self._before, self._progress = 0, progress

    def of(self, file: Path) -> Progress:
        """Return the progress of the next file."""
        before, everything = self._before, self._total
        self._before += file.stat().st_size

        def told(done: int, total: int) -> None:
            self._progress(before + done, max(everything, total))

        return told


def read_export(files: Sequence[Path], progress: Progress) -> Export:
    """Read all tables.

    Raises:
        DataError: as `open_table`, naming the file; a table without rows is an empty table.
    """
    tables = by_table(files)
    read = Reading(files, progress)
    export = Export(unread=tuple(name for name in tables if name not in TABLES))
    newest = max((file.stat().st_mtime for file in files), default=0.0)
    written = datetime.datetime.fromtimestamp(newest, datetime.UTC)
    export.today = (written.date() - datetime.date(1970, 1, 1)).days
    read_persons(export, tables, read)
    visits = Visits() if VISIT.name in tables else None
    for table in EVENTS:
        if table.name in tables:
            _events(export, table, tables[table.name], read, visits)
        if table is VISIT and visits is not None:
            visits.close()
    return export


# -- persons -----------------------------------------------------------------------------------


def read_persons(export: Export, tables: dict[str, tuple[Path, ...]], read: Reading) -> Persons:
    """Read PERSON, DEATH and OBSERVATION_PERIOD into the export; returns the persons."""
    died = _pairs(export, tables, DEATH, read)
    periods = _pairs(export, tables, PERIOD, read)
    persons = _persons(export, tables, read, died, periods)
    export.persons = persons
    _again(export, DEATH, died, persons)
    _again(export, PERIOD, periods, persons)
    return persons


def _pairs(
    export: Export, tables: dict[str, tuple[Path, ...]], table: CdmTable, read: Reading
) -> list[dict[str, Whole]]:
    """Read DEATH or OBSERVATION_PERIOD whole: they grow with persons."""
    if table.name not in tables:
        return []
    return [cells for cells, _ in batches_of(export, table, tables[table.name], read)]


def _again(export: Export, table: CdmTable, read: list[dict[str, Whole]], persons: Persons) -> None:
    """Count rows that were read before it was known who there is."""
    tally = export.tallies.get(table.name)
    if tally is None:
        return
    for cells in read:
        rows = len(next(iter(cells.values())).values)
        tally.add(Batch(rows, cells, owners_of(cells, persons, rows)), persons, export.today)


def _persons(
    export: Export,
    tables: dict[str, tuple[Path, ...]],
    read: Reading,
    died: list[dict[str, Whole]],
    periods: list[dict[str, Whole]],
) -> Persons:
    batches = []
    for cells, batch in batches_of(export, PERSON, tables.get(PERSON.name, ()), read):
        _texts(export, PERSON, batch)
        batches.append(cells)
    ids, known = _joined(batches, "person_id")
    year, dated = _joined(batches, "year_of_birth")
    born = np.where(
        dated, earliest_birth(year, *(_filled(_joined(batches, n)) for n in _BIRTH)), NO_DAY
    )
    distinct, first = np.unique(ids[known], return_index=True)
    gender = _filled(_joined(batches, "gender_concept_id"))[known][first]
    never = np.full(len(distinct), NO_DAY)
    nobody = Persons(distinct, born[known][first], never, *_none(), gender)
    export.person_rows = len(ids)
    export.birth_years = year[dated]
    export.gender = _gender(batches)
    export.days_of_birth = int(_joined(batches, "day_of_birth")[1].sum())
    _again(export, PERSON, batches, nobody)
    return _with_times(export, nobody, died, periods)


def _with_times(
    export: Export,
    nobody: Persons,
    died: list[dict[str, Whole]],
    periods: list[dict[str, Whole]],
) -> Persons:
    deaths = nobody.died.copy()
    owner, day, _ = _dated(nobody, died, DEATH)
    np.minimum.at(deaths, owner, day)
    owner, start, end = _dated(nobody, periods, PERIOD)
    starts, ends, export.touching = merge_periods(owner, start, end)
    export.without_period = len(nobody.ids) - len(np.unique(owner))
    return replace(nobody, died=deaths, starts=starts, ends=ends)


def _dated(
    persons: Persons, read: list[dict[str, Whole]], table: CdmTable
) -> tuple[Ints, Ints, Ints]:
    """Return (person, start, end) of the rows that belong to somebody and have their days."""
    owner = persons.find(*_joined(read, "person_id"))
    start, fits = _joined(read, table.start or "")
    end, ends = _joined(read, table.end) if table.end is not None else (start, fits)
    some = (owner != NOBODY) & fits & ends
    return owner[some], start[some], end[some]


def _gender(batches: list[dict[str, Whole]]) -> dict[int, int]:
    concept, known = _joined(batches, "gender_concept_id")
    distinct, counts = np.unique(concept[known], return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))


def _none() -> tuple[Ints, Ints]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def _joined(batches: list[dict[str, Whole]], name: str) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Put the batches of a column together; a column that is not there is known nowhere."""
    rows = [len(next(iter(cells.values())).values) for cells in batches]
    found = [_whole(cells, name, count) for cells, count in zip(batches, rows, strict=True)]
    values = np.concatenate([_none()[0], *(values for values, _ in found)])
    known = np.concatenate([np.zeros(0, np.bool_), *(known for _, known in found)])
    return values, known


def _whole(cells: dict[str, Whole], name: str, rows: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    if name in cells:
        return cells[name].values, cells[name].known
    return np.zeros(rows, np.int64), np.zeros(rows, np.bool_)


def _filled(column: tuple[Ints, npt.NDArray[np.bool_]]) -> Ints:
    return np.where(column[1], column[0], 0)


# -- events ------------------------------------------------------------------------------------


def _events(
    export: Export, table: CdmTable, files: tuple[Path, ...], read: Reading, visits: Visits | None
) -> None:
    persons = export.persons
    if persons is None:
        return
    for cells, batch in batches_of(export, table, files, read):
        rows = len(next(iter(cells.values())).values)
        owner = owners_of(cells, persons, rows)
        value, texts = values_of(export, table, batch), _texts(export, table, batch)
        export.tallies[table.name].add(
            Batch(rows, cells, owner, value, texts), persons, export.today
        )
        if visits is not None:
            _link(export, table, cells, owner, visits)


def _link(
    export: Export, table: CdmTable, cells: dict[str, Whole], owner: Ints, visits: Visits
) -> None:
    if "visit_occurrence_id" not in cells:
        return
    visit = cells["visit_occurrence_id"]
    some = visit.known & (owner != NOBODY)
    if table is VISIT:
        visits.add(visit.values[some], owner[some])
        return
    some &= visit.values != 0
    wrong, tested = visits.broken(visit.values[some], owner[some])
    before = export.broken.get(table.name, (0, 0))
    export.broken[table.name] = (
        before[0] + int((wrong & tested).sum()),
        before[1] + int(tested.sum()),
    )


def owners_of(cells: dict[str, Whole], persons: Persons, rows: int) -> Ints:
    """Return each row's person as a place among the persons."""
    return persons.find(*_whole(cells, "person_id", rows))


def values_of(
    export: Export, table: CdmTable, batch: pa.RecordBatch
) -> npt.NDArray[np.float64] | None:
    """Return a batch's numbers, float64 [rows]; None of a table without numbers."""
    names = {name.lower(): place for place, name in enumerate(batch.schema.names)}
    if "value_as_number" not in names:
        return None
    found, wrong = numbers(batch.column(names["value_as_number"]))
    export.tallies[table.name].wrong["value_as_number"] += wrong
    return found


def _texts(
    export: Export, table: CdmTable, batch: pa.RecordBatch
) -> tuple[npt.NDArray[np.uint64], ...]:
    """Look at source values and free text for what identifies; also return a hash per cell."""
    hashes = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name.lower().endswith(_TEXTS):
            tally, cells = tally_column(column)
            hashes.append(cells)
            known = f"{table.name}.{name.lower()}"
            export.texts[known] = export.texts.get(known, ColumnTally()) + tally
    return tuple(hashes)


# -- files -------------------------------------------------------------------------------------


def batches_of(
    export: Export, table: CdmTable, files: tuple[Path, ...], read: Reading
) -> Iterator[tuple[dict[str, Whole], pa.RecordBatch]]:
    """Yield a table's batches: the columns that the checks need, and the whole batch."""
    tally = export.tallies.setdefault(table.name, Tally(table)) if files else None
    for file in files:
        try:
            stream = open_table(file, read.of(file))
            names = [name.lower() for name in stream.names]
            lacking = tuple(name for name in table.required if name not in names)
            if lacking:
                export.absent[table.name] = lacking
            export.columns.update(f"{table.name}.{name}" for name in names)
            for batch in stream.batches:
                if batch.num_rows:
                    yield _cells_of(table, batch), batch
            if tally is not None:
                tally.damaged += stream.lines.damaged
        except DataError as error:
            if error.code != _NO_ROWS:
                why = f"{table.name}: {error.why}" if error.why else table.name
                raise DataError(error.code, error.what, why=why) from None


def _cells_of(table: CdmTable, batch: pa.RecordBatch) -> dict[str, Whole]:
    wanted = {*table.required, table.end, *_ALSO, *(_BIRTH if table is PERSON else ())}
    found = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        lowered = name.lower()
        if lowered in wanted:
            found[lowered] = days(column) if lowered.endswith("_date") else whole(column)
    return found
