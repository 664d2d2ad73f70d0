"""What this hospital allows: checked at approval and again at every request."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cordon_common.canonical import digest_of
from cordon_common.enrolment import KeyText
from cordon_common.errors import BudgetExhausted, PolicyRefused, SystemFault, UsageError
from cordon_common.ledger.entries import PolicySet
from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.filter import BudgetFilter
from cordon_common.privacy.schedule import planned_events
from cordon_common.protocol.models import Family
from cordon_common.protocol.parse import load_yaml, parse_model
from cordon_common.protocol.study import TrustModel
from cordon_common.signing import PublicKey
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study


CLOCK_TOLERANCE = datetime.timedelta(minutes=5)


class Lifetime(StrictModel):
    """The privacy budget of the dataset over all studies, for ever.

    `trust_model` says what counts: `local`, what every release of this hospital costs by itself; or
    `secure-sum`, what masked sums cost when as many sites are honest as the study assumes.
    """

    epsilon: float = Field(gt=0, le=100, examples=[8.0])
    delta: float = Field(gt=0, lt=0.01, examples=[1e-4])
    trust_model: TrustModel = Field(default="local", examples=["local"])


class StudyLimits(StrictModel):
    """What one study may ask at most, and what it must bring at least.

    min_cell, max_share: bounds of its rules on what reports may show (`qc.disclosure`).
    """

    max_epsilon: float = Field(gt=0, le=100, examples=[3.0])
    max_delta: float = Field(gt=0, lt=0.01, examples=[1e-4])
    min_patients: int = Field(ge=10, examples=[30])
    min_sites: int = Field(ge=1, examples=[2])
    algorithms: tuple[Literal["dp-fedsgd", "dp-fedavg"], ...] = Field(
        min_length=1, examples=[["dp-fedsgd"]]
    )
    models: tuple[Family, ...] = Field(min_length=1, examples=[["logistic"]])
    trust_models: tuple[TrustModel, ...] = Field(min_length=1, examples=[["local"]])
    min_colluding_sites: int = Field(default=0, ge=0, examples=[1])
    min_cell: int = Field(default=10, ge=3, le=100, examples=[10])
    max_share: float = Field(default=0.8, ge=0.5, lt=1, examples=[0.8])


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

    @property
    def budget(self) -> BudgetFilter:
        """The filter that guards the lifetime budget, under the policy's trust model."""
        lifetime = self.lifetime
        return BudgetFilter(lifetime.epsilon, lifetime.delta, lifetime.trust_model)


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
        lifetime_trust_model=policy.lifetime.trust_model,
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
            or sites, or of what reports hide, PO104 algorithm, model or trust model.
    """
    entries = [entry for entry in study.roster if entry.site == site]
    if not entries or PublicKey.parse(entries[0].key) != key:
        raise PolicyRefused("PO101")
    _check_epsilon(policy, study)
    limits = policy.study
    gate = study.qc.gate
    if gate.min_patients < limits.min_patients or gate.min_sites < limits.min_sites:
        raise PolicyRefused(
            "PO103",
            why=f"asked {gate.min_patients} patients, {gate.min_sites} sites; "
            f"the floor is {limits.min_patients} patients, {limits.min_sites} sites",
        )
    shown = study.qc.disclosure
    if shown.min_cell < limits.min_cell or shown.max_share > limits.max_share:
        raise PolicyRefused(
            "PO103",
            why=f"reports would show cells of {shown.min_cell} patients and results of which one "
            f"hospital brings {shown.max_share:.0%}; the policy's bounds are {limits.min_cell} patients "
            f"(study.min_cell) and {limits.max_share:.0%} (study.max_share)",
        )
    allowed = (
        study.training.algorithm in limits.algorithms
        and study.model.family in limits.models
        and study.privacy.trust_model in limits.trust_models
    )
    if not allowed:
        raise PolicyRefused("PO104")
    masked = study.privacy.trust_model == "secure-sum"
    if masked and study.privacy.colluding_sites < limits.min_colluding_sites:
        raise PolicyRefused(
            "PO104",
            why=f"the study assumes that at most {study.privacy.colluding_sites} sites collude; the "
            f"policy asks for {limits.min_colluding_sites} or more (study.min_colluding_sites)",
        )


def _check_epsilon(policy: SitePolicy, study: Study) -> None:
    """Hold the study against its own promise, and its cost as this hospital counts it.

    Raises:
        PolicyRefused: PO102.
    """
    promise, limits = study.privacy, policy.study
    events = planned_events(study).all_events()
    spent = study_epsilon(events, promise.delta, promise.trust_model).pld
    if spent > promise.epsilon * (1 + 1e-9):
        raise PolicyRefused(
            "PO102",
            "the study's noise does not keep its own epsilon",
            why=f"it costs {spent:.4g}, it declares {promise.epsilon:.4g}",
        )
    asked = promise.epsilon
    if promise.trust_model == "secure-sum" and policy.lifetime.trust_model == "local":
        asked = study_epsilon(events, promise.delta, "local").pld
    if asked > limits.max_epsilon or promise.delta > limits.max_delta:
        raise PolicyRefused(
            "PO102",
            why=f"asked epsilon {asked:.4g} at delta {promise.delta:g}, counted under the trust "
            f"model {policy.lifetime.trust_model}; allowed {limits.max_epsilon:g} at "
            f"{limits.max_delta:g}",
        )


def check_permit(study: Study, today: datetime.date) -> None:
    """Refuse a study after the last day of its permit.

    Raises:
        PolicyRefused: PO105.
    """
    if today > study.permit.end_date:
        raise PolicyRefused("PO105", why=f"it ended on {study.permit.end_date.isoformat()}")


def check_clock(latest: str, now: datetime.datetime) -> None:
    """Refuse a clock that is behind what the ledger has seen: it could reopen an ended permit.

    latest: the latest time in the ledger (RFC 3339). Five minutes are forgiven, as for messages.

    Raises:
        SystemFault: SY102.
    """
    behind = datetime.datetime.fromisoformat(latest) - now
    if behind > CLOCK_TOLERANCE:
        raise SystemFault("SY102", why=f"{behind.total_seconds():.0f} s behind")


def check_lifetime(
    policy: SitePolicy, held: Sequence[Collection[Event]], asked: Collection[Event]
) -> None:
    """Refuse a study when it and the others together would spend more than the lifetime budget.

    held: per other study its events (a running study counts with its whole plan).
    Guarantee: holds for adaptively chosen studies (Feldman, Zrnic 2021; RDP filter).

    Raises:
        BudgetExhausted: BU001.
    """
    if not policy.budget.admits(held, asked):
        raise BudgetExhausted("BU001")
