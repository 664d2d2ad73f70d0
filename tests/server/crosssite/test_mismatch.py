"""The likelihood ratio of recodings: what is planted is what is named, in small and large studies."""

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from summaries import by_site, federation, narrowed

from cordon_common.qc.summary import qc_layout
from cordon_server.crosssite.chance import ALPHA, null_from
from cordon_server.crosssite.mismatch import (
    asked,
    equal_law,
    evidence_limit,
    known_shares,
    mismatches,
)
from cordon_server.crosssite.recoding import recodings
from cordon_server.crosssite.shares import side_by_side

STUDY = narrowed("cp", "chol", chol={"range": (1.0, 1000.0)})
POSSIBLE = {f.name: recodings(f, STUDY.qc.histogram_bins) for f in STUDY.cohort.measured}
SIZES = (500, 400, 450, 600)


def panels(rng, usual, written, *, feature, study=STUDY, noise_std=1.0):
    """Line up four sites of which the first writes a feature otherwise."""
    reports = []
    for index, n in enumerate(SIZES):
        cells = np.array([*(written if index == 0 else [*usual, 0.0]), 0.0, 0.0])
        (made,) = federation(
            rng, noise_std=noise_std, sizes=(n,), study=study, faults={feature: cells}
        )
        reports.append(made.__class__(f"site-{index}", made.verdict, made.summary))
    return side_by_side(by_site(reports))


@settings(max_examples=10, deadline=None)
@given(
    feature=st.sampled_from(["cp", "chol"]),
    which=st.integers(0, 23),
    seed=st.integers(0, 10**6),
)
def test_the_recoding_that_is_planted_or_its_equal_is_named_at_its_site_alone(feature, which, seed):
    rng = np.random.default_rng(seed)
    planted = POSSIBLE[feature][which % len(POSSIBLE[feature])]
    usual = rng.dirichlet(np.ones(len(planted.moves) - 1))
    written = np.array([*usual, 0.0]) @ planted.matrix
    moved = np.abs(written - [*usual, 0.0]).sum() / 2
    assume(moved > 0.55)
    assume(written[-1] < 0.8)
    found = mismatches(panels(rng, usual, written, feature=feature), POSSIBLE, 0.5).found
    assert set(found) == {("site-0", feature)}
    named = found["site-0", feature].recoding
    assert np.abs(np.array([*usual, 0.0]) @ named.matrix - written).sum() / 2 < 0.15
    assert found["site-0", feature].evidence > found["site-0", feature].limit


def test_of_many_features_a_part_is_simulated_and_the_limit_is_no_lower_than_markovs():
    chol = next(f for f in STUDY.cohort.features if f.name == "chol")
    features = tuple(chol.model_copy(update={"name": f"f{i}"}) for i in range(90))
    study = STUDY.model_copy(
        update={"cohort": STUDY.cohort.model_copy(update={"features": features})}
    )
    possible = {f.name: recodings(f, study.qc.histogram_bins) for f in features}
    rng = np.random.default_rng(3)
    usual = np.full(10, 0.1)
    written = np.array([*usual, 0.0]) @ possible["f0"][0].matrix
    seen = panels(rng, usual, written, feature="f0", study=study)
    questions = [
        question
        for panel in seen.panels
        if (question := asked(panel, seen, possible.get(panel.spec.name, ()))) is not None
    ]
    null = null_from(seen, [equal_law(question, seen) for question in questions])
    limit = evidence_limit(null, tuple(possible.items()))
    assert len(null.laws) < null.panels == 90
    assert limit >= math.log(4 * 180 / ALPHA)
    assert set(mismatches(seen, possible, 0.5).found) == {("site-0", "f0")}


def test_a_column_that_hardly_anybody_fills_asks_nothing():
    rng = np.random.default_rng(4)
    spec = next(s for s in qc_layout(STUDY).histograms if s.name == "chol")
    empty = np.zeros(len(spec.cells))
    empty[-2:] = 0.5
    reports = federation(rng, study=STUDY, sizes=SIZES[:3], noise_std=1.0, faults={"chol": empty})
    seen = side_by_side(by_site(reports))
    panel = next(p for p in seen.panels if p.spec.name == "chol")
    assert asked(panel, seen, POSSIBLE["chol"]) is None
    assert mismatches(seen, POSSIBLE, 0.5).asked == {"site-0", "site-1", "site-2"}  # by cp


def test_shares_of_known_values_leave_the_missing_ones_out():
    rng = np.random.default_rng(5)
    usual = np.full(10, 0.05)
    half = np.array([*usual, 0.0, 0.25, 0.25])
    reports = federation(rng, study=STUDY, sizes=(4000,), noise_std=0.5, faults={"chol": half})
    other = federation(rng, study=STUDY, sizes=(4000,), noise_std=0.5, faults={"chol": half})
    both = [reports[0], other[0].__class__("again", other[0].verdict, other[0].summary)]
    seen = side_by_side(by_site(both))
    panel = next(p for p in seen.panels if p.spec.name == "chol")
    known = known_shares(panel, seen.patients, seen.patients_std)
    assert np.abs(known.values[:, 0] - 2000).max() < 120
    assert np.abs(known.shares[0, :10] - 0.1).max() < 0.03
