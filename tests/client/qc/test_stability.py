"""The privacy argument of `cordon_common/qc/PROOF.md`, attacked: add a patient, see who changes.

Cohorts are drawn from few values, so that copies, twins, conflicts and full caps are common.
"""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon_client.qc.cells import MISSING, UNKNOWN, NumberColumn
from cordon_client.qc.columns import StudyTable
from cordon_client.qc.fates import RECORD_FATES, decide_fates
from cordon_client.qc.identity import is_holdout
from cordon_client.qc.measure import summary_vector
from cordon_common.qc.fates import RecordFate
from cordon_common.qc.rules import exclusion_stability
from cordon_common.qc.summary import qc_layout

KEY = bytes(range(32))
NAN, BAD = math.nan, math.inf

# A record: (number with impossible values excluded, number with them set missing, category, label)
RECORDS = st.tuples(
    st.sampled_from([10.0, 100.0, 250.0, NAN, BAD]),
    st.sampled_from([0.0, 100.0, -5.0, NAN, BAD]),
    st.sampled_from([0, 1, MISSING, UNKNOWN]),
    st.sampled_from([1, 0, MISSING, UNKNOWN]),
)
USUAL = st.tuples(
    st.sampled_from([10.0, 20.0]), st.just(5.0), st.sampled_from([0, 1]), st.sampled_from([0, 1])
)
PATIENT = st.lists(st.one_of(RECORDS, USUAL), min_size=1, max_size=5)
COHORT = st.lists(PATIENT, min_size=0, max_size=8)


@pytest.fixture(scope="module")
def build_study(make_study, number, category):
    def build(**options):
        features = [number(), number("z", impossible="missing"), category(unknown="exclude")]
        return make_study(features, **options)

    return build


def table(cohort, *, with_ids=True, belongs_to_nobody=()):
    """Lay a cohort {id: [record, …]} out as one table, plus records without an id."""
    rows = [(name, record) for name, records in cohort.items() for record in records]
    rows += [(None, record) for record in belongs_to_nobody]
    names = sorted(cohort)

    def column(place, dtype):
        return np.array([record[place] for _, record in rows], dtype=dtype)

    def numeric(place):
        values = column(place, np.float64)
        invalid = np.isinf(values)
        return NumberColumn(np.where(invalid, NAN, values), invalid, 0)

    patient = [MISSING if name is None else names.index(name) for name, _ in rows]
    return StudyTable(
        numbers={"x": numeric(0), "z": numeric(1)},
        categories={"c": column(2, np.int64)},
        labels=column(3, np.int8),
        ids=tuple(names) if with_ids else None,
        patient=np.array(patient, dtype=np.int64) if with_ids else None,
        records=len(rows),
    )


def outcome(study, cohort):
    """Return per patient: what became of each record, and on which side the kept ones fall."""
    data = table(cohort)
    fates = decide_fates(study, data, KEY)
    result = defaultdict(Counter)
    for row, number in enumerate(fates.patient.tolist()):
        fate = RECORD_FATES[fates.records[row]]
        side = is_holdout(fates.hashes[number], 0.5) if fate is RecordFate.KEPT else None
        content = data.content(study.cohort)[row].tobytes()
        result[data.ids[number]][content, fate, side] += 1
    return dict(result)


def named(cohort):
    return {f"p{index}": records for index, records in enumerate(cohort)}


def vector(study, data):
    return summary_vector(study, data, decide_fates(study, data, KEY))[1]


def moved(study, before, after):
    return float(np.linalg.norm(vector(study, after) - vector(study, before)))


@pytest.mark.parametrize("cap", [1, 2])
@pytest.mark.parametrize("duplicates", ["warn", "exclude"])
@given(cohort=COHORT, patient=PATIENT, name=st.sampled_from(["a", "q"]))
def test_one_patient_changes_at_most_the_declared_number_of_fates(
    build_study, cap, duplicates, cohort, patient, name
):
    study = build_study(patient_id="id", cap=cap, duplicates=duplicates)
    before = outcome(study, named(cohort))
    after = outcome(study, named(cohort) | {name: patient})
    changed = [other for other in before if before[other] != after[other]]
    assert len(changed) + 1 <= exclusion_stability(study)
    if duplicates == "warn":
        assert changed == []


@pytest.mark.parametrize("cap", [1, 2, 3])
@pytest.mark.parametrize("duplicates", ["warn", "exclude"])
@pytest.mark.parametrize("harmonise", [False, True])
@given(cohort=COHORT, patient=PATIENT, name=st.sampled_from(["a", "q"]))
def test_one_patient_moves_the_summary_by_at_most_the_declared_sensitivity(
    build_study, cap, duplicates, harmonise, cohort, patient, name
):
    study = build_study(patient_id="id", cap=cap, duplicates=duplicates)
    study = study.model_copy(update={"qc": study.qc.model_copy(update={"harmonise": harmonise})})
    bound = qc_layout(study).l2_sensitivity(study)
    before, after = table(named(cohort)), table(named(cohort) | {name: patient})
    assert moved(study, before, after) <= bound


