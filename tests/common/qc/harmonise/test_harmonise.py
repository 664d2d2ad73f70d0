"""Harmonisation from sums equals the same on pooled records, and is refused where it cannot be right."""

import itertools
import json
import os
import subprocess
import sys
import textwrap
import venv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.errors import PolicyRefused
from cordon_common.qc.harmonise.combat import BatchSums, fit_harmoniser, fit_location, shrink
from cordon_common.qc.harmonise.components import (
    SENSITIVITY,
    PanelSums,
    fit_components,
)
from cordon_common.qc.harmonise.confounding import require_separable
from cordon_common.qc.harmonise.release import (
    FIRST_SENSITIVITY,
    PublicRange,
    bounded_covariates,
    first_round,
    read_first_round,
    second_round,
)
from cordon_common.qc.harmonise.standardise import fit_scaler
from cordon_common.qc.measurement import Moments

# -- standardisation -------------------------------------------------------------------------------


def moments(values):
    return [Moments.of(column, low=-50.0, high=150.0) for column in values.T]


def test_the_scaler_equals_that_of_the_pooled_records_in_any_order_of_sites():
    rng = np.random.default_rng(0)
    sites = [rng.normal(30, 12, (n, 3)).clip(-50, 150) for n in (40, 7, 93)]
    pooled = np.vstack(sites)
    scalers = [fit_scaler([moments(s) for s in order]) for order in itertools.permutations(sites)]
    np.testing.assert_allclose(scalers[0].mean, pooled.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(scalers[0].deviation, pooled.std(axis=0, ddof=1), rtol=1e-4)
    for other in scalers[1:]:
        assert (other.mean == scalers[0].mean).all()
        assert (other.deviation == scalers[0].deviation).all()
    assert scalers[0].apply(pooled).std(ddof=1) == pytest.approx(1, abs=1e-2)


def test_noise_that_says_less_than_nothing_gives_a_usable_scaler():
    noised = [Moments(50.0, 100.0, n=-3, sum_fixed=99, squares_fixed=-5), Moments(50.0, 100.0)]
    scaler = fit_scaler([noised])
    assert scaler.mean.tolist() == [50, 50]
    assert scaler.deviation.tolist() == [1, 1]
    wild = [Moments(50.0, 100.0, n=3, sum_fixed=10**9, squares_fixed=10**30)]
    assert fit_scaler([wild]).mean.tolist() == [150]


# -- principal components --------------------------------------------------------------------------

LOW, HIGH = np.full(4, -10.0), np.full(4, 10.0)


def records(n, seed):
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 1, (n, 4)) @ np.diag([4, 2, 1, 0.5])).clip(-10, 10)


def test_components_from_sums_equal_those_of_the_pooled_records():
    sites = [records(n, n) for n in (60, 45, 200)]
    sums = [PanelSums.of(s, low=LOW, high=HIGH) for s in sites]
    found = fit_components(sums, 3, noised=False)
    pooled = np.vstack(sites) / 10 / 2
    values, vectors = np.linalg.eigh(np.cov(pooled.T))
    np.testing.assert_allclose(found.variances, values[::-1][:3], rtol=1e-10)
    for direction, own in zip(found.directions, vectors[:, ::-1].T, strict=False):
        assert abs(direction @ own) == pytest.approx(1, abs=1e-10)


def test_sums_of_few_records_leave_with_noise_only():
    sums = PanelSums.of(records(39, 1), low=LOW, high=HIGH)
    with pytest.raises(PolicyRefused) as caught:
        fit_components([sums], 2, noised=False)
    assert caught.value.code == "PO141"
    fit_components([sums], 2, noised=True)


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_one_record_moves_the_release_by_at_most_its_declared_sensitivity(seed, n):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 30, (n, 4))
    with_one = PanelSums.of(values, low=LOW, high=HIGH).vector()
    without = PanelSums.of(values[1:], low=LOW, high=HIGH).vector()
    assert np.linalg.norm(with_one - without) <= SENSITIVITY + 1e-9


def test_the_release_is_read_back_and_noise_makes_no_negative_variance():
    sums = PanelSums.of(records(100, 3), low=LOW, high=HIGH)
    back = PanelSums.from_vector(sums.vector(), 4)
    np.testing.assert_allclose(back.gram, sums.gram, atol=1e-12)
    noise = np.random.default_rng(0).normal(0, 20, 15)
    noised = PanelSums.from_vector(sums.vector() + noise, 4)
    assert (fit_components([noised], 4, noised=True).variances >= 0).all()
    gentle = PanelSums.from_vector(sums.vector() + noise / 500, 4)
    exact = fit_components([sums], 1, noised=False)
    close = fit_components([gentle], 1, noised=True)
    assert abs(close.directions[0] @ exact.directions[0]) > 0.99


# -- ComBat ----------------------------------------------------------------------------------------


