"""Two known attacks on summaries: ask again without one patient, or with one patient twice."""

import numpy as np
import pytest

from cordon_client.qc.tabular import run_table_qc
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.qc.shown import shown_of
from cordon_common.qc.summary import decode, qc_layout

DRAWS = 400


@pytest.fixture(scope="module")
def target(shared_data, heart_study, tmp_path_factory):
    """The exact summaries of a cohort: as it is, without one patient, and with him twice."""
    lines = (shared_data / "heart_disease" / "sites" / "cleveland.csv").read_text().splitlines()
    study, folder = resolve(heart_study), tmp_path_factory.mktemp("attack")
    texts = {"whole": lines, "removed": [*lines[:5], *lines[6:]], "twice": [*lines, lines[5]]}
    found = {}
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text("\n".join(text) + "\n")
        found[name] = run_table_qc(study, folder / f"{name}.csv", bytes(32)).summary
    return study, found


def test_removing_one_patient_hides_in_the_noise(target):
    """An attacker who knows everybody else and the patient's row tells the two worlds apart as
    well as the promised mu allows, and no better: a likelihood ratio test over many draws."""
    study, found = target
    event, gamma = planned_events(study).qc, release_grid(study).qc
    difference = (found["whole"] - found["removed"]) * gamma
    length = float(np.linalg.norm(difference))
    assert length <= event.sensitivity_grid
    rng = np.random.default_rng(7)
    noise = rng.normal(0, event.noise_std_grid, (DRAWS, len(difference)))
    scores = noise @ difference / length / event.noise_std_grid
    shift = length / event.noise_std_grid
    guessed_right = (np.mean(scores + shift > shift / 2) + np.mean(scores < shift / 2)) / 2
    assert shift <= 1 / study.privacy.noise.qc + 1e-9
    assert guessed_right <= 0.5 + 0.4 * shift / 2 + 0.05  # Φ(mu/2) ≈ 0.5 + 0.4 · mu/2


def test_a_patient_who_is_written_twice_changes_nothing_that_leaves(target):
    """Without ids equal rows are one patient: only the fate moves, within the sensitivity."""
    study, found = target
    moved = np.flatnonzero(found["twice"] != found["whole"])
    fates = len(qc_layout(study).histograms[0].cells)
    assert set(moved) <= set(range(fates))
    assert np.linalg.norm(found["twice"] - found["whole"]) <= np.sqrt(2) + 1e-12


def test_no_smallest_or_largest_value_leaves(target):
    """Every released number is a count on public cells, or a sum of values clipped to [-1, 1]."""
    study, found = target
    layout = qc_layout(study)
    counted = sum(len(spec.cells) for spec in layout.histograms)
    assert len(found["whole"]) == counted + len(layout.effects.columns)
    for spec in layout.histograms:
        assert not {"min", "max"} & {cell.lower() for cell in spec.cells}
        assert spec.edges == () or len(spec.edges) == len(spec.cells) - 2


def test_what_may_be_displayed_of_a_real_cohort_tells_no_small_count(target):
    study, found = target
    layout = qc_layout(study)
    read = decode(
        layout,
        np.rint(found["whole"] * 64).astype(np.int64),
        grid_per_unit=64.0,
        noise_std_grid=1.0,
    )
    shown = shown_of(read)
    for name, histogram in read.histograms.items():
        hidden = [
            count
            for cell, count in zip(histogram.spec.cells, histogram.counts, strict=True)
            if not shown.allows(name, cell)
        ]
        assert not hidden or (len(hidden) >= 2 and sum(hidden) >= 10)
        assert all(
            count >= 10
            for cell, count in zip(histogram.spec.cells, histogram.counts, strict=True)
            if shown.allows(name, cell)
        )
