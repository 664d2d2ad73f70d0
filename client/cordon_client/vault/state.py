"""What a running vault holds: keys, ledger, policy, and per study the loaded cohort."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from cordon_client.enrol import load_split_key
from cordon_client.sample_qc import open_gate
from cordon_client.training.noise import release
from cordon_client.training.scoring import score_counts
from cordon_client.vault.budget import budget_left
from cordon_client.vault.cohort import fingerprint, load_cohort
from cordon_client.vault.live_policy import LivePolicy
from cordon_client.vault.local_report import keep_model_report, keep_qc_report
from cordon_client.vault.masking import Masking
from cordon_client.vault.policy import (
    check_clock,
    check_lifetime,
    check_permit,
    check_study,
    policy_entry,
)
from cordon_client.vault.sum_keys import SumKeys
from cordon_client.vault.training import Training
from cordon_common.errors import CordonError, DataError, PolicyRefused, ProtocolError
from cordon_common.image import image_facts
from cordon_common.ledger.entries import DataRegistered, QcVerdict, SiteOpened
from cordon_common.ledger.site import SiteLedger
from cordon_common.logs import place_of
from cordon_common.privacy.schedule import release_grid, site_patients_cap
from cordon_common.protocol.layout import dimension
from cordon_common.protocol.parse import open_study
from cordon_common.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from cordon_client.home import SiteConfig, SiteHome
    from cordon_client.vault.cohort import StudyCohort
    from cordon_common.canonical import Json
    from cordon_common.clock import Clock
    from cordon_common.ledger.charges import Charge
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study
    from cordon_common.wire import Arrays, Slot

_LOG = logging.getLogger("cordon.vault")
_SOFTWARE = ("cordon-common", "cordon-client", "numpy", "pandas", "torch")


@dataclass(frozen=True)
class Released:
    """Noised integers, ready to be settled; `verdict` is the study's declared unprotected part."""

    arrays: Arrays
    verdict: dict[str, Json] | None = None


