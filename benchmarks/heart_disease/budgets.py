"""A study at one budget: ε, trust model, and which sites train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.privacy.calibrate import resolve
from cordon_common.protocol.parse import with_trust
from cordon_common.protocol.study import RosterEntry
from cordon_common.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cordon_common.protocol.study import Study, TrustModel


@dataclass(frozen=True)
class Repeats:
    """How often each budget is tried: noise seeds, other random splits, and under which trust."""

    seeds: int
    splits: int
    trust: tuple[str, ...]


@dataclass(frozen=True)
class Budget:
    """One cell of a table; epsilon None: the same training without noise."""

    epsilon: float | None
    trust: TrustModel

    @property
    def name(self) -> str:
        """A short name for a line."""
        return "no noise" if self.epsilon is None else f"ε={self.epsilon:g} {self.trust}"

    def plan(self, study: Study, sites: Mapping[str, int], delta: float) -> Study:
        """Return the study with these sites, sizes and this budget, its noise filled in.

        Raises:
            ProtocolError: PR031 when no noise keeps the promise.
        """
        roster = tuple(
            RosterEntry(
                site=site, key=str(SigningKey.generate().public), expected_patients=patients
            )
            for site, patients in sites.items()
        )
        promise = study.privacy.model_copy(
            update={"epsilon": self.epsilon or 1.0, "delta": delta, "noise": None}
        )
        study = study.model_copy(update={"roster": roster, "privacy": promise})
        return resolve(with_trust(study, self.trust))