def study(covariates=0, features=40, seed=0):
    """Three sites with own shifts and spreads; (values [n, p], covariates [n, c], outcomes)."""
    rng = np.random.default_rng(seed)
    level = rng.normal(8, 2, features)
    sites = []
    for n in (24, 15, 31):
        extra = rng.integers(0, 2, (n, covariates)).astype(float)
        noise = rng.normal(0, 1, (n, features)) * rng.gamma(8, 1 / 8, features)
        shift = rng.normal(0.5, 1, features)
        values = level + shift + extra @ rng.normal(0, 1, (covariates, features)) + noise
        sites.append((values, extra))
    return sites


BALANCED = np.array([[12, 12], [7, 8], [15, 16]])


def federated(sites, outcomes=BALANCED):
    location = fit_location([BatchSums.of(v, c) for v, c in sites], outcomes)
    residuals = [location.residual_squares(i, v, c) for i, (v, c) in enumerate(sites)]
    model = fit_harmoniser(location, residuals)
    return np.vstack([model.apply(v, c) for v, c in sites])


def pooled_by_loops(sites):
    """ComBat on pooled records, feature by feature and record by record: a second way."""
    values = np.vstack([v for v, _ in sites])
    extra = np.vstack([c for _, c in sites])
    batch = np.repeat(np.arange(len(sites)), [len(v) for v, _ in sites])
    n, p = values.shape
    design = np.column_stack([batch == b for b in range(len(sites))] + [extra]).astype(float)
    z, standing, scales = np.zeros((n, p)), np.zeros((n, p)), np.zeros(p)
    for j in range(p):
        beta = np.linalg.lstsq(design, values[:, j], rcond=None)[0]
        grand = sum((batch == b).sum() / n * beta[b] for b in range(len(sites)))
        scales[j] = np.sqrt(np.mean((values[:, j] - design @ beta) ** 2))
        standing[:, j] = grand + extra @ beta[len(sites) :]
        z[:, j] = (values[:, j] - standing[:, j]) / scales[j]
    out = np.zeros((n, p))
    for b in range(len(sites)):
        own = z[batch == b]
        g, d = own.mean(0), own.var(0)
        a = (2 * d.var() + d.mean() ** 2) / d.var()
        rate = (d.mean() * d.var() + d.mean() ** 3) / d.var()
        g_old, d_old = g.copy(), d.copy()
        while True:
            g_new, d_new = g_old.copy(), d_old.copy()
            for j in range(p):
                w = len(own) * g.var()
                g_new[j] = (w * g[j] + d_old[j] * g.mean()) / (w + d_old[j])
                d_new[j] = (sum((x - g_new[j]) ** 2 for x in own[:, j]) / 2 + rate) / (
                    len(own) / 2 + a - 1
                )
            change = max(((abs(g_new - g_old)) / g_old).max(), (abs(d_new - d_old) / d_old).max())
            g_old, d_old = g_new, d_new
            if change <= 1e-4:
                break
        out[batch == b] = (own - g_old) / np.sqrt(d_old) * scales + standing[batch == b]
    return out


@pytest.mark.parametrize("covariates", [0, 1, 2])
def test_combat_from_sums_equals_combat_on_pooled_records(covariates):
    sites = study(covariates)
    np.testing.assert_allclose(federated(sites), pooled_by_loops(sites), rtol=0, atol=1e-10)


def test_combat_takes_the_sites_shifts_out_and_leaves_the_covariates_effect():
    sites = study(1, features=200)
    before = np.vstack([v for v, _ in sites])
    after = federated(sites)
    batch = np.repeat([0, 1, 2], [24, 15, 31])
    extra = np.vstack([c for _, c in sites])[:, 0]

    def between(values):
        means = np.array([values[batch == b].mean(0) for b in range(3)])
        return means.var(axis=0).mean()

    def effect(values):
        return np.mean(
            [
                values[(batch == b) & (extra == 1)].mean(0)
                - values[(batch == b) & (extra == 0)].mean(0)
                for b in range(3)
            ],
            axis=0,
        )

    assert between(after) < 0.05 * between(before)
    assert np.corrcoef(effect(before), effect(after))[0, 1] > 0.95


def test_features_without_variance_stay_as_they_are():
    sites = [(np.hstack([v, np.full((len(v), 1), 5.0)]), c) for v, c in study()]
    assert (federated(sites)[:, -1] == 5.0).all()


RANGE = PublicRange(np.full(60, 0.0), np.full(60, 16.0))


def released(sites, noise, bound=1.0):
    """The two rounds as bounded vectors, noised by `noise(sensitivity, size)`."""
    scaled = [(RANGE.scale(v), bounded_covariates(c)) for v, c in sites]
    sent = [first_round(v, c) for v, c in scaled]
    sums = [
        read_first_round(s + noise(FIRST_SENSITIVITY, s.size), c.shape[1], 60)
        for s, (_, c) in zip(sent, scaled, strict=True)
    ]
    location = fit_location(sums, BALANCED)
    second = [second_round(location.residuals(i, v, c), bound) for i, (v, c) in enumerate(scaled)]
    model = fit_harmoniser(location, [s + noise(bound**2, s.size) for s in second])
    return np.vstack([RANGE.unscale(model.apply(v, c)) for v, c in scaled])