class VaultState:
    """Everything behind the airlock. Nothing in here returns bytes to the gateway."""

    def __init__(self, home: SiteHome, *, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._config = home.config()
        self._training = Training(self._config.name, self._config.performance.device)
        self._policy = LivePolicy.load(home.policy_file)
        self._split_key = load_split_key(home)
        self._cohorts: dict[str, StudyCohort] = {}
        self._studies: dict[tuple[str, str], Study] = {}
        self._loading = threading.Lock()
        self.key = SigningKey.load(home.identity_key)
        self.masking = Masking(self.key, self._config.name, self._policy, SumKeys(home.sum_secrets))
        self.software = {name: version(name) for name in _SOFTWARE} | image_facts()
        data = self._data()
        self.ledger = SiteLedger.open(
            home.ledger,
            key=self.key,
            site=self._config.name,
            dataset=self._config.dataset.id,
            clock=clock,
        )
        try:
            check_clock(self.ledger.latest_time(), clock())
            self.ledger.record(SiteOpened(software=self.software))
            self._policy.announce(lambda policy: self.ledger.record(policy_entry(policy)))
            self.ledger.record(data)
            self._forget_keys()
        except BaseException:
            self.ledger.close()
            raise

    def _forget_keys(self) -> None:
        """Forget the keys of trained studies, should the last vault have died before it did."""
        for charge in self.ledger.charges():
            if charge.event.purpose == "evaluation":
                self.masking.forget(charge.study)

    def _data(self, samples: str = "") -> DataRegistered:
        file, limit = Path(self._config.dataset.file), self._config.limits.data_file_bytes
        found = fingerprint(file, self._split_key, max_bytes=limit, samples=samples)
        return DataRegistered(dataset=self._config.dataset.id, fingerprint=found)

    @property
    def site(self) -> str:
        """This hospital's name."""
        return self._config.name

    @property
    def config(self) -> SiteConfig:
        """`site.yaml` as read at start."""
        return self._config

    @property
    def home(self) -> SiteHome:
        """The site's folder."""
        return self._home

    def ready(self) -> bool:
        """Tell whether data can be read, the ledger is consistent, and some budget is left."""
        try:
            self.ledger.log.checkpoint()
            check_clock(self.ledger.latest_time(), self._clock())
            left = budget_left(self._policy.now(), self.ledger)
        except CordonError:
            return False
        return left and os.access(self._config.dataset.file, os.R_OK)

    def approved_study(self, digest: str) -> Study:
        """Return an approved study that the policy still allows today.

        Raises:
            PolicyRefused: PO100 not approved, PO101 to PO105 the policy's own reasons, PO113 when
                the mechanism failed its newest probe.
            ProtocolError: PR004 when the policy is not valid; SystemFault: SY102 for the clock.
        """
        now = self._clock()
        check_clock(self.ledger.latest_time(), now)
        policy = self._policy.now()
        study = self._studies.get((digest, policy.digest))
        if study is None:
            envelope = self.ledger.approved(digest)
            if envelope is None:
                raise PolicyRefused("PO100")
            study = open_study(envelope, policy.trusted_keys)
            check_study(policy, study, self.site, self.key.public)
            self._studies[digest, policy.digest] = study
        check_permit(study, now.date())
        probe = self.ledger.newest_probe(digest)
        if probe is not None and not probe.passed:
            raise PolicyRefused("PO113")
        return study

    def check_budget(self, slot: Slot, event: Event, charges: Sequence[Charge]) -> None:
        """Refuse a release that all charges and this one would carry past the lifetime budget.

        At approval the whole plan fitted; it may not fit a budget that was lowered since.

        Raises:
            BudgetExhausted: BU001.
        """
        spent: dict[str, list[Event]] = {slot.study: []}
        for charge in charges:
            spent.setdefault(charge.study, []).append(charge.event)
        asked = [*spent.pop(slot.study), event]
        check_lifetime(self._policy.now(), list(spent.values()), asked)

    def cohort(self, study: Study) -> StudyCohort:
        """Return the study's cohort, read from the file at its first use and then kept.

        Raises:
            DataError: when the file cannot be used, or its samples' files were not checked as they are.
        """
        with self._loading:
            if study.digest not in self._cohorts:
                gate = open_gate(self._home, self._config, study)
                cohort = load_cohort(study, self._config, self._split_key, gate)
                if cohort.train.n_patients + cohort.holdout.n_patients > site_patients_cap(study):
                    raise DataError("DA018")
                # May be another file than at start.
                self.ledger.record(self._data("" if gate is None else gate.digest))
                self._cohorts[study.digest] = cohort
                self._keep_report(lambda: keep_qc_report(self._home, study, cohort))
            return self._cohorts[study.digest]

    def check_request(self, study: Study, slot: Slot, arrays: Arrays) -> None:
        """Refuse what does not fit the study, before anything is charged.

        Raises:
            ProtocolError: PR008 wrong arrays; PolicyRefused: PO107 before quality control;
            CheckFailed: CK101 to CK109 when quality control failed; DataError: DA001 to DA018 and
            DA080 to DA083;
            SystemFault: SY042, SY073 when the proof does not cover cohort or device.
        """
        expected = {} if slot.phase == "qc" else {"weights": (dimension(study),)}
        given = {name: array.shape for name, array in arrays.items()}
        if given != expected or any(a.dtype != np.float64 for a in arrays.values()):
            raise ProtocolError("PR008")
        cohort = self.cohort(study)
        if slot.phase == "qc":
            return
        if not any(c.event.purpose == "qc" for c in self.ledger.charges(slot.study)):
            raise PolicyRefused("PO107")
        cohort.qc.require_trainable()
        if slot.phase == "train":
            self._training.prepare(study, cohort.train)

    def compute(self, study: Study, slot: Slot, event: Event, arrays: Arrays) -> Released:
        """Compute and noise one release; the caller has reserved its cost.

        Guarantee: the returned integers carry Gaussian noise of std `event.noise_std_grid`.
        """
        cohort = self.cohort(study)
        if slot.phase == "train":
            noised = self._training.release(study, event, cohort.train, _weights(arrays))
            return Released({"release": noised})
        grid = release_grid(study)
        if slot.phase == "qc":
            exact, gamma = cohort.qc.summary, grid.qc
        else:
            exact = score_counts(cohort.holdout, _weights(arrays), study)
            gamma = grid.evaluation
        noised = release(exact, grid_per_unit=gamma, noise_std_grid=event.noise_std_grid)
        if slot.phase != "qc":
            return Released({"release": noised})
        verdict = cohort.qc.verdict.as_json()
        self.ledger.record(QcVerdict(study=slot.study, run=slot.run, verdict=verdict))
        return Released({"release": noised}, verdict)

    def after_release(self, study: Study, slot: Slot, arrays: Arrays) -> None:
        """Keep what the hospital wants to read about a finished step; nothing of it leaves.

        Training is over: the keys of masked sums are forgotten.
        """
        if slot.phase == "evaluate":
            self.masking.forget(study.digest)
            cohort, weights = self.cohort(study), _weights(arrays)
            self._keep_report(lambda: keep_model_report(self._home, study, cohort, weights))

    def _keep_report(self, write: Callable[[], None]) -> None:
        """Write a local report; whatever goes wrong there must not cost a settled release."""
        try:
            write()
        except Exception as error:  # noqa: BLE001 - named without its text, which could hold data
            _LOG.error("local report not written: %s", place_of(error))


def _weights(arrays: Arrays) -> npt.NDArray[np.float64]:
    """Return the `weights` array, whose shape and type `check_request` has checked."""
    return cast("npt.NDArray[np.float64]", arrays["weights"])
