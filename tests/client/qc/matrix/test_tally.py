"""Tallies of counts are integers that merge in any order, however the features are split."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cordon_client.qc.matrix.tally import CountTally, FeatureKinds, feature_kinds, tally

COUNTS = st.lists(st.one_of(st.integers(0, 10**6), st.just(0)), min_size=1, max_size=120)


def kinds_of(n):
    mask = np.arange(n) % 3 == 0
    return FeatureKinds(mask, ~mask, mask)


def part(counts, rows):
    kinds = kinds_of(len(counts))
    own = FeatureKinds(kinds.mitochondrial[rows], kinds.ribosomal[rows], kinds.spike[rows])
    return tally(np.array(counts, dtype=float)[rows], own)


@given(COUNTS, st.data())
def test_any_split_of_the_features_merges_to_the_tally_of_the_whole(counts, data):
    places = np.arange(len(counts))
    cut = data.draw(st.integers(0, len(counts)))
    order = np.array(data.draw(st.permutations(places.tolist())), dtype=int)
    whole = part(counts, places)
    first, second = part(counts, order[:cut]), part(counts, order[cut:])
    assert first + second == whole
    assert second + first == whole


@given(COUNTS, COUNTS, COUNTS)
def test_merging_is_associative_with_the_empty_tally_as_identity(one, two, three):
    a, b, c = (part(x, np.arange(len(x))) for x in (one, two, three))
    assert (a + b) + c == a + (b + c)
    assert a + CountTally() == a


@given(COUNTS)
def test_the_tally_agrees_with_a_loop_over_the_values(counts):
    found = part(counts, np.arange(len(counts)))
    assert found.total == sum(counts)
    assert found.expressed == sum(c >= 10 for c in counts)
    assert found.mitochondrial == sum(counts[::3])
    if sum(counts):
        assert found.top_share(20) == sum(sorted(counts, reverse=True)[:20]) / sum(counts)


def test_values_that_no_count_can_be_make_shares_not_assessable():
    found = tally(np.array([1.5, -2.0, np.nan, 4.0]), kinds_of(4))
    assert (found.fractional, found.negative, found.missing, found.total) == (1, 1, 1, 4)
    assert found.top_share(1) is None


def test_a_matrix_without_mitochondrial_genes_has_no_share_instead_of_zero():
    kinds = feature_kinds(["TP53", "BRCA1"])
    found = tally(np.array([5.0, 5.0]), kinds)
    assert found.share(found.mitochondrial, found.mitochondrial_features) is None


def test_kinds_are_told_by_symbol_and_by_versioned_ensembl_id():
    names = ["MT-CO1", "ENSG00000198804.2", "ERCC-00130", "RNA18SN1", "MTOR", "ENSG00000141510"]
    kinds = feature_kinds(names)
    assert kinds.mitochondrial.tolist() == [True, True, False, False, False, False]
    assert kinds.spike.tolist() == [False, False, True, False, False, False]
    assert kinds.ribosomal.tolist() == [False, False, False, True, False, False]
