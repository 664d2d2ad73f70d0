"""The table of quality checks: id, class, unit, default thresholds and their source, stability.

Stability says how many patients' fates one patient can change by joining or leaving; it
multiplies the sensitivity of everything released afterwards. `None` means unbounded: such a check
may warn, or keep the whole site out (a decision that every study declares as unprotected), but it
may never choose records. The registry refuses a row that breaks this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cordon_common.qc.verdict import CheckClass, ReasonCode, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Bounds:
    """Where a check starts to warn and to fail, in `unit`; None = never.

    source: where the numbers come from. worse: "higher" warns at `value > warn`, "lower" at
    `value < warn`.
    """

    unit: str
    source: str
    warn: float | None = None
    fail: float | None = None
    worse: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True)
class Wording:
    """The report's plain sentences: what is checked, what a finding means, what to do."""

    title: str
    meaning: str
    advice: str


@dataclass(frozen=True)
class CheckSpec:
    """One row of the table.

    excludes: it takes single records, or samples that fail it, out of training. assay_dependent:
    what it finds is normal for some assays, so a profile may make it more lenient, or cap it.
    """

    id: str
    modality: str
    scope: Scope
    check_class: CheckClass
    reason: ReasonCode
    bounds: Bounds
    wording: Wording
    stability: int | None
    excludes: bool = False
    assay_dependent: bool = False

    def __post_init__(self) -> None:
        if self.excludes and self.stability is None:
            raise ValueError(f"{self.id}: a rule of unbounded stability may not exclude records")
        if self.stability is not None and self.stability < 1:
            raise ValueError(f"{self.id}: stability counts patients and starts at 1")
        may_fail = self.check_class is CheckClass.LOCAL_HARD or self.scope is Scope.SAMPLE
        if self.bounds.fail is not None and not may_fail:
            raise ValueError(f"{self.id}: only a local_hard check, or one of a sample, may fail")
        if self.assay_dependent and self.scope is not Scope.SAMPLE:
            raise ValueError(f"{self.id}: only checks of samples depend on the assay")


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

    @property
    def modalities(self) -> tuple[str, ...]:
        """Name the modalities that have checks, in the order of the table."""
        return tuple(dict.fromkeys(spec.modality for spec in self._specs.values()))

    def of(self, modality: str) -> tuple[CheckSpec, ...]:
        """List the checks of a modality in their fixed order."""
        return tuple(spec for spec in self._specs.values() if spec.modality == modality)


def judge(
    value: float | None,
    *,
    warn: float | None,
    fail: float | None,
    worse: Literal["higher", "lower"] = "higher",
) -> Severity:
    """Turn a value into a severity: beyond `fail` fails, beyond `warn` warns.

    None means that there was nothing to judge (`not_applicable`); NaN is an `error`, never a pass.
    """
    if value is None:
        return Severity.NOT_APPLICABLE
    if value != value:  # noqa: PLR0124 - only NaN differs from itself
        return Severity.ERROR
    sign = 1 if worse == "higher" else -1
    if fail is not None and sign * value > sign * fail:
        return Severity.FAIL
    if warn is not None and sign * value > sign * warn:
        return Severity.WARN
    return Severity.PASS
