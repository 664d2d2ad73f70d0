"""A site's ledger with one approved study; the study's content does not matter here."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from cordon_common.canonical import digest
from cordon_common.ledger.site import SiteLedger
from cordon_common.privacy.events import GaussianRelease
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import Slot

START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
EVENT = GaussianRelease(
    purpose="training",
    population="train",
    noise_multiplier=15.0,
    sensitivity_grid=2.0**32,
    stability=1,
    dimension=31,
)


def ticking_clock():
    """A clock that is one second later at every look."""
    seconds = itertools.count()
    return lambda: START + timedelta(seconds=next(seconds))


class Bench:
    """Opens ledgers of one site on one file, and makes slots and requests for it."""

    def __init__(self, path):
        self.path = path
        self.key = SigningKey.generate()
        self.study = seal(SigningKey.generate(), "cordon.study.v1", {"name": "breast-cancer"})

    def open(self, **changes):
        arguments = {
            "key": self.key,
            "site": "north",
            "dataset": "breast",
            "clock": ticking_clock(),
            **changes,
        }
        return SiteLedger.open(self.path, **arguments)

    def create(self):
        ledger = self.open(create=True)
        ledger.approve(self.study, {"epsilon": 2})
        return ledger

    def slot(self, round_=0, attempt=0, study=None):
        return Slot(
            study=study or self.study.digest,
            run="run-1",
            phase="train",
            round=round_,
            attempt=attempt,
        )

    def reserve(self, ledger, round_=0, request=b"request", admit=lambda _charges: None):
        return ledger.reserve(self.slot(round_), digest(request), EVENT, admit)

    def settle(self, ledger, ticket, release=b"release"):
        return ledger.settle(
            ticket, digest(release), lambda position: release + b"|%d" % position.seq
        )


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "ledger.db")


@pytest.fixture
def ledger(bench):
    ledger = bench.create()
    yield ledger
    ledger.close()