def test_bounded_releases_without_noise_give_the_same_harmonisation():
    sites = [(v.clip(0, 16), c) for v, c in study(1, features=60)]
    exact = federated([(v, bounded_covariates(c)) for v, c in sites])
    found = released(sites, lambda sensitivity, size: np.zeros(size))
    np.testing.assert_allclose(found, exact, atol=1e-9)


def test_noised_sums_still_harmonise():
    rng = np.random.default_rng(2)
    sites = [(v.clip(0, 16), c) for v, c in study(0, features=60)]
    found = released(sites, lambda sensitivity, size: rng.normal(0, 0.005 * sensitivity, size))
    assert np.isfinite(found).all()
    assert np.sqrt(np.mean((found - federated(sites)) ** 2)) < 0.5
    wild = released(sites, lambda sensitivity, size: rng.normal(0, 3 * sensitivity, size))
    assert np.isfinite(wild).all()


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(0, 3))
def test_one_record_moves_both_rounds_by_at_most_their_sensitivity(seed, n, extra):
    rng = np.random.default_rng(seed)
    values = RANGE.scale(rng.normal(8, 40, (n, 60)))
    covariates = bounded_covariates(rng.normal(0, 3, (n, extra)))
    moved = first_round(values, covariates) - first_round(values[1:], covariates[1:])
    assert np.linalg.norm(moved) <= FIRST_SENSITIVITY + 1e-9
    moved = second_round(values, 0.3) - second_round(values[1:], 0.3)
    assert np.linalg.norm(moved) <= 0.3**2 + 1e-9


def test_one_feature_is_corrected_without_others_to_learn_from():
    z = np.random.default_rng(0).normal(2, 3, (30, 1))
    shift, spread = shrink(z)
    assert (shift[0], spread[0]) == pytest.approx((z.mean(), z.var()))


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table", [[[20, 0], [0, 30]], [[20, 0], [0, 30], [15, 0]], [[5, 0], [0, 4]]]
)
def test_site_and_outcome_that_are_one_are_refused(table):
    with pytest.raises(PolicyRefused) as caught:
        require_separable(np.array(table))
    assert caught.value.code == "PO140"
    assert caught.value.exit_code == 3
    with pytest.raises(PolicyRefused):
        federated(study(), np.array([[20, 0], [0, 30], [15, 0]]))


@pytest.mark.parametrize("table", [[[10, 12], [9, 11]], [[30, 0], [10, 20]], [[10, 0], [12, 0]]])
def test_site_and_outcome_that_overlap_are_not_refused(table):
    assert require_separable(np.array(table)) < 0.95


def test_a_covariate_that_is_the_site_is_refused():
    sites = [(v, np.full((len(v), 1), float(i))) for i, (v, _) in enumerate(study())]
    with pytest.raises(PolicyRefused) as caught:
        federated(sites)
    assert caught.value.code == "PO140"


# -- the published library -------------------------------------------------------------------------

SCRIPT = """
import json, logging, sys, warnings
warnings.simplefilter("ignore"); logging.disable(logging.CRITICAL)
import numpy as np
from inmoose.pycombat import pycombat_norm
case = json.load(open(sys.argv[1]))
covariates = case["covariates"] or None
found = pycombat_norm(np.array(case["values"]).T, case["batch"], covar_mod=covariates)
json.dump(np.asarray(found).T.tolist(), open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def inmoose(tmp_path_factory):
    """An environment of its own with inmoose, which sees this one's numpy, scipy and pandas."""
    folder = tmp_path_factory.mktemp("inmoose")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "inmoose==0.9.1", "patsy"]
    subprocess.run(install, check=True, timeout=300)
    (folder / "run.py").write_text(textwrap.dedent(SCRIPT))
    seen = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))

    def run(values, batch, covariates):
        case, found = folder / "case.json", folder / "found.json"
        case.write_text(json.dumps({"values": values, "batch": batch, "covariates": covariates}))
        environment = {**os.environ, "PYTHONPATH": seen}
        subprocess.run(
            [python, folder / "run.py", case, found], check=True, env=environment, timeout=300
        )
        return np.array(json.loads(found.read_text()))

    return run


@pytest.mark.slow
@pytest.mark.parametrize("covariates", [0, 1])
def test_combat_from_sums_equals_inmoose_on_pooled_records(inmoose, covariates):
    sites = study(covariates, features=60)
    values = np.vstack([v for v, _ in sites])
    batch = np.repeat([0, 1, 2], [24, 15, 31]).tolist()
    extra = np.vstack([c for _, c in sites])[:, 0].astype(int).tolist() if covariates else []
    expected = inmoose(values.tolist(), batch, extra)
    np.testing.assert_allclose(federated(sites), expected, rtol=0, atol=1e-10)
