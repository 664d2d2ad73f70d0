"""QC profiles: versioned thresholds that a study names and a hospital can read and tighten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from cordon_common.errors import ProtocolError
from cordon_common.protocol.parse import load_yaml, parse_model
from cordon_common.qc.batch_checks import BATCH
from cordon_common.qc.checks import judge
from cordon_common.qc.clinical_checks import CLINICAL_TABLE
from cordon_common.qc.registry import CROSS_SITE, REGISTRY
from cordon_common.qc.sample_checks import SAMPLE
from cordon_common.qc.verdict import Severity
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.qc.checks import CheckSpec

CLINICAL_TABLE_V1 = "clinical-table.v1"


_SHARED = (SAMPLE, BATCH)
"""Checks that every modality may carry out."""

_NOT_PROFILED = {CROSS_SITE, *_SHARED}


class Thresholds(StrictModel):
    """Where a check starts to warn and to fail; a bound that is left out keeps its default.

    at_most: the worst severity that the finding gets in this assay, where it is normal.
    """

    warn: float | None = Field(default=None, ge=0, examples=[0.01])
    fail: float | None = Field(default=None, ge=0, examples=[0.5])
    at_most: Literal["pass", "warn"] | None = Field(default=None, examples=["warn"])


class Profile(StrictModel):
    """The thresholds of one modality's checks.

    A profile moves thresholds; it cannot switch a check off, and in a clinical table it cannot
    change which records are excluded: that is the study's data dictionary, which the hospital
    approved by hash. Checks that depend on the assay may be moved both ways, and capped: a library
    of few RNAs has many duplicates, and nothing is wrong with it.
    """

    cordon: Literal[1] = Field(examples=[1])
    name: str = Field(pattern=r"^[a-z0-9-]+\.v[0-9]+$", examples=[CLINICAL_TABLE_V1])
    modality: str = Field(pattern=r"^[a-z0-9-]+$", examples=[CLINICAL_TABLE])
    description: str = Field(default="", max_length=400, examples=["RNA-seq of poly-A libraries"])
    checks: dict[str, Thresholds] = Field(
        default_factory=dict, examples=[{"feature.missing": {"warn": 0.4}}]
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.modality not in profiled_modalities():
            raise ValueError(f"modality: no checks are known for {self.modality}")
        for check, thresholds in self.checks.items():
            if check not in REGISTRY or REGISTRY[check].modality not in {self.modality, *_SHARED}:
                raise ValueError(f"checks: {check} is not a check of {self.modality}")
            _refuse_leniency(REGISTRY[check], thresholds)
        return self

    def thresholds(
        self, check: str, study_limit: float | None = None
    ) -> tuple[float | None, float | None]:
        """Return (warn, fail) of a check: the profile's where set, else the registry's.

        study_limit replaces the registry's `fail`; a profile may be stricter than the study, never
        more lenient.
        """
        own, bounds = self.checks.get(check, Thresholds()), REGISTRY[check].bounds
        warn = bounds.warn if own.warn is None else own.warn
        fail = bounds.fail if study_limit is None else study_limit
        if own.fail is not None:
            fail = own.fail if study_limit is None else min(own.fail, study_limit)
        return warn, fail

    def severity(
        self, check: str, value: float | None, study_limit: float | None = None
    ) -> Severity:
        """Judge a value; None = nothing to judge, NaN = error, neither is ever a pass."""
        warn, fail = self.thresholds(check, study_limit)
        found = judge(value, warn=warn, fail=fail, worse=REGISTRY[check].bounds.worse)
        cap = self.checks.get(check, Thresholds()).at_most
        if cap is None or found not in {Severity.WARN, Severity.FAIL}:
            return found
        return Severity.PASS if cap == "pass" else Severity.WARN


def profiled_modalities() -> tuple[str, ...]:
    """Name the modalities that a profile may be written for."""
    return tuple(name for name in REGISTRY.modalities if name not in _NOT_PROFILED)


def _refuse_leniency(spec: CheckSpec, own: Thresholds) -> None:
    limit, sign = spec.bounds.fail, 1 if spec.bounds.worse == "higher" else -1
    if own.fail is not None and limit is None:
        raise ValueError(f"checks: {spec.id} may only warn, remove its fail threshold")
    if spec.assay_dependent:
        return
    if own.at_most is not None:
        raise ValueError(f"checks: {spec.id} means the same in every assay, remove at_most")
    if own.fail is not None and limit is not None and sign * own.fail > sign * limit:
        raise ValueError(f"checks: {spec.id} may be stricter than {limit:g}, not more lenient")


def builtin_profile(name: str) -> Profile:
    """Return a modality's own profile, `<modality>.v1`: the registry's thresholds.

    Raises:
        ProtocolError: PR020 when this version of the program has no such profile.
    """
    modality = name.removesuffix(".v1")
    if modality == name or modality not in profiled_modalities():
        raise ProtocolError("PR020", why=f"the study asks for {name}")
    return Profile(cordon=1, name=name, modality=modality)


def load_profile(path: Path) -> Profile:
    """Read a profile file.

    Raises:
        UsageError: US002 when it is missing.
        ProtocolError: PR002 when it is not YAML, PR004 when a field is wrong.
    """
    return parse_model(
        Profile, load_yaml(path), code="PR004", what=f"{path.name} is not a valid QC profile"
    )
