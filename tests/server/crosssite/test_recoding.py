"""Maps of cells to cells, held against values that are written in another unit and counted anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from summaries import HEART

from cordon_common.qc.summary import bin_edges
from cordon_server.crosssite.recoding import other_codes, other_units, recodings

FEATURES = {feature.name: feature for feature in HEART.cohort.measured}
CHOL = FEATURES["chol"].model_copy(update={"range": (1.0, 1000.0)})


@given(factor=st.floats(0.05, 40).filter(lambda f: abs(f - 1) > 0.01), seed=st.integers(0, 99))
def test_values_written_in_another_unit_fall_where_the_map_says(factor, seed):
    """A second way: draw values inside the cells, rescale them, count them again."""
    rng = np.random.default_rng(seed)
    feature = CHOL.model_copy(update={"unit_factors": {"other": factor}})
    edges = np.array(bin_edges(feature, 10))
    shares = rng.dirichlet(np.ones(len(edges)))
    strange = len(edges) - 1
    cell = rng.choice(len(shares), 40_000, p=shares)
    inside = cell[cell < strange]
    values = rng.uniform(edges[inside], edges[inside + 1])
    left, twice = other_units(feature, 10)
    for recoding, scale in ((left, 1 / factor), (twice, factor)):
        counted = np.histogram(values * scale, edges)[0] / len(cell)
        expected = shares @ recoding.matrix
        assert expected[:-1] == pytest.approx(counted, abs=0.012)
        assert expected.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("feature", [*FEATURES.values(), CHOL], ids=lambda f: f.name)
def test_every_map_moves_all_patients_and_strange_ones_stay(feature):
    for recoding in recodings(feature, 10):
        assert recoding.matrix.sum(axis=1) == pytest.approx(1.0)
        assert recoding.matrix.min() >= 0
        assert recoding.matrix[-1, -1] == 1


def test_codes_are_permuted_or_shifted_and_say_how():
    words = [recoding.words for recoding in other_codes(FEATURES["sex"])]
    assert words == [
        "with 0 as 1, 1 as 0",
        "with every code one higher",
        "with every code one lower",
    ]
    higher = other_codes(FEATURES["sex"])[1].matrix
    assert higher.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert len(other_codes(FEATURES["cp"])) == 23 + 2


def test_a_shift_that_leaves_no_known_code_and_a_shift_of_words_are_not_tried():
    apart = FEATURES["sex"].model_copy(update={"categories": ("1", "5")})
    assert [r.words for r in other_codes(apart)] == ["with 1 as 5, 5 as 1"]
    assert len(other_codes(FEATURES["thal"])) == 5 + 2  # one higher, 6 is 7
    words = FEATURES["sex"].model_copy(update={"categories": ("female", "male")})
    assert [r.words for r in other_codes(words)] == ["with female as male, male as female"]


def test_a_number_without_other_units_has_no_recoding():
    assert recodings(FEATURES["age"], 10) == ()
