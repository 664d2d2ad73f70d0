"""The whole probe: every row, and the one verdict that the vault's gate asks for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.probe.canary import CanaryAudit, audit_with_canary, canary_row
from cordon_client.probe.clipping import clipping_rows
from cordon_client.probe.mechanism import Mechanism
from cordon_client.probe.noise import measure, noise_rows, processes_row
from cordon_client.probe.sampling import sampling_rows
from cordon_common.audit.result import BundleAudit
from cordon_common.canonical import digest_of
from cordon_common.ledger.probed import ProbeDone

if TYPE_CHECKING:
    from collections.abc import Callable

    from cordon_common.audit.result import Row
    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study

DEFAULT_TRIALS = 1000


@dataclass(frozen=True)
class ProbeReport:
    """What the probe found about one study's mechanism at this site."""

    study: str
    name: str
    rows: tuple[Row, ...]
    canary: CanaryAudit

    @property
    def passed(self) -> bool:
        """Whether no row failed."""
        return all(row.status != "FAIL" for row in self.rows)

    @property
    def part(self) -> BundleAudit:
        """The rows as the audit's tables show them."""
        return BundleAudit(f"running mechanism of {self.name}", "", self.rows)

    def as_json(self) -> Json:
        """Return the JSON value."""
        return {
            "probe": "cordon.probe.v1",
            "study": self.study,
            "name": self.name,
            "passed": self.passed,
            "rows": [asdict(row) for row in self.rows],
            "canary": asdict(self.canary),
        }

    @property
    def entry(self) -> ProbeDone:
        """What the ledger keeps of it."""
        return ProbeDone(
            study=self.study,
            passed=self.passed,
            failed=tuple(sorted(row.check for row in self.rows if row.status == "FAIL")),
            epsilon_claimed=self.canary.claimed,
            epsilon_lower=self.canary.lower,
            trials=self.canary.trials,
            report=digest_of(self.as_json()),
        )


def probe(
    study: Study,
    *,
    trials: int = DEFAULT_TRIALS,
    generator: np.random.Generator | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> ProbeReport:
    """Test the mechanism that this installation would run for a study; no patient is touched.

    generator: draws the made-up patients and the weights, never noise.

    Raises:
        ProtocolError: PR007 when the study carries no noise multipliers.
    """
    made_up = np.random.default_rng() if generator is None else generator
    mechanism = Mechanism.of(study)
    rows = [*noise_rows(measure(mechanism, made_up)), processes_row()]
    rows += clipping_rows(mechanism, made_up)
    rows += sampling_rows(mechanism, made_up)
    canary = audit_with_canary(mechanism, made_up, trials=trials, progress=progress)
    rows.append(canary_row(canary))
    return ProbeReport(study.digest, f"{study.name} v{study.version}", tuple(rows), canary)
