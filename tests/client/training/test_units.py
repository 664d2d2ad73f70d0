"""The patient is the unit: twelve records of one patient together move the sum by C at most.

The opponent chooses all twelve records, every label and the weights that come in. An engine that
clips records, not patients, stands beside ours: it moves by up to 12 · C, so the search can fail.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from cordon_client.records import Tensors
from cordon_client.training import fedsgd
from cordon_client.training.fedsgd import round_sum
from cordon_client.training.opacus_engine import PerRecordHooks
from cordon_common.privacy.sensitivity import FLOAT_SLACK
from cordon_common.protocol.layout import dimension

RECORDS = 12
INPUTS = 5
CLIP_NORM = 0.3
OTHERS = 6
MODELS = {"logistic": (), "perceptron": (6,), "wide, in float32": (200,)}

NUMBERS = st.one_of(
    st.floats(-10, 10),
    st.sampled_from([0.0, 1e-300, -1e-12, 1e6, -1e9, 1e15, -1e150, 1e300, 1.7e308]),
    st.sampled_from([np.nan, np.inf, -np.inf]),
)


@st.composite
def hostile_records(draw):
    """Twelve records that agree, cancel but for a rounding error, or have nothing in common."""
    kind = draw(st.sampled_from(["equal", "opposite", "free"]))
    if kind == "free":
        rows = draw(st.lists(NUMBERS, min_size=RECORDS * INPUTS, max_size=RECORDS * INPUTS))
        inputs = np.array(rows).reshape(RECORDS, INPUTS)
    else:
        one = np.array(draw(st.lists(NUMBERS, min_size=INPUTS, max_size=INPUTS)))
        inputs = np.tile(one, (RECORDS, 1))
        if kind == "opposite":
            with np.errstate(over="ignore"):
                inputs[::2] *= -(1 + draw(st.sampled_from([0.0, 1e-15, 1e-9, 1e-3])))
    labels = draw(st.sampled_from([np.ones(RECORDS), np.zeros(RECORDS), np.arange(RECORDS) % 2.0]))
    return inputs, labels


def cohort(study, inputs, labels):
    """Return (everybody, everybody but the patient with these records); the patient stands first."""
    rng = np.random.default_rng(7)
    owner = np.repeat(np.arange(OTHERS), RECORDS)
    others = Tensors(
        rng.normal(size=(owner.size, INPUTS)),
        rng.integers(0, 2, owner.size).astype(np.float64),
        owner,
        OTHERS,
    )
    everybody = Tensors(
        np.concatenate([inputs, others.inputs]),
        np.concatenate([labels, others.labels]),
        np.concatenate([np.zeros(len(labels), dtype=np.int64), owner + 1]),
        OTHERS + 1,
    )
    assert study.cohort.max_records_per_patient >= RECORDS
    return everybody, others


def per_record(tensors, weights, study):
    """The mistake: every record is clipped as if it were a patient of its own."""
    records = len(tensors.labels)
    return round_sum(
        dataclasses.replace(tensors, patients=np.arange(records), n_patients=records),
        weights,
        study,
    )


def pull(sum_of, study, weights, inputs, labels):
    """By how many C the sum moves when the patient leaves with all records."""
    with_patient, without = cohort(study, inputs, labels)
    moved = sum_of(with_patient, weights, study) - sum_of(without, weights, study)
    return float(np.linalg.norm(moved)) / CLIP_NORM


def chosen_weights(study, scale):
    return scale * np.random.default_rng(1).normal(size=dimension(study))


@pytest.fixture
def twelve(make_study):
    return {
        name: make_study(
            inputs=INPUTS,
            hidden=hidden,
            records_per_patient=RECORDS,
            training={"clip_norm": CLIP_NORM},
        )
        for name, hidden in MODELS.items()
    }


@pytest.mark.parametrize("model", MODELS)
def test_no_twelve_records_that_a_search_finds_move_the_sum_by_more_than_c(twelve, model):
    study = twelve[model]

    @settings(deadline=None)
    @given(records=hostile_records(), scale=st.sampled_from([0.0, 0.1, 1.0, 30.0, 1e8]))
    def search(records, scale):
        moved = pull(round_sum, study, chosen_weights(study, scale), *records)
        target(moved)
        assert moved <= 1 + FLOAT_SLACK

    search()


@pytest.mark.parametrize("model", MODELS)
def test_twelve_equal_records_reach_c_and_an_engine_per_record_twelve_times_that(twelve, model):
    study = twelve[model]
    inputs, labels = np.full((RECORDS, INPUTS), 9.0), np.ones(RECORDS)
    weights = -np.abs(chosen_weights(study, 0.01))
    assert 0.999 < pull(round_sum, study, weights, inputs, labels) <= 1 + FLOAT_SLACK
    assert 11.99 < pull(per_record, study, weights, inputs, labels) <= RECORDS * (1 + FLOAT_SLACK)


def test_the_search_finds_an_engine_that_clips_records(twelve):
    study = twelve["logistic"]

    @settings(deadline=None, max_examples=200, database=None, derandomize=True)
    @given(records=hostile_records(), scale=st.sampled_from([0.0, 0.1, 1.0]))
    def search(records, scale):
        assert pull(per_record, study, chosen_weights(study, scale), *records) <= 1 + FLOAT_SLACK

    with pytest.raises(AssertionError):
        search()


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e15, 1e300, np.inf, np.nan])
def test_the_reference_engine_holds_twelve_records_to_c_as_well(twelve, monkeypatch, scale):
    monkeypatch.setattr(fedsgd, "engine_for", PerRecordHooks)
    study = twelve["perceptron"]
    rng = np.random.default_rng(2)
    for _ in range(10):
        inputs, labels = rng.normal(size=(RECORDS, INPUTS)), rng.integers(0, 2, RECORDS) * 1.0
        inputs[rng.integers(RECORDS)] *= scale
        moved = pull(round_sum, study, chosen_weights(study, 1.0), inputs, labels)
        assert moved <= 1 + FLOAT_SLACK


@pytest.mark.parametrize("cap", [1, 3, 12])
def test_records_beyond_what_the_study_takes_change_nothing(make_study, cap):
    study = make_study(inputs=INPUTS, records_per_patient=cap, training={"clip_norm": CLIP_NORM})
    rng = np.random.default_rng(3)
    inputs, labels = rng.normal(size=(20, INPUTS)), np.ones(20)
    owner = np.zeros(20, dtype=np.int64)
    weights = chosen_weights(study, 1.0)
    capped = round_sum(Tensors(inputs[:cap], labels[:cap], owner[:cap], 1), weights, study)
    inputs[cap:] *= 1e9
    whole = round_sum(Tensors(inputs, labels, owner, 1), weights, study)
    assert np.array_equal(whole, capped)


def test_a_patient_with_one_record_and_one_with_twelve_count_alike(twelve):
    """Averaged, not added: twelve copies of a record are worth that record."""
    study = twelve["logistic"]
    record, weights = np.full((1, INPUTS), 0.02), chosen_weights(study, 0.1)
    one = Tensors(record, np.ones(1), np.zeros(1, dtype=np.int64), 1)
    twelve_copies = Tensors(
        np.tile(record, (RECORDS, 1)), np.ones(RECORDS), np.zeros(RECORDS, dtype=np.int64), 1
    )
    difference = round_sum(twelve_copies, weights, study) - round_sum(one, weights, study)
    assert np.linalg.norm(difference) <= 1e-14
