"""Drift between sites: equal sites are told apart as rarely as declared, planted drift is seen."""

import numpy as np
import pytest
from summaries import by_site, draw, federation, narrowed, released

from cordon_server.crosssite.chance import (
    DRAWS,
    deviation_limit,
    largest_deviations,
    normal_limit,
    null_of,
)
from cordon_server.crosssite.drift import deviations
from cordon_server.crosssite.shares import contrast_matrix, differences, side_by_side
from cordon_server.gate import SiteReport

SMALL = narrowed("age", "cp", "sex")


@pytest.fixture
def rng():
    return np.random.default_rng(20260101)


@pytest.mark.parametrize("noise_std", [0.5, 6.0])
def test_equal_sites_are_told_apart_about_as_often_as_declared(rng, noise_std):
    """One study in five at alpha 0.2: of 60, 4 to 21 alarm but for one time in 200."""
    alarms = 0
    for _ in range(60):
        seen = side_by_side(by_site(federation(rng, noise_std=noise_std, study=SMALL)))
        limit = deviation_limit(null_of(seen), 0.2)
        alarms += observed(seen) > limit
    assert 4 <= alarms <= 21


def observed(seen):
    """The largest |difference| / std of the sites as they are."""
    return max(
        float(
            differences(
                panel, seen.patients, seen.patients_std, contrast_matrix(panel.spec)
            ).largest
        )
        for panel in seen.panels
        if panel.spec.kind != "fate"
    )


def test_equal_sites_of_the_whole_study_are_hardly_ever_told_apart(rng):
    alarms = 0
    for noise_std in (0.5, 3.0, 10.0, 30.0):
        for _ in range(6):
            found = deviations(by_site(federation(rng, noise_std=noise_std)))
            alarms += any(d.excess > 0 for site in found.values() for d in site)
    assert alarms <= 2


def test_rare_cells_need_a_higher_limit_than_the_normal_one_and_much_noise_a_lower_one(rng):
    """Two patients where one is expected at most: the normal limit knows nothing of it."""
    rare, drowned = (
        null_of(side_by_side(by_site(federation(rng, noise_std=std)))) for std in (0.5, 20.0)
    )
    assert deviation_limit(rare) > normal_limit(rare.comparisons)
    assert deviation_limit(drowned) < normal_limit(drowned.comparisons)


def test_a_shift_of_more_than_half_of_the_patients_is_seen_at_the_right_place(rng):
    for _ in range(8):
        shifted = np.array([0.0] * 6 + [0.25] * 4 + [0.0] * 3)
        even = np.array([0.1] * 10 + [0.0] * 3)
        found = deviations(
            by_site(federation(rng, study=SMALL, faults={"age": 0.6 * shifted + 0.4 * even}))
        )
        seen = {(site, d.feature) for site, all_ in found.items() for d in all_ if d.excess > 0}
        assert seen == {("site-0", "age")}


def test_limits_are_the_same_each_time_and_do_not_depend_on_the_order_of_sites(rng):
    reports = federation(rng, study=SMALL)
    forward, backward = deviations(by_site(reports)), deviations(by_site(reports[::-1]))
    assert forward == backward
    null = null_of(side_by_side(by_site(reports)))
    first = deviation_limit(null)
    largest_deviations.cache_clear()
    deviation_limit.cache_clear()
    assert deviation_limit(null) == first


def test_sites_of_other_sizes_or_noise_have_other_limits(rng):
    summary = by_site(federation(rng, study=SMALL))
    larger = by_site(federation(rng, study=SMALL, sizes=(600, 500, 260, 400)))
    assert null_of(side_by_side(summary)) != null_of(side_by_side(larger))


def test_where_noise_drowns_a_site_nothing_is_said_about_it(rng):
    found = deviations(by_site(federation(rng, sizes=(20, 250, 130, 200), noise_std=30.0)))
    assert found["site-0"] == []
    assert found["site-1"]


def test_one_site_alone_is_compared_with_nobody(rng):
    (only,) = federation(rng, sizes=(300,))
    assert deviations(by_site([only])) == {"site-0": []}


def test_a_study_of_many_features_is_simulated_in_part(rng):
    feature = SMALL.cohort.features[0]
    many = tuple(feature.model_copy(update={"name": f"f{i}"}) for i in range(150))
    cohort = SMALL.cohort.model_copy(update={"features": many})
    study = SMALL.model_copy(update={"cohort": cohort})
    reports = [
        SiteReport(
            f"site-{i}",
            None,
            released(draw(rng, n, study=study), rng, noise_std=1.0, study=study),
        )
        for i, n in enumerate((300, 250, 400))
    ]
    null = null_of(side_by_side(by_site(reports)))
    assert null.panels == 151
    assert len(null.laws) <= 64
    assert largest_deviations(null).shape == (len(null.laws), DRAWS)
    found = deviations(by_site(reports))
    assert not any(d.excess > 0 for site in found.values() for d in site)
