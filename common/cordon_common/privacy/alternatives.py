"""The same study under each trust model, side by side, before anybody chooses one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from cordon_common.errors import ProtocolError
from cordon_common.privacy.accounting import study_epsilon
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.schedule import check_headroom, gradient_grid, planned_events
from cordon_common.privacy.simulate import predict
from cordon_common.protocol.parse import parse_model, with_trust
from cordon_common.protocol.study import RosterEntry, Study, TrustModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cordon_common.canonical import Json
    from cordon_common.privacy.simulate import Utility

BUCKETS = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
"""Public sizes of hospitals: what a plan knows of a site is which of these it is closest to."""


@dataclass(frozen=True)
class Alternative:
    """A trust model: what it takes and gives. Noise is in patients: a patient's bound is 1.

    site_noise: what one site adds to each number of a training sum; sum_noise: what the sum over
    all sites carries. epsilon: the whole study's, per site, under this trust model; epsilon_local:
    when every release is looked at by itself. why_not: why the study cannot have it, else empty.
    """

    trust_model: TrustModel
    why_not: str = ""
    rounds: int = 0
    clip_norm: float = 0.0
    noise_multiplier: float = 0.0
    site_noise: float = 0.0
    sum_noise: float = 0.0
    epsilon: float = 0.0
    epsilon_local: float = 0.0
    utility: Utility | None = None

    def row(self) -> tuple[str, ...]:
        """Return table cells: trust model, σ, noise of a site and of the sum, ε, ε alone, AUC, range."""
        if self.why_not:
            return (self.trust_model, *["-"] * 7)
        auc, span = "-", "-"
        if self.utility is not None:
            auc = f"{self.utility.auc:.3f}"
            span = f"{self.utility.low:.2f}-{self.utility.high:.2f}"
        return (
            self.trust_model,
            f"{self.noise_multiplier:.4g}",
            f"{self.site_noise:.3g}",
            f"{self.sum_noise:.3g}",
            f"{self.epsilon:.3f}",
            f"{self.epsilon_local:.3f}",
            auc,
            span,
        )

    def as_json(self) -> Json:
        """Return the JSON value for `--json`."""
        utility = None if self.utility is None else vars(self.utility)
        return vars(self) | {"utility": utility}


def alternatives(study: Study, *, simulate: bool = True) -> tuple[Alternative, ...]:
    """Plan a study under every trust model; nothing is spent."""
    return tuple(_under(study, trust, simulate=simulate) for trust in get_args(TrustModel))


def bucket(patients: int) -> int:
    """Return the public size that a number of patients is closest to, by ratio."""
    return min(BUCKETS, key=lambda size: abs(math.log(max(patients, 1) / size)))


def with_sites(study: Study, patients: Mapping[str, int]) -> Study:
    """Return the study with a roster of sites of these sizes, in buckets, for planning only.

    The keys of such a roster are made up: nobody can sign or approve it.

    Raises:
        ProtocolError: PR001 when the study does not fit these sites.
    """
    roster = [
        RosterEntry(site=site, key=_nobodys_key(number), expected_patients=bucket(size))
        for number, (site, size) in enumerate(patients.items())
    ]
    value = study.as_json() | {"roster": [entry.model_dump(mode="json") for entry in roster]}
    return parse_model(Study, value, code="PR001", what="the study does not fit these sites")


def _under(study: Study, trust: TrustModel, *, simulate: bool) -> Alternative:
    try:
        resolved = resolve(with_trust(study, trust))
        check_headroom(resolved)
    except ProtocolError as error:
        return Alternative(trust, why_not=error.why or str(error))
    schedule, promise = planned_events(resolved), resolved.privacy
    events = schedule.all_events()
    site_std = schedule.training.noise_std_grid / gradient_grid(resolved.training)
    sum_std = site_std * math.sqrt(max(1, len(resolved.roster)))
    clip = resolved.training.clip_norm
    return Alternative(
        trust_model=trust,
        rounds=resolved.training.rounds,
        clip_norm=clip,
        noise_multiplier=schedule.training.noise_multiplier,
        site_noise=site_std / clip,
        sum_noise=sum_std / clip,
        epsilon=study_epsilon(events, promise.delta, trust).pld,
        epsilon_local=study_epsilon(events, promise.delta).pld,
        utility=predict(resolved, sum_std) if simulate else None,
    )


def _nobodys_key(number: int) -> str:
    """Return text of a key's form that belongs to nobody, different for every number."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return f"ed25519:{'A' * 40}{digits[number // 62 % 62]}{digits[number % 62]}A="
