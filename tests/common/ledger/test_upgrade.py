"""A file of the first version is brought to this one: nothing that was signed changes."""

import sqlite3

import pytest

from cordon_common.clock import utc_now
from cordon_common.errors import IntegrityError
from cordon_common.ledger.checkpoint import open_checkpoint
from cordon_common.ledger.coordinator import CoordinatorLog, upgrade_coordinator_log
from cordon_common.ledger.entries import SITE_KINDS, LedgerUpgraded, parse_entry
from cordon_common.ledger.log import root_at
from cordon_common.ledger.site import site_origin, upgrade_site_ledger
from cordon_common.signing import SigningKey


def as_first_version(path):
    """Undo what the second version added: the first had neither the table nor the number."""
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE IF EXISTS offered")
    connection.execute("PRAGMA user_version = 1")
    connection.close()


@pytest.fixture
def old(bench):
    """A ledger of the first version: one settled release, one reserved."""
    ledger = bench.create()
    bench.settle(ledger, bench.reserve(ledger, 0))
    bench.reserve(ledger, 1)
    before = ledger.log.entries(), ledger.log.checkpoint(), ledger.charges()
    ledger.close()
    as_first_version(bench.path)
    return before


def upgrade(bench, **changes):
    place = {"key": bench.key, "site": "north", "dataset": "breast", "clock": utc_now, **changes}
    return upgrade_site_ledger(bench.path, **place)


def test_an_older_ledger_is_not_used_before_it_is_upgraded(bench, old):
    with pytest.raises(IntegrityError, match="IN116") as caught:
        bench.open()
    assert "cordon site upgrade" in caught.value.fix


def test_an_upgrade_adds_one_entry_and_touches_none(bench, old):
    entries, note, charges = old
    assert upgrade(bench) == (1, 2)
    ledger = bench.open()
    assert ledger.log.entries()[:-1] == entries
    added = parse_entry(ledger.log.entries()[-1], SITE_KINDS).body
    assert added == LedgerUpgraded(from_version=1, to_version=2)
    assert ledger.charges() == charges
    ticket = bench.reserve(ledger, 1)
    assert bench.settle(ledger, ticket)
    point = open_checkpoint(note, site_origin("north", "breast"), bench.key.public)
    assert point.root == root_at(ledger.log, point.size)  # heads of before stay true
    size = ledger.log.size
    assert upgrade(bench) == (2, 2)
    assert ledger.log.size == size


def test_a_damaged_ledger_is_not_upgraded(bench, old):
    connection = sqlite3.connect(bench.path)
    connection.execute("DROP TRIGGER entry_no_update")
    connection.execute("UPDATE entry SET root = zeroblob(32) WHERE seq = 2")
    connection.commit()
    connection.close()
    with pytest.raises(IntegrityError, match="IN101: entry 2"):
        upgrade(bench)
    with pytest.raises(IntegrityError, match="IN116"):
        bench.open()


def test_a_ledger_of_a_later_version_or_of_another_site_is_left_alone(bench, old):
    with pytest.raises(IntegrityError, match="IN104"):
        upgrade(bench, site="south")
    connection = sqlite3.connect(bench.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(IntegrityError, match="IN104"):
        upgrade(bench)
    with pytest.raises(IntegrityError, match="IN104"):
        bench.open()


def test_an_upgraded_coordinators_log_can_make_offers(tmp_path):
    place = {
        "path": tmp_path / "log.db",
        "key": SigningKey.generate(),
        "name": "consortium",
        "clock": utc_now,
    }
    CoordinatorLog.open(**place, create=True).close()
    as_first_version(place["path"])
    with pytest.raises(IntegrityError, match="IN116"):
        CoordinatorLog.open(**place)
    assert upgrade_coordinator_log(**place) == (1, 2)
    log = CoordinatorLog.open(**place)
    assert log.offers.make("study", "run", ["north"])["north"].growths == ()
    log.close()
