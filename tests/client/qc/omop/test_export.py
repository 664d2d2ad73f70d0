"""Reading OMOP exports: formats, names, absent tables, and counts against a second way of counting."""

import datetime
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.omop_tables import make_export, write_export

from cordon_client.qc.clinical import tables as clinical_tables
from cordon_client.qc.clinical import tally as clinical_tally
from cordon_client.qc.clinical.vocabulary import IDENTIFIER_NAME
from cordon_client.qc.discover import discover
from cordon_client.qc.omop.cells import days, numbers, whole
from cordon_client.qc.omop.folder import table_of
from cordon_client.qc.omop.model import EVENTS, TABLES, UNREAD
from cordon_client.qc.omop.persons import (
    NO_DAY,
    NOBODY,
    Persons,
    earliest_birth,
    merge_periods,
)
from cordon_client.qc.omop.survey import read_export
from cordon_client.qc.omop.tally import Visits
from cordon_common.errors import DataError
from cordon_common.qc.verdict import Severity

EPOCH = datetime.date(1970, 1, 1)


def silent(done, total):
    pass


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_faultless_export_has_no_finding_in_either_format(export, findings, kind):
    assert findings(export, kind) == {}


def test_both_formats_give_the_same_numbers(export, tmp_path, judged):
    csv = judged(write_export(tmp_path / "c", export))
    parquet = judged(write_export(tmp_path / "p", export, "parquet"))
    assert csv.results == parquet.results
    assert csv.stats == parquet.stats
    assert csv.stats["persons"] == 120
    assert csv.stats["measurements"] == len(export["measurement"])
    assert csv.plots == parquet.plots


def test_capital_letters_and_parts_of_a_table_change_nothing(export, tmp_path, judged):
    plain = judged(write_export(tmp_path / "plain", export))
    folder = tmp_path / "parts"
    shouted = {
        name.upper(): frame.rename(columns=str.upper)
        for name, frame in export.items()
        if name != "measurement"
    }
    write_export(folder, shouted)
    rows = export["measurement"]
    write_export(folder, {"measurement_001": rows[:700], "measurement_002": rows[700:1500]})
    write_export(folder / "measurement", {"part-0000": rows[1500:]}, "parquet")
    (part,) = discover(folder).parts
    assert [sample.sample for sample in part.samples] == ["parts"]
    assert judged(folder).results == plain.results


def test_an_absent_or_empty_table_is_not_applicable_and_never_a_pass(export, tmp_path, judged):
    del export["observation_period"]
    export["death"] = export["death"].iloc[:0]
    export["measurement"] = export["measurement"].iloc[:0]
    found = judged(write_export(tmp_path / "few", export))
    severities = {r.check: r.severity for r in found.results}
    for check in ("observed", "period-overlap", "outside-period", "after-death", "values"):
        assert severities[f"omop.{check}"] is Severity.NOT_APPLICABLE
    assert all(r.severity in {Severity.PASS, Severity.NOT_APPLICABLE} for r in found.results)


def test_only_tables_of_the_model_are_recognised(export, tmp_path):
    folder = write_export(tmp_path / "omop", export)
    pd.DataFrame({"location_id": [1], "zip": ["1"]}).to_csv(folder / "location.csv")
    pd.DataFrame({"concept_id": [1]}).to_csv(folder / "concept.csv")
    assert {table_of(path) for path in folder.iterdir()} == {*export, "location", "concept"}
    other = tmp_path / "other"
    other.mkdir()
    pd.DataFrame({"location_id": [1], "zip": ["1"]}).to_csv(other / "location.csv")
    pd.DataFrame({"person_id": [1], "age": [50]}).to_csv(other / "person.csv")
    assert {table_of(path) for path in other.iterdir()} == {None}
    assert [part.modality.name for part in discover(other).parts] == ["clinical"]


def test_two_hospitals_exports_in_one_folder_are_two_samples(export, tmp_path):
    write_export(tmp_path / "north", export)
    write_export(tmp_path / "south", export, "parquet")
    (part,) = discover(tmp_path).parts
    assert sorted(sample.sample for sample in part.samples) == ["north", "south"]


def test_a_table_that_cannot_be_read_is_named_and_no_cell_of_it_is(export, tmp_path, judged):
    folder = write_export(tmp_path / "broken", export)
    with (folder / "measurement.csv").open("a") as file:
        file.write('"Jane Doe,1\n')
    (found,) = [r for r in judged(folder).results if r.check == "sample.readable"]
    assert found.severity is Severity.FAIL
    assert "measurement" in found.detail
    assert "Doe" not in found.detail


