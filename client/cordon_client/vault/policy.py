"""What this hospital allows: checked at approval and again at every request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cordon_common.canonical import digest_of
from cordon_common.enrolment import KeyText
from cordon_common.errors import BudgetExhausted, PolicyRefused, UsageError
from cordon_common.ledger.entries import PolicySet
from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.filter import BudgetFilter
from cordon_common.privacy.schedule import planned_events
from cordon_common.protocol.parse import load_yaml, parse_model
from cordon_common.signing import PublicKey
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    import datetime
    from pathlib import Path

    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study


class Lifetime(StrictModel):
    """The privacy budget of the dataset over all studies, for ever."""

    epsilon: float = Field(gt=0, le=100, examples=[8.0])
    delta: float = Field(gt=0, lt=0.01, examples=[1e-4])


class StudyLimits(StrictModel):
    """What one study may ask at most, and what it must bring at least."""

    max_epsilon: float = Field(gt=0, le=100, examples=[3.0])
    max_delta: float = Field(gt=0, lt=0.01, examples=[1e-4])
    min_patients: int = Field(ge=10, examples=[30])
    min_sites: int = Field(ge=1, examples=[2])
    algorithms: tuple[Literal["dp-fedsgd"], ...] = Field(min_length=1, examples=[["dp-fedsgd"]])
    models: tuple[Literal["logistic", "mlp"], ...] = Field(min_length=1, examples=[["logistic"]])
    trust_models: tuple[Literal["local"], ...] = Field(min_length=1, examples=[["local"]])


class SitePolicy(StrictModel):
    """`policy.yaml`: the hospital's own rules; nobody but the hospital can loosen them."""

    trusted_coordinators: tuple[KeyText, ...] = Field(default=(), examples=[["ed25519:…"]])
    lifetime: Lifetime
    study: StudyLimits

    @property
    def digest(self) -> str:
        """Digest of the policy's canonical JSON."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def trusted_keys(self) -> tuple[PublicKey, ...]:
        """The coordinators whose signature counts."""
        return tuple(PublicKey.parse(text) for text in self.trusted_coordinators)


def load_policy(path: Path) -> SitePolicy:
    """Read a policy file.

    Raises:
        UsageError: US002 when it is missing; ProtocolError: PR004 with every wrong field.
    """
    return parse_model(
        SitePolicy, load_yaml(path), code="PR004", what=f"{path.name} is not a valid policy"
    )


def policy_entry(policy: SitePolicy) -> PolicySet:
    """Say in the ledger which policy holds from here on."""
    return PolicySet(
        policy=policy.digest,
        lifetime_epsilon=policy.lifetime.epsilon,
        lifetime_delta=policy.lifetime.delta,
        trusted_coordinators=policy.trusted_coordinators,
    )


def trust_coordinator(path: Path, key: PublicKey, comment: str) -> None:
    """Add a coordinator's key to a policy file, keeping its comments; adding twice is harmless.

    Raises:
        UsageError: US001 when the file has no `trusted_coordinators:` line to add to.
    """
    if key in load_policy(path).trusted_keys:
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    for i, line in enumerate(lines):
        if line.split("#")[0].strip() in {"trusted_coordinators:", "trusted_coordinators: []"}:
            lines[i : i + 1] = ["trusted_coordinators:", f'  - "{key}"  # {comment}']
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            load_policy(path)
            return
    raise UsageError("US001", f"{path.name} has no block 'trusted_coordinators:' to add to")


def check_study(policy: SitePolicy, study: Study, site: str, key: PublicKey) -> None:
    """Refuse a study that asks for what this hospital does not allow.

    Raises:
        PolicyRefused: PO101 not on the roster, PO102 epsilon or delta, PO103 minimum of patients
            or sites, PO104 algorithm, model or trust model.
    """
    entries = [entry for entry in study.roster if entry.site == site]
    if not entries or PublicKey.parse(entries[0].key) != key:
        raise PolicyRefused("PO101")
    limits = policy.study
    spent = study_epsilon(planned_events(study).all_events(), study.privacy.delta).pld
    if spent > study.privacy.epsilon * (1 + 1e-9):
        raise PolicyRefused(
            "PO102",
            "the study's noise does not keep its own epsilon",
            why=f"it costs {spent:.4g}, it declares {study.privacy.epsilon:.4g}",
        )
    if study.privacy.epsilon > limits.max_epsilon or study.privacy.delta > limits.max_delta:
        raise PolicyRefused(
            "PO102",
            why=f"asked epsilon {study.privacy.epsilon:g} at delta {study.privacy.delta:g}; "
            f"allowed {limits.max_epsilon:g} at {limits.max_delta:g}",
        )
    gate = study.qc.gate
    if gate.min_patients < limits.min_patients or gate.min_sites < limits.min_sites:
        raise PolicyRefused(
            "PO103",
            why=f"asked {gate.min_patients} patients, {gate.min_sites} sites; "
            f"the floor is {limits.min_patients} patients, {limits.min_sites} sites",
        )
    allowed = (
        study.training.algorithm in limits.algorithms
        and study.model.family in limits.models
        and study.privacy.trust_model in limits.trust_models
    )
    if not allowed:
        raise PolicyRefused("PO104")


def check_permit(study: Study, today: datetime.date) -> None:
    """Refuse a study after the last day of its permit.

    Raises:
        PolicyRefused: PO105.
    """
    if today > study.permit.end_date:
        raise PolicyRefused("PO105", why=f"it ended on {study.permit.end_date.isoformat()}")


def check_lifetime(policy: SitePolicy, held: list[list[Event]], asked: list[Event]) -> None:
    """Refuse a study when it and the others together would spend more than the lifetime budget.

    held: per other study its events (a running study counts with its whole plan).
    Guarantee: holds for adaptively chosen studies (Feldman, Zrnic 2021; RDP filter).

    Raises:
        BudgetExhausted: BU001.
    """
    budget = BudgetFilter(policy.lifetime.epsilon, policy.lifetime.delta)
    if not budget.admits(held, asked):
        raise BudgetExhausted("BU001")
