"""From what a check saw to its judgement, in one way for every modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.verdict import CheckResult, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cordon_common.qc.profile import Profile

_NOTABLE = {Severity.WARN, Severity.FAIL, Severity.ERROR}


@dataclass(frozen=True)
class Finding:
    """What a check saw: a value to judge, the records behind it, and what only it can say.

    value None: there was nothing to judge. waived: the value is not evidence (too few records).
    shared: rows of the file that other samples brought took part, so the judgement has no bounded
    stability: it may warn, and excludes nobody. study_limit: the study's own bound, which replaces
    the registry's.
    """

    check: str
    value: float | None
    affected: int | None = None
    detail: str = ""
    waived: bool = False
    shared: bool = False
    study_limit: float | None = None


def result_of(finding: Finding, profile: Profile, subject: str | None = None) -> CheckResult:
    """Compare a finding with the profile's thresholds."""
    warn, fail = profile.thresholds(finding.check, finding.study_limit)
    severity = profile.severity(finding.check, finding.value, finding.study_limit)
    if finding.waived and severity in {Severity.WARN, Severity.FAIL}:
        severity = Severity.PASS
    if finding.shared and severity is Severity.FAIL:
        severity = Severity.WARN
    notable = severity in _NOTABLE
    return CheckResult(
        check=finding.check,
        severity=severity,
        subject=subject,
        value=finding.value,
        threshold=fail if severity is Severity.FAIL else warn,
        affected=finding.affected,
        reason=REGISTRY[finding.check].reason if notable else None,
        detail=finding.detail if notable else "",
    )


def excludes(results: Iterable[CheckResult]) -> bool:
    """Say whether these judgements take their sample out of training."""
    stops = {Severity.FAIL, Severity.ERROR}
    return any(r.severity in stops and REGISTRY[r.check].excludes for r in results)