def test_no_field_of_the_model_is_called_like_a_direct_identifier():
    fields = {field for table in TABLES.values() for field in table.required}
    fields |= {"provider_id", "lot_number", "unique_device_id", "care_site_id", "drug_source_value"}
    assert not [field for field in fields if IDENTIFIER_NAME.search(field)]
    assert not set(TABLES) & set(UNREAD)


# -- cells ---------------------------------------------------------------------------------------

_TEXTS = st.one_of(
    st.integers(-(10**17), 10**17).map(str),
    st.dates(datetime.date(1000, 1, 1), datetime.date(3400, 1, 1)).map(str),
    st.dates(datetime.date(1000, 1, 1), datetime.date(3400, 1, 1)).map(
        lambda day: day.strftime("%Y%m%d").zfill(8)
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.text(max_size=12),
    st.sampled_from(["", "NULL", "2020-02-30", "2020-13-01", " 7 ", "7.0", "7.5", "1/2/2020"]),
)


@given(
    st.lists(st.dates(datetime.date(1000, 1, 1), datetime.date(3400, 1, 1)), min_size=1),
    st.booleans(),
)
def test_days_are_those_of_the_calendar(dates, with_an_odd_cell):
    texts = [str(date) for date in dates] + ["31.12.2020"] * with_an_odd_cell
    found = days(pa.array(texts))
    expected = [(date - EPOCH).days for date in dates]
    assert found.values[: len(dates)].tolist() == expected
    assert found.wrong == with_an_odd_cell
    typed = days(pa.array(dates))
    assert typed.values.tolist() == expected


@given(st.lists(_TEXTS, max_size=8))
@example(["+0"])
@example(["+1.5"])
def test_any_text_is_read_or_counted_as_wrong_or_empty(texts):
    column = pa.array(texts, pa.string())
    for found in (whole(column), days(column)):
        assert found.wrong >= 0
        assert found.empty >= 0
        assert int(found.known.sum()) + found.wrong + found.empty == len(texts)
    value, wrong = numbers(column)
    assert 0 <= wrong <= len(texts) - int(np.isfinite(value).sum())


def test_a_plus_sign_changes_no_number():
    assert whole(pa.array(["+7", "-7", "+7.0", "++7"])).values.tolist()[:3] == [7, -7, 7]
    assert numbers(pa.array(["+1.5", "1.5", "+.5", "+"]))[0].tolist()[:3] == [1.5, 1.5, 0.5]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2020-02-29", "20200229", "2020/02/29", "2020-02-29T10:11:12Z"], [18321] * 4),
        (["2021-02-29", "2020-00-10", "2020-04-31", "29.02.2020"], [None] * 4),
    ],
)
def test_a_day_is_read_in_the_forms_of_iso_8601_and_a_day_that_is_none_is_wrong(texts, expected):
    found = days(pa.array(texts))
    read = [v if k else None for v, k in zip(found.values.tolist(), found.known, strict=True)]
    assert read == expected
    assert found.wrong == expected.count(None)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["1", "2.0", "", "x", " 3"]),
        pa.array([1.0, 2.0, None, 2.5, 3.0]),
        pa.array([1.0, 2.0, float("nan"), float("inf"), 3.0]),
    ],
)
def test_whole_numbers_are_read_from_text_and_from_numbers(column):
    found = whole(column)
    assert found.values[found.known].tolist() == [1, 2, 3]
    assert (found.wrong, found.empty) == (1, 1)


@pytest.mark.parametrize(
    ("column", "read", "wrong"),
    [
        (pa.array([20200229, None, 20200230]), [18321, None, None], 1),
        (pa.array([datetime.datetime(2020, 2, 29, 23), None]), [18321, None], 0),  # noqa: DTZ001
        (pa.array(["2020-02-29"]).dictionary_encode(), [18321], 0),
        (pa.array(["2020-02-29"], pa.large_string()), [18321], 0),
        (pa.array([datetime.time(1)]), [None], 1),
        (pa.array([[1]]), [None], 1),
        (pa.array([2.0**80]), [None], 1),
        (pa.nulls(2), [None, None], 0),
    ],
)
def test_days_are_read_from_every_type_of_a_parquet_file(column, read, wrong):
    found = days(column)
    pairs = zip(found.values.tolist(), found.known.tolist(), strict=True)
    assert [value if known else None for value, known in pairs] == read
    assert (found.wrong, found.empty) == (wrong, len(read) - wrong - int(found.known.sum()))


# -- persons and visits --------------------------------------------------------------------------

