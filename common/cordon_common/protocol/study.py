"""The study: everything that the coordinator asks and the hospital approves by hash."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cordon_common.canonical import Json, digest_of
from cordon_common.protocol.dictionary import Cohort, SequenceFeature, SeriesFeature, Slug
from cordon_common.protocol.models import Convolutions, Model, Transformer
from cordon_common.protocol.strategies import Averaging, Strategy, least_sites
from cordon_common.strict import StrictModel

Fraction = Annotated[float, Field(gt=0, lt=1)]

TrustModel = Literal["local", "secure-sum"]
"""Whom a promise holds against: anybody at all, or a coordinator that sees masked sums alone."""


class Permit(StrictModel):
    """The data permit that allows the study, and its last day."""

    id: str = Field(min_length=1, max_length=80, examples=["permit-2026-017"])
    end_date: datetime.date = Field(examples=["2027-12-31"])


class Gate(StrictModel):
    """When a site, and the study, may go on to training.

    under_review: a site that the gate doubts stays out until a person decides, or trains anyway.
    """

    min_patients: int = Field(ge=10, examples=[40])
    min_sites: int = Field(ge=1, examples=[3])
    max_excluded_fraction: Fraction = Field(default=0.5, examples=[0.5])
    under_review: Literal["wait", "train"] = Field(default="wait", examples=["wait"])


class Disclosure(StrictModel):
    """What reports may show of the noised results, beyond what the noise protects.

    min_cell: numbers of fewer patients are not shown, nor others that would tell them.
    max_share: a number over several hospitals is not shown when one of them brings a larger part.
    """

    min_cell: int = Field(default=10, ge=3, le=100, examples=[10])
    max_share: float = Field(default=0.8, ge=0.5, lt=1, examples=[0.8])


ProfileName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,60}\.v[0-9]{1,6}$")]


class Qc(StrictModel):
    """Quality control: the versioned profile, and what duplicates under other ids lead to.

    samples: profiles, one per modality, of the files that the features were made of. Where it is
    given, a patient takes part only with a sample whose files passed; each hospital checks its own.
    harmonise: the summary also carries each number's mean and spread, for harmonisation; the same
    noise multiplier then means a little more noise in everything else.
    """

    profile: ProfileName = Field(default="clinical-table.v1", examples=["clinical-table.v1"])
    samples: tuple[ProfileName, ...] = Field(default=(), max_length=8, examples=[["fastq.v1"]])
    duplicate_patients: Literal["warn", "exclude"] = Field(default="warn", examples=["warn"])
    histogram_bins: int = Field(default=10, ge=2, le=50, examples=[10])
    disclosure: Disclosure = Disclosure()
    harmonise: bool = Field(default=False, examples=[True])
    gate: Gate


class FullBatch(StrictModel):
    """Every training patient takes part in every round."""

    scheme: Literal["full"] = "full"


class Poisson(StrictModel):
    """Each training patient takes part independently with probability `rate`."""

    scheme: Literal["poisson"]
    rate: Fraction = Field(examples=[0.25])


Sampling = Annotated[FullBatch | Poisson, Field(discriminator="scheme")]


class Sgd(StrictModel):
    """Plain or momentum gradient descent at the server."""

    name: Literal["sgd"]
    learning_rate: float = Field(gt=0, examples=[1.0])
    momentum: float = Field(default=0.0, ge=0, lt=1, examples=[0.9])


class Adam(StrictModel):
    """Adam at the server (Kingma, Ba 2015)."""

    name: Literal["adam"]
    learning_rate: float = Field(gt=0, examples=[0.05])
    beta1: float = Field(default=0.9, ge=0, lt=1, examples=[0.9])
    beta2: float = Field(default=0.99, ge=0, lt=1, examples=[0.99])
    epsilon: float = Field(default=1e-8, gt=0, examples=[1e-8])


Optimizer = Annotated[Sgd | Adam, Field(discriminator="name")]


class Rounds(StrictModel):
    """What both algorithms have: rounds, who takes part, how a patient's gradient is bounded.

    `clip_norm` bounds a patient's gradient in L2. `divisor` is the public number of training
    patients of all sites, by which sums are divided. `grid_bits`: `clip_norm` is 2^grid_bits steps
    of the integer grid. The model is the mean over the last `tail_fraction` of the rounds.
    """

    rounds: int = Field(ge=1, le=10_000, examples=[30])
    sampling: Sampling = Field(default=FullBatch(), examples=[{"scheme": "full"}])
    clip_norm: float = Field(ge=1e-6, le=1e6, examples=[1.0])
    grid_bits: int = Field(default=24, ge=16, le=40, examples=[24])
    divisor: int = Field(ge=1, examples=[600])
    tail_fraction: float = Field(default=0.5, ge=0, lt=1, examples=[0.5])


class FedSgd(Rounds):
    """One clipped, noised gradient sum per site and round (DP-FedSGD).

    `ring_bits`: masked sums are taken modulo 2^ring_bits; 32 halves what a site sends.
    """

    algorithm: Literal["dp-fedsgd"] = Field(examples=["dp-fedsgd"])
    ring_bits: Literal[32, 64] = Field(default=64, examples=[64])
    optimizer: Optimizer = Field(examples=[{"name": "sgd", "learning_rate": 1.0}])
    weight_decay: float = Field(default=0.0, ge=0, lt=1, examples=[0.001])

    @property
    def steps(self) -> int:
        """Noised gradients per round and site."""
        return 1


class FedAvg(Rounds):
    """Private gradient steps at each site, then the change of the weights leaves (DP-FedAvg).

    `local_steps` noised steps of `local_learning_rate` per round; each is charged. What leaves is
    the change of the weights, bounded to `update_norm` in L2; `strategy` combines the sites.
    """

    algorithm: Literal["dp-fedavg"] = Field(examples=["dp-fedavg"])
    local_steps: int = Field(ge=1, le=1000, examples=[5])
    local_learning_rate: float = Field(gt=0, le=1e4, examples=[0.5])
    update_norm: float = Field(ge=1e-6, le=1e6, examples=[10.0])
    strategy: Strategy = Field(default=Averaging(name="fedavg"), examples=[{"name": "fedavg"}])

    @property
    def ring_bits(self) -> Literal[64]:
        """Updates are not masked; they travel as 64-bit integers."""
        return 64

    @property
    def steps(self) -> int:
        """Noised gradients per round and site."""
        return self.local_steps


Training = Annotated[FedSgd | FedAvg, Field(discriminator="algorithm")]


class Noise(StrictModel):
    """Noise multipliers: standard deviation of the noise ÷ L2 sensitivity, per release kind."""

    qc: float = Field(ge=0.01, le=1e6, examples=[20.0])
    training: float = Field(ge=0.01, le=1e6, examples=[15.0])
    evaluation: float = Field(ge=0.01, le=1e6, examples=[3.0])


Unprotected = Literal["participation", "qc_verdict"]


class Privacy(StrictModel):
    """The promise: no patient of a site can be noticed beyond (epsilon, delta), per site.

    `trust_model` says against whom. `local`: against everybody, since each site adds the whole
    noise. `secure-sum`: against the coordinator together with any `colluding_sites` of the sites,
    who see masked training sums only; each site adds its share of the noise.
    `noise` may be left out while drafting; planning computes it from `epsilon`. A signed study
    always carries it.
    """

    epsilon: float = Field(gt=0, le=100, examples=[2.0])
    delta: float = Field(gt=0, lt=0.01, examples=[1e-5])
    relation: Literal["add_remove_patient"] = Field(
        default="add_remove_patient", examples=["add_remove_patient"]
    )
    trust_model: TrustModel = Field(default="local", examples=["local"])
    colluding_sites: int = Field(default=0, ge=0, le=1000, examples=[1])
    qc_share: Fraction = Field(default=0.1, examples=[0.1])
    noise: Noise | None = None
    charged: tuple[Literal["qc", "training", "evaluation"], ...] = Field(
        default=("qc", "training", "evaluation"), examples=[["qc", "training", "evaluation"]]
    )
    unprotected: tuple[Unprotected, ...] = Field(examples=[["participation", "qc_verdict"]])

    @model_validator(mode="after")
    def _complete(self) -> Privacy:
        if set(self.charged) != {"qc", "training", "evaluation"}:
            raise ValueError("qc, training and evaluation are all data-dependent: charge all three")
        if set(self.unprotected) != {"participation", "qc_verdict"}:
            raise ValueError(
                "declare both things that leave without noise: participation and qc_verdict"
            )
        if self.trust_model == "local" and self.colluding_sites:
            raise ValueError(
                "local noise holds against any number of colluding sites: remove colluding_sites, "
                "or set trust_model: secure-sum"
            )
        return self


class Evaluation(StrictModel):
    """Held-out patients, scored into DP histograms on public bins of [0, 1]."""

    holdout_fraction: Fraction = Field(default=0.25, examples=[0.25])
    bins: int = Field(default=20, ge=2, le=200, examples=[20])
    confidence: Fraction = Field(default=0.95, examples=[0.95])


class Timing(StrictModel):
    """How long the coordinator waits for the sites, in seconds, and how often it asks again."""

    round_timeout_s: float = Field(default=120, gt=0, le=86_400, examples=[120])
    max_attempts: int = Field(default=3, ge=1, le=10, examples=[3])


class RosterEntry(StrictModel):
    """A hospital of the study: its name, identity key, and a public guess of its size."""

    site: Slug
    key: str = Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$", examples=["ed25519:AAAA…="])
    expected_patients: int = Field(ge=1, examples=[200])


class Study(StrictModel):
    """The study protocol; its digest is what a hospital approves."""

    cordon: Literal[1] = Field(examples=[1])
    name: Slug
    version: int = Field(default=1, ge=1, examples=[1])
    purpose: str = Field(min_length=10, max_length=500, examples=["Predict heart disease from …"])
    permit: Permit
    cohort: Cohort
    qc: Qc
    model: Model
    training: Training
    privacy: Privacy
    evaluation: Evaluation = Evaluation()
    timing: Timing = Timing()
    roster: tuple[RosterEntry, ...] = ()

    @model_validator(mode="after")
    def _sequences(self) -> Study:
        if not isinstance(self.model, Convolutions | Transformer):
            return self
        lengths = {
            feature.length if isinstance(feature, SequenceFeature | SeriesFeature) else None
            for feature in self.cohort.features
        }
        if lengths != {self.model.length}:
            raise ValueError(
                f"a {self.model.family} model takes features of type sequence or series only, each "
                f"of model.length: {self.model.length}"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        if self.qc.samples and self.cohort.patient_id is None:
            raise ValueError("qc.samples: whose sample it is needs cohort.patient_id")
        if len(set(self.qc.samples)) < len(self.qc.samples):
            raise ValueError("qc.samples: a profile is listed twice")
        sites = [entry.site for entry in self.roster]
        if len(set(sites)) != len(sites):
            raise ValueError("roster: a site is listed twice")
        if sites and len(sites) < self.qc.gate.min_sites:
            raise ValueError(
                f"qc.gate.min_sites is larger than the roster, for example min_sites: {len(sites)}"
            )
        if any(
            entry.key == other.key
            for entry in self.roster
            for other in self.roster
            if entry.site < other.site
        ):
            raise ValueError("roster: two sites share one key")
        _check_trust(self)
        return self

    def as_json(self) -> dict[str, Json]:
        """Return the JSON value that is canonicalised, hashed and signed.

        Defaults are written out, but for fields younger than the first signed studies: left out
        at their default, they leave the digests of those studies as they were.
        """
        value: dict[str, Json] = self.model_dump(mode="json")
        for name, default in (("disclosure", Disclosure()), ("samples", ()), ("harmonise", False)):
            if getattr(self.qc, name) == default:
                del value["qc"][name]
        return value

    @model_validator(mode="after")
    def _combines(self) -> Study:
        if not isinstance(self.training, FedAvg):
            return self
        strategy = self.training.strategy
        if self.qc.gate.min_sites < least_sites(strategy):
            raise ValueError(
                f"training.strategy: {strategy.name} set like this needs {least_sites(strategy)} "
                f"sites or more: raise qc.gate.min_sites to {least_sites(strategy)}, or choose fedavg"
            )
        return self

    @property
    def digest(self) -> str:
        """The study's identity: digest of its canonical JSON."""
        return digest_of(self.as_json())


