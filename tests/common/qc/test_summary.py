"""The summary's layout, its sensitivity by hand, and the way from counts to estimates."""

import math

import numpy as np
import pytest

from cordon_common.errors import ProtocolError
from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.qc.fates import patient_fates
from cordon_common.qc.shown import shown_of
from cordon_common.qc.summary import (
    FATE,
    LABEL,
    SHARE,
    bin_edges,
    decode,
    encode,
    qc_layout,
)


@pytest.fixture
def study(make_study, number, category):
    return make_study([number(), category()], bins=4)


def counts_for(layout):
    """Give cell number i of the vector i whole patients."""
    counts, position = {}, 0
    for spec in layout.histograms:
        cells = np.arange(position, position + len(spec.cells), dtype=np.int64)
        counts[spec.name] = cells * SHARE
        position += len(spec.cells)
    return counts


def test_the_layout_is_fates_then_outcome_then_one_histogram_per_feature(study):
    layout = qc_layout(study)
    assert [spec.name for spec in layout.histograms] == [FATE, LABEL, "x", "c"]
    assert layout.histograms[2].cells == (
        *("0 to 25", "25 to 50", "50 to 75", "75 to 100"),
        *("out of range", "missing, positive", "missing, negative"),
    )
    assert layout.histograms[3].cells[:4] == ("a", "b", "c", "unknown")
    assert [(c.feature, c.category) for c in layout.effects.columns] == [
        ("x", None),
        *(("c", category) for category in ("a", "b", "c")),
    ]
    assert layout.dimension == 8 + 3 + 7 + 6 + 4


def test_the_sensitivity_of_few_features_is_the_root_of_the_number_of_histograms(study):
    layout = qc_layout(study)
    assert {spec.weight for spec in layout.histograms} == {1.0}
    assert layout.l2_sensitivity(study) == pytest.approx(math.sqrt(6), rel=1e-12)
    assert layout.l2_sensitivity(study) >= math.sqrt(6)


def test_many_features_share_the_precision_of_two_histograms(make_study, number):
    study = make_study([number(f"x{i}") for i in range(30)])
    layout = qc_layout(study)
    weight = layout.histograms[2].weight
    assert weight == 16 / 64  # floor(64 · √(2/30)) / 64
    assert layout.l2_sensitivity(study) == pytest.approx(math.sqrt(1 + 1 + 30 / 16 + 30 / 16))
    assert layout.l2_sensitivity(study) < math.sqrt(6)


def test_leaving_out_twins_makes_the_fates_more_sensitive(make_study, number):
    study = make_study([number()], patient_id="id", duplicates="exclude")
    by_hand = math.sqrt((1 + math.sqrt(2)) ** 2 + 1 + 1 + 1)
    assert qc_layout(study).l2_sensitivity(study) == pytest.approx(by_hand, rel=1e-12)


def test_counts_survive_encoding_scaling_and_decoding(study):
    layout = qc_layout(study)
    cells = layout.dimension - len(layout.effects.columns)
    vector = encode(layout, counts_for(layout), np.array([-5, 9, 0, 1]) * SHARE)
    assert vector.tolist() == [*range(cells), -5, 9, 0, 1]
    gamma = 2.0**20
    noisy = np.rint(vector * gamma).astype(np.int64)
    summary = decode(layout, noisy, grid_per_unit=gamma, noise_std_grid=3 * gamma)
    flat = np.concatenate([h.counts for h in summary.histograms.values()])
    assert flat.tolist() == list(range(cells))
    assert (summary.effects.sums.tolist(), summary.effects.std) == ([-5, 9, 0, 1], 3.0)
    assert {h.std for h in summary.histograms.values()} == {3.0}
    assert summary.kept.value == 0 + 1 + 2
    assert summary.kept.std == pytest.approx(3 * math.sqrt(3))
    assert summary.patients.value == sum(range(len(patient_fates(study))))


def test_a_small_weight_means_more_noise_per_patient(make_study, number):
    study = make_study([number(f"x{i}") for i in range(8)])
    layout = qc_layout(study)
    vector = encode(layout, counts_for(layout))
    summary = decode(
        layout, np.rint(vector * 64).astype(np.int64), grid_per_unit=64.0, noise_std_grid=64.0
    )
    assert summary.histograms[FATE].std == 1.0
    assert summary.histograms["x0"].std == 2.0  # weight 1/2
    assert summary.histograms["x0"].counts.tolist() == list(range(11, 11 + 13))


def test_negative_noise_is_neither_clipped_nor_shown(study):
    layout = qc_layout(study)
    noisy = np.full(layout.dimension, -7, dtype=np.int64)
    summary = decode(layout, noisy, grid_per_unit=1.0, noise_std_grid=5.0)
    assert summary.kept.value == -21
    shown = shown_of(summary)
    assert not any(shown.allows("x", cell) for cell in summary.histograms["x"].spec.cells)
    assert (shown.patients, shown.kept) == (False, False)


@pytest.mark.parametrize(
    "noisy", [np.zeros(3, dtype=np.int64), np.zeros(24, dtype=np.float64), np.zeros((1, 24))]
)
def test_a_vector_of_another_shape_or_type_is_refused(study, noisy):
    with pytest.raises(ProtocolError) as caught:
        decode(qc_layout(study), noisy, grid_per_unit=1.0, noise_std_grid=1.0)
    assert caught.value.code == "PR008"


def test_counts_that_do_not_fit_the_layout_are_a_programming_error(study):
    layout = qc_layout(study)
    counts = counts_for(layout)
    counts["x"] = counts["x"][:-1]
    with pytest.raises(ValueError, match="do not fit"):
        encode(layout, counts)


@pytest.mark.parametrize(
    ("typical", "bins", "edges"),
    [
        (None, 4, [0, 25, 50, 75, 100]),
        ([20, 60], 6, [0, 20, 30, 40, 50, 60, 100]),
        ([0, 60], 4, [0, 20, 40, 60, 100]),
        ([0, 100], 4, [0, 25, 50, 75, 100]),
        ([20, 60], 2, [0, 50, 100]),
    ],
)
def test_edges_are_public_and_finest_where_values_are_usual(number, typical, bins, edges):
    feature = NumberFeature.model_validate(number(typical=typical))
    assert bin_edges(feature, bins) == tuple(edges)
    assert len(edges) - 1 == bins


def test_edges_of_amounts_have_equal_ratios(number):
    feature = NumberFeature.model_validate(
        number(range=[0, 1], typical=[1e-6, 1], scale="detection", expected=0.2)
    )
    np.testing.assert_allclose(bin_edges(feature, 4), [0, 1e-6, 1e-4, 1e-2, 1])
