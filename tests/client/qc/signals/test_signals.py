"""Series: real recordings pass, planted faults are named, readings over time are judged by time."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.signals.modality import check_sample, longest_run, recognises
from cordon_client.qc.signals.read import RegularSeries, TimedSeries, read_signals
from cordon_common.errors import DataError
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

PROFILE = builtin_profile("signals.v1")


def quiet(done, total):
    assert 0 <= done <= total


def judged(path):
    found = check_sample(SampleFiles("x", (path,)), PROFILE, quiet)
    return found.stats, {r.check: r.severity for r in found.results}


@given(arrays(np.int64, (3, 9), elements=st.integers(0, 2)))
def test_the_longest_run_equals_a_loop_over_the_readings(values):
    expected = []
    for row in values.tolist():
        best = run = 1
        for before, after in itertools.pairwise(row):
            run = run + 1 if before == after else 1
            best = max(best, run)
        expected.append(best)
    assert longest_run(values.astype(float)).tolist() == expected


def test_real_heart_beats_have_no_fault_but_rare_labels(shared_data):
    path = shared_data / "ecg5000/ECG5000_TRAIN.txt"
    assert recognises(path)
    stats, severities = judged(path)
    assert (stats["series"], stats["length"], stats["flat"], stats["clipped"]) == (500, 140, 0, 0)
    assert severities.pop("signal.balance") is Severity.WARN
    assert Severity.WARN not in severities.values()


def beats(shared_data):
    series = read_signals(shared_data / "ecg5000/ECG5000_TRAIN.txt")
    return series.values.copy()


def flat(values):
    values[:20, 30:100] = values[:20, 30:31]


def clipped(values):
    values[:20] = values[:20].clip(-1, 1)


def missing(values):
    values[:, 10:80] = np.nan


def short(values):
    values[:20, 100:] = np.nan


def copied(values):
    values[:20] = values[20:40]


FAULTS = {
    "signal.flat": flat,
    "signal.clipped": clipped,
    "signal.missing": missing,
    "signal.length": short,
    "signal.duplicates": copied,
}


@pytest.mark.parametrize("check", FAULTS)
def test_a_planted_fault_is_named(shared_data, tmp_path, check):
    values = beats(shared_data)
    FAULTS[check](values)
    path = tmp_path / "x.npz"
    np.savez(path, beats=values)
    assert recognises(path)
    _, severities = judged(path)
    assert severities[check] is Severity.WARN


def test_readings_of_patients_are_judged_by_their_times(shared_data):
    path = shared_data / "covid19_tongji_timeseries/time_series_375_preprocess_en.csv"
    assert isinstance(read_signals(path), TimedSeries)
    stats, severities = judged(path)
    assert stats["series"] == 375
    assert severities["signal.missing"] is Severity.WARN
    assert severities["signal.gaps"] is Severity.WARN
    assert severities["signal.flat"] is Severity.NOT_APPLICABLE


def test_a_steady_rate_passes_and_time_that_goes_back_is_named(tmp_path):
    rows = [f"{p},2024-01-{1 + d:02d},{p * d % 7}\n" for p in range(5) for d in range(20)]
    path = tmp_path / "x.csv"
    path.write_text("patient_id,time,crp\n" + "".join(rows))
    _, severities = judged(path)
    assert severities["signal.gaps"] is Severity.PASS
    assert severities["signal.order"] is Severity.PASS
    path.write_text("patient_id,time,crp\n" + "".join([rows[1], rows[0], *rows[2:]]))
    assert judged(path)[1]["signal.order"] is Severity.WARN


def test_a_table_of_patients_and_times_is_a_clinical_table_first(shared_data):
    path = shared_data / "covid19_tongji_timeseries/time_series_375_preprocess_en.csv"
    assert not recognises(path)


@pytest.mark.parametrize("text", ["one two three\n", "1 2 3\n", ""])
def test_what_holds_no_series_is_refused(tmp_path, text):
    path = tmp_path / "x.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_signals(path)
    assert caught.value.code == "DA070"


def test_a_reading_that_is_no_number_is_refused(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text(" ".join(map(str, range(30))) + "\n" + "x " * 30 + "\n")
    with pytest.raises(DataError) as caught:
        read_signals(path)
    assert caught.value.code == "DA070"


def test_rows_without_labels_have_none(tmp_path):
    path = tmp_path / "x.txt"
    lines = np.random.default_rng(0).normal(size=(12, 30))
    path.write_text("\n".join(" ".join(f"{v:.4f}" for v in row) for row in lines))
    found = read_signals(path)
    assert isinstance(found, RegularSeries)
    assert (found.values.shape, found.labels) == ((12, 30), None)
