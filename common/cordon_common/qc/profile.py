"""QC profiles: versioned thresholds that a study names and a hospital can read and tighten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from cordon_common.errors import ProtocolError
from cordon_common.protocol.parse import load_yaml, parse_model
from cordon_common.qc.clinical_checks import CLINICAL_TABLE
from cordon_common.qc.registry import REGISTRY
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from pathlib import Path

CLINICAL_TABLE_V1 = "clinical-table.v1"


class Thresholds(StrictModel):
    """Where a check starts to warn and to fail; a bound that is left out keeps its default."""

    warn: float | None = Field(default=None, ge=0, examples=[0.01])
    fail: float | None = Field(default=None, ge=0, examples=[0.5])


class Profile(StrictModel):
    """The thresholds of one modality's checks.

    A profile moves thresholds; it cannot switch a check off, and it cannot change which records
    are excluded: that is the study's data dictionary, which the hospital approved by hash.
    """

    cordon: Literal[1] = Field(examples=[1])
    name: str = Field(pattern=r"^[a-z0-9-]+\.v[0-9]+$", examples=[CLINICAL_TABLE_V1])
    modality: Literal["clinical-table"] = Field(examples=[CLINICAL_TABLE])
    checks: dict[str, Thresholds] = Field(
        default_factory=dict, examples=[{"feature.missing": {"warn": 0.4}}]
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = {spec.id for spec in REGISTRY.of(self.modality)}
        for check, thresholds in self.checks.items():
            if check not in known:
                raise ValueError(f"checks: {check} is not a check of {self.modality}")
            limit = REGISTRY[check].bounds.fail
            if thresholds.fail is not None and limit is None:
                raise ValueError(f"checks: {check} may only warn, remove its fail threshold")
            if thresholds.fail is not None and limit is not None and thresholds.fail > limit:
                raise ValueError(
                    f"checks: {check} may be stricter than {limit:g}, not more lenient"
                )
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


def builtin_profile(name: str) -> Profile:
    """Return the profile that a study names, with the registry's thresholds.

    Raises:
        ProtocolError: PR020 when this version of the program has no such profile.
    """
    if name != CLINICAL_TABLE_V1:
        raise ProtocolError("PR020", why=f"the study asks for {name}")
    return Profile(cordon=1, name=name, modality="clinical-table")


def load_profile(path: Path) -> Profile:
    """Read a profile file.

    Raises:
        UsageError: US002 when it is missing.
        ProtocolError: PR002 when it is not YAML, PR004 when a field is wrong.
    """
    return parse_model(
        Profile, load_yaml(path), code="PR004", what=f"{path.name} is not a valid QC profile"
    )
