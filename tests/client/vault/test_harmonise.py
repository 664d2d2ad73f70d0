"""The sums for harmonisation leave as part of the one charged summary, or not at all."""

import numpy as np
import pandas as pd
import pytest
from small_site import kept, make_site, write_cohort

from cordon_client.office import Office
from cordon_client.vault.airlock import Airlock
from cordon_common.audit.verify import verify_bundles
from cordon_common.clock import utc_now
from cordon_common.errors import PolicyRefused
from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.qc.summary import decode as read_vector
from cordon_common.qc.summary import qc_layout
from cordon_common.signing import SigningKey
from cordon_common.wire import decode

QC = {"gate": {"min_patients": 20, "min_sites": 2}, "harmonise": True}


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "north", write_cohort(tmp_path / "cohort.csv"), qc=QC)


def test_one_charge_pays_for_counts_and_sums_together(site, airlock):
    reply, arrays = decode(airlock.answer("qc", site.request("qc")))
    (charge,) = site.charges()
    layout = qc_layout(site.study)
    assert layout.moments.features == ("age", "marker")
    assert charge.event == planned_events(site.study).qc
    assert charge.event.dimension == layout.dimension == arrays["release"].size
    assert (
        reply.receipt.verify("cordon.receipt.v1") == SigningKey.load(site.home.identity_key).public
    )


def test_asking_again_even_after_a_restart_gets_the_same_noise(site):
    answers = []
    for _ in range(2):
        state = site.open_vault()
        answers += [kept(Airlock(state).answer("qc", site.request("qc"))) for _ in range(2)]
        state.ledger.close()
    assert len(set(answers)) == 1
    assert len(site.charges()) == 1


def test_what_leaves_is_the_files_mean_and_spread_within_its_declared_noise(
    site, airlock, tmp_path
):
    _, arrays = decode(airlock.answer("qc", site.request("qc")))
    event = planned_events(site.study).qc
    read = read_vector(
        qc_layout(site.study),
        arrays["release"],
        grid_per_unit=release_grid(site.study).qc,
        noise_std_grid=event.noise_std_grid,
    )
    frame = pd.read_csv(tmp_path / "cohort.csv")
    for place, (name, centre, half) in enumerate([("age", 55, 25), ("marker", 0, 3)]):
        v = ((frame[name] - centre) / half).clip(-1, 1)
        exact = np.array([v.sum(), (v**2 - 0.5).sum()])
        found = np.array([read.moments.totals[place], read.moments.squares[place]])
        assert (np.abs(found - exact) < 6 * read.moments.std).all()
        assert (found != exact).all()


def test_the_ledger_of_a_harmonising_site_passes_the_audit(site, airlock, tmp_path):
    airlock.answer("qc", site.request("qc"))
    with Office.open(site.home, clock=utc_now) as office:
        office.export(tmp_path / "north.zip")
    part = verify_bundles([tmp_path / "north.zip"]).parts[0]
    assert [row for row in part.rows if row.status != "PASS"] == []


def test_a_study_that_was_approved_without_the_sums_gives_none(tmp_path):
    site = make_site(tmp_path / "north", write_cohort(tmp_path / "cohort.csv"))
    asking, envelope = site.sign(qc=QC)
    state = site.open_vault()
    airlock = Airlock(state)
    with pytest.raises(PolicyRefused) as caught:
        airlock.answer("qc", site.request("qc", study=asking))
    assert caught.value.code == "PO100"
    _, arrays = decode(airlock.answer("qc", site.request("qc")))
    assert arrays["release"].size == qc_layout(asking).dimension - 4
    state.ledger.close()
    site.approve(envelope)
    state = site.open_vault()
    _, arrays = decode(Airlock(state).answer("qc", site.request("qc", study=asking)))
    assert arrays["release"].size == qc_layout(asking).dimension
    assert len(site.charges()) == 2  # another study, another charge
    state.ledger.close()
