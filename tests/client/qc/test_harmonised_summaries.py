"""From hospitals' files to harmonised features: equal to regressions on the pooled records."""

import numpy as np
import pandas as pd
import pytest

from cordon_client.qc.tabular import run_table_qc
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.protocol.study import Study
from cordon_common.qc.harmonise.combat import BatchSums, fit_harmoniser, fit_location
from cordon_common.qc.harmonise.summaries import align
from cordon_common.qc.summary import decode, qc_layout

SHIFTS = {"east": 0.0, "north": 0.0, "south": 12.0}


def harmonising(study):
    return study.model_copy(update={"qc": study.qc.model_copy(update={"harmonise": True})})


@pytest.fixture(scope="module")
def study(make_study, number, category):
    features = [number(typical=[20, 80]), number("z"), category(), number("w", range=[0, 1])]
    return harmonising(make_study(features))


def write(folder, site, shift, patients=160):
    """A machine at one hospital reads 12 too high; values rise with the outcome; some are missing."""
    rng = np.random.default_rng(len(site))
    y = (rng.random(patients) < {"east": 0.3, "north": 0.5, "south": 0.7}[site]).astype(int)
    x = rng.normal(45 + shift, 8, patients) + 6 * y
    z = rng.normal(50, 10, patients).clip(0, 100)
    frame = pd.DataFrame({"x": x.clip(0, 100), "z": z, "c": "a", "w": rng.random(patients), "y": y})
    frame.loc[rng.random(patients) < 0.1, "z"] = np.nan
    path = folder / f"{site}.csv"
    frame.to_csv(path, index=False)
    return path, frame


@pytest.fixture(scope="module")
def hospitals(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospitals")
    found = {site: write(folder, site, shift) for site, shift in SHIFTS.items()}
    vectors = {
        site: run_table_qc(study, path, bytes(32)).summary for site, (path, _) in found.items()
    }
    return vectors, {site: frame for site, (_, frame) in found.items()}


def read(study, vector, rng=None, std=1e-9):
    gamma = 2.0**30
    noise = rng.normal(0, std, len(vector)) if rng is not None else 0.0
    noisy = np.rint((vector + noise) * gamma).astype(np.int64)
    return decode(qc_layout(study), noisy, grid_per_unit=gamma, noise_std_grid=std * gamma)


def test_without_noise_offsets_equal_a_regression_on_the_pooled_records(study, hospitals):
    vectors, frames = hospitals
    found = align(study, {site: read(study, vector) for site, vector in vectors.items()})
    assert found.refused == ""
    assert [item.feature for item in found.features] == ["x", "z", "w"]
    for item, (centre, half) in zip(found.features, [(50, 30), (50, 50), (0.5, 0.5)], strict=True):
        pooled = pd.concat(frames, names=["site"]).reset_index(level=0).dropna(subset=item.feature)
        v = ((pooled[item.feature] - centre) / half).clip(-1, 1).to_numpy()
        y = 2 * pooled["y"].to_numpy() - 1
        design = np.column_stack([*(pooled["site"] == site for site in SHIFTS), y]).astype(float)
        solved, (residual,), *_ = np.linalg.lstsq(design, v)
        shares = design[:, :3].mean(axis=0)
        mean = shares @ solved[:3]
        spread = np.sqrt(residual / len(v))
        across = len(v) * shares @ (solved[:3] - mean) ** 2
        for place, site in enumerate(SHIFTS):
            expected = (solved[place] - mean) / spread
            assert item.sites[site].value == pytest.approx(expected, abs=1e-4)
        assert item.between == pytest.approx(across / (across + residual), abs=1e-4)
        assert item.mean == pytest.approx(centre + half * v.mean(), rel=1e-4)
        assert item.deviation == pytest.approx(half * v.std(), rel=1e-4)


def test_one_summary_holds_both_rounds_of_combat(study, hospitals):
    """The residual squares of round 2, from the sums, are those that the sites would have sent."""
    vectors, frames = hospitals
    found = align(study, {site: read(study, vector) for site, vector in vectors.items()})
    scaled = {s: ((f[["x"]] - 50) / 30).clip(-1, 1).to_numpy() for s, f in frames.items()}
    covariates = {s: (2 * f[["y"]] - 1).to_numpy(dtype=float) for s, f in frames.items()}
    outcomes = np.array([[f["y"].sum(), (1 - f["y"]).sum()] for f in frames.values()])
    location = fit_location([BatchSums.of(scaled[s], covariates[s]) for s in SHIFTS], outcomes)
    squares = [
        location.residual_squares(place, scaled[s], covariates[s]) for place, s in enumerate(SHIFTS)
    ]
    spread = np.sqrt(fit_harmoniser(location, squares).variance[0])
    for place, site in enumerate(SHIFTS):
        offset = (location.batches[place, 0] - location.mean[0]) / spread
        assert found.features[0].sites[site].value == pytest.approx(offset, abs=1e-4)


def test_the_hospital_whose_machine_reads_too_high_stands_out_from_its_noise(study, hospitals):
    vectors, _ = hospitals
    rng = np.random.default_rng(3)
    summaries = {site: read(study, vector, rng, std=2.0) for site, vector in vectors.items()}
    x, z, _ = align(study, summaries).features
    assert x.sites["south"].value > 4 * x.sites["south"].std
    assert all(x.sites[site].value < 0 for site in ("east", "north"))
    assert x.between > 0.15
    assert all(abs(offset.value) < 4 * offset.std for offset in z.sites.values())


def test_the_stated_uncertainty_is_what_the_noise_does(study, hospitals):
    vectors, _ = hospitals
    exact = align(study, {s: read(study, v) for s, v in vectors.items()}).features[0]
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(200):
        noisy = {s: read(study, v, rng, std=2.0) for s, v in vectors.items()}
        drawn.append(align(study, noisy).features[0].sites["east"])
    errors = np.array([offset.value for offset in drawn]) - exact.sites["east"].value
    stated = np.mean([np.sqrt(offset.std**2 - 1 / 160) for offset in drawn])
    assert 0.6 < errors.std() / stated < 1.4


def test_the_event_that_is_charged_covers_the_sums(study, make_study, number, category):
    """More numbers, a larger bound: noise per unit grows, the multiplier and epsilon do not."""
    plain = study.model_copy(update={"qc": study.qc.model_copy(update={"harmonise": False})})
    with_sums, without = planned_events(resolve(study)).qc, planned_events(resolve(plain)).qc
    assert with_sums.dimension == without.dimension + 2 * 3
    assert with_sums.noise_multiplier == pytest.approx(without.noise_multiplier, rel=1e-6)
    grid, plain_grid = release_grid(resolve(study)).qc, release_grid(resolve(plain)).qc
    weight = qc_layout(study).moments.weight
    bound = qc_layout(plain).l2_sensitivity(plain)
    grown = np.sqrt(bound**2 + 3 * 1.25 * weight**2) / bound
    assert plain_grid / grid == pytest.approx(grown, rel=1e-9)


def test_studies_that_do_not_ask_are_as_they_were(study):
    value = study.as_json()
    assert value["qc"].pop("harmonise") is True
    plain = Study.model_validate(value, strict=False)
    assert "harmonise" not in plain.as_json()["qc"]
    assert qc_layout(plain).moments.features == ()
    assert plain.digest != study.digest
    assert align(plain, {}) is None
