"""The coordinator's log: typed, in one transaction, never another side's entries."""

import pytest

from cordon_common.canonical import digest
from cordon_common.clock import utc_now
from cordon_common.errors import IntegrityError
from cordon_common.ledger.checkpoint import open_checkpoint
from cordon_common.ledger.coordinator import CoordinatorLog, coordinator_origin
from cordon_common.ledger.entries import (
    CampaignStarted,
    RoundAggregated,
    SiteFailed,
    SiteOpened,
    UsedRelease,
)
from cordon_common.signing import SigningKey

STUDY = digest(b"study")
BODIES = [
    CampaignStarted(study=STUDY, run="run-1", software={"cordon-server": "0.1.0"}),
    SiteFailed(study=STUDY, run="run-1", site="south", code="TR002", phase="train", round=0),
    RoundAggregated(
        study=STUDY,
        run="run-1",
        round=0,
        weights_in=digest(b"w0"),
        weights_out=digest(b"w1"),
        used=(UsedRelease(site="north", release=digest(b"r")),),
    ),
]


@pytest.fixture
def place(tmp_path):
    return {
        "path": tmp_path / "log.db",
        "key": SigningKey.generate(),
        "name": "consortium",
        "clock": utc_now,
    }


def test_what_was_appended_is_read_back_after_a_restart(place):
    log = CoordinatorLog.open(**place, create=True)
    log.append_all(BODIES)
    log.close()
    again = CoordinatorLog.open(**place)
    assert again.size() == 4
    assert again.bodies_from(1) == BODIES
    assert again.bodies_from(3) == BODIES[2:]
    origin = coordinator_origin("consortium")
    assert open_checkpoint(again.checkpoint(), origin, place["key"].public).size == 4


def test_a_batch_with_a_foreign_entry_leaves_nothing(place):
    log = CoordinatorLog.open(**place, create=True)
    with pytest.raises(IntegrityError, match="IN103"):
        log.append_all([*BODIES, SiteOpened(software={})])
    assert log.size() == 1


def test_a_snapshot_is_signed_over_exactly_its_entries(place):
    log = CoordinatorLog.open(**place, create=True)
    other = CoordinatorLog.open(**place)
    log.append_all(BODIES)
    entries, note = other.log.snapshot()
    assert entries == log.log.entries()
    assert note == log.checkpoint()


def test_another_coordinators_log_is_refused(place):
    CoordinatorLog.open(**place, create=True).close()
    with pytest.raises(IntegrityError, match="IN104"):
        CoordinatorLog.open(**{**place, "name": "other"})