_PERIODS = st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50), st.integers(0, 30)))


@given(_PERIODS, st.lists(st.tuples(st.integers(0, 3), st.integers(-60, 90)), min_size=1))
def test_inside_a_period_is_what_a_loop_over_all_periods_says(periods, events):
    owner, start, length = np.array(periods or np.zeros((0, 3)), np.int64).reshape(-1, 3).T
    starts, ends, touching = merge_periods(owner, start, start + length)
    born = np.full(4, NO_DAY)
    persons = Persons(np.arange(4), born, born, starts, ends)
    person, day = np.array(events, np.int64).T
    expected = [any(p == o and s <= d <= s + n for o, s, n in periods) for p, d in events]
    assert persons.observed(person, day).tolist() == expected
    pairs = [
        a[0]
        for i, a in enumerate(periods)
        for b in periods[:i]
        if a[0] == b[0] and a[1] <= b[1] + b[2] + 1 and b[1] <= a[1] + a[2] + 1
    ]
    assert touching == len(set(pairs))


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 25)))
def test_persons_are_found_by_their_id(ids, asked):
    known = np.unique(np.array(ids, np.int64))
    persons = Persons(known, known, known, known[:0], known[:0])
    found = persons.find(np.array(asked, np.int64), np.ones(len(asked), np.bool_))
    assert [known[f] if f != NOBODY else None for f in found] == [
        a if a in known else None for a in asked
    ]


def test_what_is_not_known_of_a_birth_never_makes_an_event_early():
    year, month, day = np.array([[1980, 1980, 1980, 1980], [0, 5, 5, 17], [0, 0, 9, 3]])
    born = [EPOCH + datetime.timedelta(days=int(d)) for d in earliest_birth(year, month, day)]
    assert [str(b) for b in born] == ["1980-01-01", "1980-05-01", "1980-05-09", "1980-01-01"]


def test_a_part_of_the_visits_judges_those_it_keeps_as_all_of_them_would():
    rng = np.random.default_rng(0)
    ids = rng.permutation(20_000)
    owner = ids % 100
    asked = rng.integers(0, 30_000, 5_000)
    claimed = np.where(rng.random(5_000) < 0.9, asked % 100, 7)
    everything, part = Visits(), Visits(kept=1_000)
    for visits in (everything, part):
        for start in range(0, 20_000, 3_000):
            visits.add(ids[start : start + 3_000], owner[start : start + 3_000])
        visits.close()
    broken, tested = part.broken(asked, claimed)
    exact, all_tested = everything.broken(asked, claimed)
    assert all_tested.all()
    assert 50 < tested.sum() < 1_000
    assert (broken[tested] == exact[tested]).all()
    assert exact.mean() == pytest.approx(broken[tested].mean(), abs=0.08)


def test_progress_ends_at_the_size_of_all_files(export, tmp_path):
    folder = write_export(tmp_path / "x", export)
    files = tuple(sorted(folder.iterdir()))
    told = []
    read_export(files, lambda done, total: told.append((done, total)))
    size = sum(file.stat().st_size for file in files)
    assert {total for _, total in told} == {size}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] <= size


def test_memory_does_not_grow_with_the_measurements(tmp_path, monkeypatch):
    # Small limits, so that both files are far beyond what is read ahead and kept.
    monkeypatch.setattr(clinical_tally, "_HASHES", 20_000)
    monkeypatch.setattr(clinical_tables, "_BLOCK_BYTES", 2**17)
    peaks = []
    for times in (20, 80):
        tables = make_export(persons=400)
        rows = tables["measurement"]
        folder = write_export(tmp_path / str(times), tables)
        with (folder / "measurement.csv").open("a") as file:
            text = rows.to_csv(index=False, header=False, date_format="%Y-%m-%d")
            for _ in range(times):
                file.write(text)
        tracemalloc.start()
        export = read_export(tuple(sorted(folder.iterdir())), silent)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert export.tallies["measurement"].rows == len(rows) * (1 + times)
    assert peaks[1] < 1.5 * peaks[0]  # four times the rows


def test_events_are_read_in_an_order_that_knows_visits_first():
    assert EVENTS[0].name == "visit_occurrence"


def test_errors_of_reading_keep_their_code(export, tmp_path):
    folder = write_export(tmp_path / "html", export)
    (folder / "measurement.csv").write_text(
        "person_id,measurement_concept_id\n" + "1,2,3\n" * 40, encoding="utf-8"
    )
    with pytest.raises(DataError) as refused:
        read_export(tuple(sorted(folder.iterdir())), silent)
    assert refused.value.code == "DA013"
