"""What an audit found, as data: rows of PASS, FAIL or NOT PROVEN, each with its evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.canonical import Json
    from cordon_common.protocol.study import TrustModel

Status = Literal["PASS", "FAIL", "NOT PROVEN"]
_SHOWN = 3


@dataclass(frozen=True)
class Row:
    """One check: its short name, what it asserts, how it went, and on what evidence."""

    check: str
    claim: str
    status: Status
    evidence: str


@dataclass(frozen=True)
class Spending:
    """ε that releases cost, recomputed from the ledger's events; never read from anywhere.

    scope: a study's name and version, a calendar year, or "lifetime". budget: the ε that the study
    or the hospital's policy allows at `delta` under this trust model, None where there is none.
    """

    site: str
    dataset: str
    scope: str
    trust_model: TrustModel
    releases: int
    delta: float
    epsilon_pld: float
    epsilon_rdp: float
    budget: float | None


@dataclass(frozen=True)
class BundleAudit:
    """The rows of one bundle, or of the comparison of several; `file` is empty for the latter."""

    title: str
    file: str
    rows: tuple[Row, ...]
    spending: tuple[Spending, ...] = ()


@dataclass(frozen=True)
class AuditResult:
    """All that one verification found."""

    parts: tuple[BundleAudit, ...]

    @property
    def verdict(self) -> Status:
        """FAIL if any row failed, else NOT PROVEN if any row is not proven, else PASS."""
        found = {row.status for part in self.parts for row in part.rows}
        if "FAIL" in found:
            return "FAIL"
        return "PASS" if found == {"PASS"} else "NOT PROVEN"

    def count(self, status: Status) -> int:
        """Return how many rows ended so."""
        return sum(row.status == status for part in self.parts for row in part.rows)

    def as_json(self) -> Json:
        """Return the JSON value; equal bundles give equal values."""
        return {
            "audit": "cordon.audit.v1",
            "verdict": self.verdict,
            "parts": [asdict(part) for part in self.parts],
        }


def judge(
    check: str,
    claim: str,
    evidence: str,
    *,
    problems: Sequence[str] = (),
    unproven: Sequence[str] = (),
) -> Row:
    """Make a row: FAIL with the first problems, else NOT PROVEN, else PASS with the evidence."""
    if problems:
        return Row(check, claim, "FAIL", _listed(problems))
    if unproven:
        return Row(check, claim, "NOT PROVEN", _listed(unproven))
    return Row(check, claim, "PASS", evidence)


def _listed(texts: Sequence[str]) -> str:
    texts = list(dict.fromkeys(texts))
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more
