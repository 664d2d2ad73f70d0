"""What an answer about ε costs: on a ledger of 1,000 events, and within a client's round."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.lines import Line
from cordon_common.ledger.entries import ReleaseReserved, StudyApproved
from cordon_common.ledger.site import SiteLedger
from cordon_common.privacy import accounting, renyi
from cordon_common.privacy.accounting import Epsilon, lifetime_epsilon
from cordon_common.privacy.events import GaussianRelease, SampledGaussianRelease
from cordon_common.signing import SigningKey, seal
from cordon_common.wire import Slot

if TYPE_CHECKING:
    from cordon_common.privacy.counting import EventCounts
    from cordon_common.privacy.events import Event

DELTA = 1e-5
STUDIES = 10
RELEASES = 100
READINGS = 50


def queries(repeats: int) -> list[Line]:
    """Ask a real ledger for its lifetime ε: fresh, again, after a restart, and without caches."""
    with tempfile.TemporaryDirectory() as folder:
        key = SigningKey.generate()
        ledger = _ledger(Path(folder) / "ledger.db", key, create=True)
        studies = _fill(ledger)
        cold_s, cold = _cold(ledger, studies)
        warm_s = []
        for _ in range(max(READINGS, repeats)):
            started = time.process_time()
            warm = _ask(ledger, studies)
            warm_s.append(time.process_time() - started)
        ledger.close()
        reopened = _ledger(Path(folder) / "ledger.db", key)
        _, restarted = _cold(reopened, studies)
        reopened.close()
    low, middle, high = (float(q) * 1e3 for q in np.quantile(warm_s, [0.25, 0.5, 0.75]))
    apart = max(abs(cold.pld - other.pld) for other in (warm, restarted, _uncached(studies)))
    return [
        Line("ε of 1,000 events, warm", middle, 1.0, None, low=low, high=high, unit=" ms"),
        Line("ε of 1,000 events, cold", cold_s, 3.0, None, unit=" s", note="imports included"),
        Line(
            "ε warm, restarted and uncached: apart",
            apart,
            1e-9,
            0.0,
            note=f"ε = {cold.pld:.6f}, by Rényi {cold.rdp:.6f}",
        ),
    ]


def _ledger(path: Path, key: SigningKey, *, create: bool = False) -> SiteLedger:
    return SiteLedger.open(path, key=key, site="north", dataset="main", clock=_noon, create=create)


def _noon() -> datetime:
    return datetime(2026, 6, 1, 12, tzinfo=UTC)


def _events(number: int) -> list[Event]:
    """Ten studies of 100 releases, all with other noise; every second one samples its patients."""

    def fields(purpose: str, population: str, noise: float) -> dict[str, object]:
        return {
            "purpose": purpose,
            "population": population,
            "noise_multiplier": noise,
            "sensitivity_grid": 2.0**24,
            "stability": 1,
            "dimension": 31,
        }

    training = fields("training", "train", 30.0 + number)
    rounds: list[Event] = [
        SampledGaussianRelease(**training, sample_rate=0.2 + number / 100)
        if number % 2
        else GaussianRelease(**training)
        for _ in range(RELEASES - 2)
    ]
    qc = GaussianRelease(**fields("qc", "all", 20.0 + number))
    last = fields("evaluation", "holdout", 4.0 + number)
    return [qc, *rounds, GaussianRelease(**last)]


def _fill(ledger: SiteLedger) -> list[str]:
    """Charge the ledger as ten approved studies would; returns their digests."""
    coordinator, digests = SigningKey.generate(), []
    for number in range(STUDIES):
        envelope = seal(coordinator, "cordon.study.v1", {"number": number})
        digests.append(envelope.digest)
        with ledger.log.transaction() as transaction:
            transaction.append(
                StudyApproved(
                    study=envelope.digest, envelope=envelope, plan={}, approved_by="bench"
                )
            )
            for index, event in enumerate(_events(number)):
                slot = Slot(study=envelope.digest, run="bench", phase="train", round=index)
                transaction.append(ReleaseReserved(slot=slot, request=envelope.digest, event=event))
    return digests


def _ask(ledger: SiteLedger, studies: list[str]) -> Epsilon:
    spent: list[EventCounts] = [ledger.spent(study) for study in studies]
    return lifetime_epsilon(spent, DELTA)


def _cold(ledger: SiteLedger, studies: list[str]) -> tuple[float, Epsilon]:
    """Ask with every cache empty, as a process does that has just started."""
    for cached in (
        accounting.pld_of,
        accounting.rdp_of,
        accounting._distribution,
        accounting._sampled,
        renyi.sampled_gaussian_rdp,
        renyi._mechanism_curve,
        renyi._offsets,
    ):
        cached.cache_clear()
    started = time.process_time()
    answer = _ask(ledger, studies)
    return time.process_time() - started, answer


def _uncached(studies: list[str]) -> Epsilon:
    """The same events from plain lists, newest study first, past the cache of answers."""
    for cached in (accounting.pld_of, accounting.rdp_of, accounting._distribution):
        cached.cache_clear()
    return lifetime_epsilon([_events(number) for number in reversed(range(len(studies)))], DELTA)
