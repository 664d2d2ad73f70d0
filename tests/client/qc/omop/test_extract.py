"""Cohort files of OMOP tables: against a loop over persons, one patient at a time, nothing too late."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.omop_tables import (
    CREATININE,
    DIABETES,
    GLUCOSE,
    INFARCTION,
    METFORMIN,
    MG_DL,
    MMHG,
    MMOL_L,
    PRESSURE,
    make_export,
    write_export,
)

from cordon_client.qc.omop.extract import extract
from cordon_client.qc.omop.gather import Extreme, Mean, Occurrences, OfOneDay
from cordon_client.qc.omop.recipe import Recipe
from cordon_common.errors import DataError, ProtocolError
from cordon_common.protocol.parse import parse_model

DAY = pd.Timedelta(1, "D")


def recipe(**changes):
    value = {
        "cordon": 1,
        "name": "test.v1",
        "index": {"table": "visit_occurrence"},
        "outcome": {
            "name": "infarction",
            "table": "condition_occurrence",
            "concepts": [INFARCTION],
            "days": [1, 730],
        },
        "features": [
            {"name": "age", "kind": "age"},
            {"name": "sex", "kind": "sex", "male": "1", "female": "0"},
            number("glucose", GLUCOSE, MG_DL, factors={MMOL_L: 18.02}),
            number("pressure", PRESSURE, MMHG, take="highest", days=[-30, 0]),
            event("diabetes", "condition_occurrence", DIABETES),
            event("metformin", "drug_exposure", METFORMIN, take="count"),
        ],
    }
    return parse_model(Recipe, value | changes, code="PR004", what="no recipe")


def number(name, concept, unit, **more):
    return {"name": name, "kind": "number", "concepts": [concept], "unit": unit} | more


def event(name, table, concept, **more):
    return {"name": name, "kind": "event", "table": table, "concepts": [concept]} | more


def files(folder):
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))


@pytest.fixture
def made(tmp_path):
    """Write an export and make its cohort file: `made(tables, recipe)`."""

    def run_once(tables, which, kind="csv"):
        folder = write_export(tmp_path / kind, tables, kind)
        return extract(which, files(folder), lambda done, total: None)

    return run_once


def frame(found):
    return found.table.to_pandas().set_index("person_id")


# -- a second way to compute it --------------------------------------------------------------------


def by_hand(tables, which):
    """Make the file by a loop over persons."""
    rows = []
    for person in tables["person"].to_dict("records"):
        own = {n: t[t["person_id"] == person["person_id"]] for n, t in tables.items()}
        row = _one(person, own, which)
        if row is not None:
            rows.append(row)
    return pd.DataFrame(rows).set_index("person_id")


_START = {
    "visit_occurrence": ("visit_concept_id", "visit_start_date"),
    "condition_occurrence": ("condition_concept_id", "condition_start_date"),
    "drug_exposure": ("drug_concept_id", "drug_exposure_start_date"),
    "measurement": ("measurement_concept_id", "measurement_date"),
}


def _days(own, table, concepts):
    concept, start = _START[table]
    rows = own[table]
    return rows[rows[concept].isin(concepts)] if concepts else rows, start


def _one(person, own, which):
    rows, start = _days(own, which.index.table, which.index.concepts)
    if rows.empty:
        return None
    index = rows[start].min() if which.index.occurrence == "first" else rows[start].max()
    period = own["observation_period"].iloc[0]
    low, high = period["observation_period_start_date"], period["observation_period_end_date"]
    if which.index.prior_days and index - which.index.prior_days * DAY < low:
        return None
    rows, start = _days(own, which.outcome.table, which.outcome.concepts)
    since = (rows[start] - index).dt.days
    first, last = which.outcome.days
    positive = bool(((since >= first) & (since <= last)).any())
    if (since < first).any():
        return None
    died = own["death"]["death_date"]
    followed = high >= index + last * DAY or (died <= index + last * DAY).any()
    if not positive and not followed:
        return None
    row = {"person_id": person["person_id"], "infarction": int(positive)}
    for feature in which.features:
        row[feature.name] = _feature(feature, person, own, index)
    return row


def _feature(feature, person, own, index):
    if feature.kind == "age":
        return index.year - person["year_of_birth"]  # no month: born on the first of January
    if feature.kind == "sex":
        return feature.male if person["gender_concept_id"] == 8507 else feature.female
    rows, start = _days(own, feature.table, feature.concepts)
    since = (rows[start] - index).dt.days
    rows = rows[(since >= feature.days[0]) & (since <= feature.days[1])]
    if feature.kind == "event":
        return len(rows) if feature.take == "count" else int(len(rows) > 0)
    factors = {feature.unit: 1.0, **feature.factors}
    rows = rows[rows["unit_concept_id"].isin(list(factors))]
    value = rows["value_as_number"] * rows["unit_concept_id"].map(factors)
    rows, value = rows[value.notna()], value[value.notna()]
    if value.empty:
        return np.nan
    one_day = {"latest": rows[start].max(), "first": rows[start].min()}
    if feature.take in one_day:
        return value[rows[start] == one_day[feature.take]].mean()
    return {"mean": value.mean(), "lowest": value.min(), "highest": value.max()}[feature.take]


_TAKES = ("latest", "first", "mean", "lowest", "highest")


@pytest.mark.parametrize("occurrence", ["first", "last"])
@pytest.mark.parametrize("take", _TAKES)
def test_the_file_is_what_a_loop_over_persons_makes(made, occurrence, take):
    tables = make_export(persons=80, seed=len(take))
    rows = tables["measurement"]
    some = rows.sample(400, random_state=1).index
    rows.loc[some, "unit_concept_id"] = MMOL_L
    rows.loc[some, "value_as_number"] /= 18.02
    rows.loc[rows.sample(200, random_state=2).index, "value_as_number"] = np.nan
    tables["measurement"] = pd.concat([rows, rows.sample(300, random_state=3)])
    which = recipe(
        index={"table": "visit_occurrence", "occurrence": occurrence, "prior_days": 200},
        outcome=recipe().outcome.model_dump(mode="json") | {"days": [1, 90]},
        features=[
            *recipe().model_dump(mode="json")["features"][:2],
            number("glucose", GLUCOSE, MG_DL, factors={MMOL_L: 18.02}, take=take),
            number("short", PRESSURE, MMHG, take=take, days=[-100, -1]),
            event("diabetes", "condition_occurrence", DIABETES, days=[-400, 0]),
            event("metformin", "drug_exposure", METFORMIN, take="count"),
        ],
    )
    found, expected = frame(made(tables, which)), by_hand(tables, which)
    assert len(expected) > 5
    pd.testing.assert_frame_equal(
        found[sorted(found)], expected[sorted(found)], check_dtype=False, check_exact=False
    )


def test_both_formats_and_any_order_of_rows_give_the_same_file(made):
    tables = make_export(persons=50)
    plain = made(tables, recipe()).table
    assert made(tables, recipe(), "parquet").table.to_pydict() == plain.to_pydict()
    shuffled = {name: t.sample(frac=1, random_state=5) for name, t in tables.items()}
    pd.testing.assert_frame_equal(
        frame(made(shuffled, recipe())), plain.to_pandas().set_index("person_id")
    )


def test_a_patient_who_leaves_changes_nobody_elses_row(made):
    tables = make_export(persons=40)
    everybody = frame(made(tables, recipe()))
    for person in tables["person"]["person_id"].iloc[[0, 7, 23]]:
        others = {name: t[t["person_id"] != person] for name, t in tables.items()}
        pd.testing.assert_frame_equal(
            frame(made(others, recipe())), everybody.drop(index=person, errors="ignore")
        )


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feature", "fits"),
    [
        (number("late", GLUCOSE, MG_DL, days=[-30, 1]), False),
        (event("late", "drug_exposure", METFORMIN, days=[0, 10]), False),
        (number("early", GLUCOSE, MG_DL, days=[-30, 0]), True),
    ],
)
def test_a_recipe_whose_feature_can_see_the_outcome_is_refused(feature, fits):
    if fits:
        assert recipe(features=[feature]).features
        return
    with pytest.raises(ProtocolError) as refused:
        recipe(features=[feature])
    assert refused.value.code == "PR004"
    assert "when the outcome may have happened" in refused.value.why


def test_what_is_recorded_with_the_outcome_or_after_it_is_in_no_feature(made):
    tables = make_export(persons=80)
    struck = tables["condition_occurrence"]
    struck = struck[struck["condition_concept_id"] == INFARCTION]
    late = tables["measurement"].iloc[: len(struck)].copy()
    late["person_id"] = struck["person_id"].to_numpy()
    late["measurement_date"] = struck["condition_start_date"].to_numpy()
    late["measurement_id"] = np.arange(len(late))
    late["value_as_number"] = 9_999.0  # a value that only the outcome brings
    after = late.assign(measurement_date=late["measurement_date"] + 5 * DAY)
    plain = frame(made(tables, recipe()))
    tables["measurement"] = pd.concat([tables["measurement"], late, after])
    for take in _TAKES:
        which = recipe(features=[number("pressure", PRESSURE, MMHG, take=take, days=[-9_000, 0])])
        found = made(tables, which)
        assert frame(found)["pressure"].max() < 9_999
        assert found.columns[0].after_outcome >= 2 * found.positive
    pd.testing.assert_frame_equal(frame(made(tables, recipe())), plain)


def test_what_comes_with_the_outcome_alone_is_counted_for_it_and_filled_for_nobody(made):
    tables = make_export(persons=60)
    struck = tables["condition_occurrence"]
    struck = struck[struck["condition_concept_id"] == INFARCTION]
    told = pd.DataFrame({"drug_exposure_id": np.arange(len(struck))})
    told["person_id"] = struck["person_id"].to_numpy()
    told["drug_concept_id"] = 1112807  # given because of the outcome, on its day
    told["drug_exposure_start_date"] = struck["condition_start_date"].to_numpy()
    told["drug_exposure_end_date"] = told["drug_exposure_start_date"]
    told["drug_type_concept_id"] = 32817
    tables["drug_exposure"] = told
    which = recipe(features=[event("aspirin", "drug_exposure", 1112807)])
    found = made(tables, which)
    assert found.columns[0].after_outcome == found.positive > 5
    assert set(frame(found)["aspirin"]) == {0}


def test_who_had_it_before_or_was_not_observed_to_the_end_is_left_out_and_counted(made):
    tables = make_export(persons=50)
    ids = tables["person"]["person_id"]
    conditions = tables["condition_occurrence"]
    early = conditions.iloc[:4].assign(
        condition_concept_id=INFARCTION,
        person_id=ids.iloc[:4].to_numpy(),
        condition_start_date=pd.Timestamp("2015-01-01"),
    )
    tables["condition_occurrence"] = pd.concat([conditions, early])
    visits = tables["visit_occurrence"]
    tables["visit_occurrence"] = visits[~visits["person_id"].isin(ids.iloc[4:7])]
    found = made(tables, recipe(index={"table": "visit_occurrence", "occurrence": "last"}))
    assert found.left_out["no index event"] == 3
    assert found.left_out["had the outcome before"] >= 4
    assert found.left_out["not observed to the end"] > 0
    assert len(found.table) + sum(found.left_out.values()) == found.persons == 50
    assert found.positive == found.table["infarction"].to_pylist().count(1)


def test_who_died_without_the_outcome_was_observed_to_the_end(made):
    tables = make_export(persons=30)
    tables["condition_occurrence"] = tables["condition_occurrence"].iloc[:0]
    first = tables["visit_occurrence"].groupby("person_id")["visit_start_date"].min()
    periods = tables["observation_period"]
    periods["observation_period_end_date"] = periods["person_id"].map(first) + 100 * DAY
    tables["death"] = pd.DataFrame(
        {"person_id": first.index[:10], "death_date": first.to_numpy()[:10] + 100 * DAY}
    )
    found = made(tables, recipe())
    assert sorted(found.table["person_id"].to_pylist()) == first.index[:10].tolist()
    assert set(found.table["infarction"].to_pylist()) == {0}
    assumed = recipe(outcome=recipe().outcome.model_dump(mode="json") | {"follow_up": "assumed"})
    assert len(made(tables, assumed).table) == 30


def test_death_can_be_the_outcome(made):
    tables = make_export(persons=60)
    first = tables["visit_occurrence"].groupby("person_id")["visit_start_date"].min()
    tables["death"]["death_date"] = tables["death"]["person_id"].map(first) + 300 * DAY
    outcome = {"name": "died", "table": "death", "days": [1, 365], "follow_up": "assumed"}
    found = made(tables, recipe(outcome=outcome))
    died = set(tables["death"]["person_id"])
    assert {p for p, d in frame(found)["died"].items() if d} == died


# -- units and what is missing ---------------------------------------------------------------------


def test_numbers_in_a_unit_without_a_factor_are_not_used_and_are_counted(made):
    tables = make_export(persons=40)
    rows = tables["measurement"]
    rows.loc[rows["measurement_concept_id"] == CREATININE, "unit_concept_id"] = 8749
    which = recipe(features=[number("creatinine", CREATININE, MG_DL, days=[-9_000, 0])])
    (column,) = made(tables, which).columns
    assert column.recorded == 0
    assert column.other_unit > 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.pop("drug_exposure"), "there is no drug_exposure"),
        (lambda t: t.pop("observation_period"), "there is no observation_period"),
        (lambda t: t["measurement"].drop(columns="measurement_type_concept_id", inplace=True),
         "measurement lacks measurement_type_concept_id"),
    ],
)  # fmt: skip
def test_tables_that_the_recipe_needs_are_named_when_they_are_not_there(made, spoil, words):
    tables = make_export(persons=20)
    spoil(tables)
    with pytest.raises(DataError) as refused:
        made(tables, recipe())
    assert refused.value.code == "DA045"
    assert words in refused.value.why


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(-9, 9)), min_size=1),
    st.integers(1, 4),
)
def test_batches_change_nothing_that_is_gathered(rows, size):
    person, day, value = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    kinds = (
        *(lambda: Occurrences(4, counted=True), lambda: Mean(4)),
        *(lambda: Extreme(4, highest=True), lambda: Extreme(4, highest=False)),
        *(lambda: OfOneDay(4, latest=True), lambda: OfOneDay(4, latest=False)),
    )
    for make in kinds:
        whole, parts = make(), make()
        whole.add(person, day, value.astype(float))
        for start in range(0, len(rows), size):
            cut = slice(start, start + size)
            parts.add(person[cut], day[cut], value[cut].astype(float))
        np.testing.assert_allclose(whole.result(), parts.result())
