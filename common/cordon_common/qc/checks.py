"""The table of quality checks: id, class, unit, default thresholds and their source, stability.

Stability says how many patients' fates one patient can change by joining or leaving; it
multiplies the sensitivity of everything released afterwards. `None` means unbounded: such a check
may warn, or keep the whole site out (a decision that every study declares as unprotected), but it
may never choose records. The registry refuses a row that breaks this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.qc.verdict import CheckClass, ReasonCode, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Bounds:
    """Where a check starts to warn and to fail: `value > bound`, in `unit`; None = never.

    source: where the numbers come from.
    """

    unit: str
    source: str
    warn: float | None = None
    fail: float | None = None


@dataclass(frozen=True)
class Wording:
    """The report's plain sentences: what is checked, what a finding means, what to do."""

    title: str
    meaning: str
    advice: str


@dataclass(frozen=True)
class CheckSpec:
    """One row of the table; `excludes`: it takes single records out of training."""

    id: str
    modality: str
    scope: Scope
    check_class: CheckClass
    reason: ReasonCode
    bounds: Bounds
    wording: Wording
    stability: int | None
    excludes: bool = False

    def __post_init__(self) -> None:
        if self.excludes and self.stability is None:
            raise ValueError(f"{self.id}: a rule of unbounded stability may not exclude records")
        if self.stability is not None and self.stability < 1:
            raise ValueError(f"{self.id}: stability counts patients and starts at 1")
        if self.bounds.fail is not None and self.check_class is not CheckClass.LOCAL_HARD:
            raise ValueError(f"{self.id}: only a local_hard check may fail")


class Registry:
    """An explicit table of checks; an id that is written twice is refused."""

    def __init__(self, specs: Iterable[CheckSpec]) -> None:
        self._specs: dict[str, CheckSpec] = {}
        for spec in specs:
            if spec.id in self._specs:
                raise ValueError(f"the check {spec.id} is registered twice")
            self._specs[spec.id] = spec

    def __getitem__(self, check: str) -> CheckSpec:
        return self._specs[check]

    def __contains__(self, check: object) -> bool:
        return check in self._specs

    def of(self, modality: str) -> tuple[CheckSpec, ...]:
        """List the checks of a modality in their fixed order."""
        return tuple(spec for spec in self._specs.values() if spec.modality == modality)


def judge(value: float | None, *, warn: float | None, fail: float | None) -> Severity:
    """Turn a value into a severity: beyond `fail` fails, beyond `warn` warns.

    None means that there was nothing to judge (`not_applicable`); NaN is an `error`, never a pass.
    """
    if value is None:
        return Severity.NOT_APPLICABLE
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return Severity.ERROR
    if fail is not None and value > fail:
        return Severity.FAIL
    if warn is not None and value > warn:
        return Severity.WARN
    return Severity.PASS