@given(cohort=COHORT, record=st.one_of(RECORDS, USUAL), copies=st.integers(1, 4))
def test_without_ids_one_row_and_its_copies_move_the_summary_by_at_most_the_sensitivity(
    build_study, cohort, record, copies
):
    study = build_study()
    rows = named([[row] for records in cohort for row in records])
    absent = {name: rows[name] for name in rows if not same(rows[name][0], record)}
    present = absent | {"q": [record] * copies}
    bound = qc_layout(study).l2_sensitivity(study)
    change = moved(study, table(absent, with_ids=False), table(present, with_ids=False))
    assert change <= bound


@given(cohort=COHORT, record=st.one_of(RECORDS, USUAL))
def test_without_ids_a_second_person_with_equal_data_is_covered_too(build_study, cohort, record):
    study = build_study()
    rows = named([[record], *([row] for records in cohort for row in records)])
    before = table(rows, with_ids=False)
    after = table(rows | {"twin": [record]}, with_ids=False)
    assert moved(study, before, after) <= math.sqrt(2)


def same(a, b):
    return np.array_equal(np.array(a), np.array(b), equal_nan=True)


@pytest.mark.parametrize("with_ids", [True, False])
@given(cohort=COHORT, data=st.data())
def test_the_order_of_the_file_changes_nothing(build_study, with_ids, cohort, data):
    options = {"patient_id": "id", "cap": 2, "duplicates": "exclude"} if with_ids else {}
    study = build_study(**options)
    cohort = named(cohort)
    shuffled = {name: data.draw(st.permutations(rows)) for name, rows in cohort.items()}
    shuffled = dict(data.draw(st.permutations(list(shuffled.items()))))
    first = vector(study, table(cohort, with_ids=with_ids))
    assert first.tolist() == vector(study, table(shuffled, with_ids=with_ids)).tolist()
    if with_ids:
        assert outcome(study, cohort) == outcome(study, shuffled)


@given(cohort=COHORT, lost=st.lists(RECORDS, min_size=1, max_size=4))
def test_records_without_an_id_do_not_touch_the_summary(build_study, cohort, lost):
    study = build_study(patient_id="id", cap=2)
    cohort = named(cohort)
    assert moved(study, table(cohort), table(cohort, belongs_to_nobody=lost)) == 0


def test_the_declared_sensitivity_is_reached_so_it_is_not_too_large(build_study):
    study = build_study(patient_id="id")
    bound = qc_layout(study).l2_sensitivity(study)
    empty, one = table({}), table({"a": [(100.0, 100.0, 0, 1)]})
    assert moved(study, empty, one) == pytest.approx(bound, rel=1e-12)


def test_a_twin_can_change_two_fates_which_is_why_its_rule_has_stability_two(build_study):
    study = build_study(patient_id="id", duplicates="exclude")
    twin = [(10.0, 5.0, 0, 1)]
    changed = 0
    for name in ("a", "b", "c", "d", "e", "f"):
        before = outcome(study, {"p": twin})
        after = outcome(study, {"p": twin, name: twin})
        changed += before["p"] != after["p"]
    assert changed  # the smallest keyed hash stays, whichever name it belongs to


@pytest.mark.parametrize("cap", [1, 2])
@given(cohort=COHORT, data=st.data(), name=st.sampled_from(["a", "b", "q", "r"]))
def test_a_twin_changes_neither_what_trains_nor_what_is_held_out(
    build_study, cap, cohort, data, name
):
    """So training and held-out patients stay disjoint contents, and the two compose in parallel."""
    study = build_study(patient_id="id", cap=cap, duplicates="exclude")
    twin = data.draw(st.sampled_from([*cohort, [(10.0, 5.0, 0, 1)]]))
    before = named([twin, *cohort])

    def kept(patients):
        seen = outcome(study, patients).values()
        return sum((Counter(dict(one)) for one in seen), Counter())

    def sides(patients):
        return {key: n for key, n in kept(patients).items() if key[1] is RecordFate.KEPT}

    assert sides(before) == sides(before | {name: twin})


@given(patient=PATIENT, cap=st.integers(1, 3))
def test_a_patient_moves_the_sums_of_a_harmonised_feature_by_at_most_their_bound(
    build_study, patient, cap
):
    """The block by itself: room that other parts of the vector leave cannot hide an excess."""
    study = build_study(patient_id="id", cap=cap)
    study = study.model_copy(update={"qc": study.qc.model_copy(update={"harmonise": True})})
    spec = qc_layout(study).moments
    sums = vector(study, table(named([patient])))[-2 * len(spec.features) :] / spec.weight
    for totals, squares in zip(*np.split(sums, 2), strict=True):
        assert math.hypot(totals, squares) <= math.sqrt(5) / 2


@settings(max_examples=40)
@given(cohort=st.lists(PATIENT, min_size=2, max_size=8))
def test_a_patient_counts_as_one_in_every_histogram(build_study, cohort):
    study = build_study(patient_id="id", cap=3)
    layout = qc_layout(study)
    whole = vector(study, table(named(cohort)))
    position = 0
    for spec in layout.histograms:
        total = whole[position : position + len(spec.cells)].sum() / spec.weight
        position += len(spec.cells)
        assert total <= len(cohort)
        if spec.kind in {"fate", "label"}:
            assert total == pytest.approx(len(cohort), abs=1e-4)