def assumption(study: Study) -> str:
    """Say in one sentence what the study's epsilon assumes about whom."""
    if study.privacy.trust_model == "local":
        return "Nothing: it holds against the coordinator and all other hospitals together."
    colluding = study.privacy.colluding_sites
    who = {0: "no other hospital tells", 1: "at most one other hospital tells"}.get(
        colluding, f"at most {colluding} other hospitals tell"
    )
    return (
        f"That {who} the coordinator its keys or noise: the coordinator sees masked training sums "
        "only. Quality summary and evaluation carry the whole noise of each hospital."
    )


def _not_masked(strategy: Strategy) -> str:
    if least_sites(strategy) > 1:
        return f"training.strategy: {strategy.name} needs every site's own update, which masks hide"
    return "the noise of local steps does not add up to a known amount"


def _check_trust(study: Study) -> None:
    if study.privacy.trust_model == "local":
        if study.training.ring_bits != 64:
            raise ValueError("training.ring_bits: 32 goes with privacy.trust_model: secure-sum")
        return
    if study.training.algorithm == "dp-fedavg":
        raise ValueError(
            "privacy.trust_model: secure-sum goes with training.algorithm: dp-fedsgd; "
            + _not_masked(study.training.strategy)
        )
    honest = study.privacy.colluding_sites + 2
    if study.qc.gate.min_sites < honest:
        raise ValueError(
            "qc.gate.min_sites is too small for a secure sum: two sites at least must not collude, "
            f"so with colluding_sites: {honest - 2} it is {honest} or more, for example "
            f"min_sites: {honest}"
        )
