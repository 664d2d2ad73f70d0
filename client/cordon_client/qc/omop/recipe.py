"""The recipe of a cohort file: which OMOP rows make a person's features and outcome, and when.

Public, and the same at every hospital: concepts mean the same everywhere. All days are counted from
the person's index date, the day on which the prediction is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cordon_common.protocol.dictionary import Name
from cordon_common.protocol.parse import load_yaml, parse_model
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from pathlib import Path

EventTable = Literal[
    "visit_occurrence",
    "visit_detail",
    "condition_occurrence",
    "drug_exposure",
    "procedure_occurrence",
    "device_exposure",
    "measurement",
    "observation",
    "specimen",
]
Concepts = Annotated[tuple[int, ...], Field(max_length=10_000, examples=[[201826]])]
Days = Annotated[tuple[int, int], Field(examples=[[-365, 0]])]
PERSON_ID = "person_id"


class _Windowed(StrictModel):
    @field_validator("days", check_fields=False)
    @classmethod
    def _ordered(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError("the first day must not be after the last")
        return value


class Index(StrictModel):
    """When the prediction is made: a person's first or last event of these concepts (none: any).

    prior_days: the person must have been observed for so long before.
    """

    table: EventTable = Field(examples=["visit_occurrence"])
    concepts: Concepts = Field(default=(), examples=[[9202]])
    occurrence: Literal["first", "last"] = Field(default="first", examples=["first"])
    prior_days: int = Field(default=0, ge=0, examples=[365])


class Outcome(_Windowed):
    """What is predicted: an event in the window, 1, or none of them, 0.

    Persons who had it before the window are left out, unless `before` is `kept`; so are those
    without the event who were not observed to the window's end, unless `follow_up` is `assumed`.
    """

    name: Name = Field(examples=["infarction"])
    table: EventTable | Literal["death"] = Field(examples=["condition_occurrence"])
    concepts: Concepts = Field(default=(), examples=[[312327]])
    days: Days = Field(examples=[[1, 730]])
    before: Literal["left-out", "kept"] = Field(default="left-out", examples=["left-out"])
    follow_up: Literal["observed", "assumed"] = Field(default="observed", examples=["observed"])

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.table == "death") == bool(self.concepts):
            raise ValueError("an outcome needs concepts, and death has none")
        return self


class AgeFeature(StrictModel):
    """Completed years at the index date, from the earliest birth that the record leaves open."""

    name: Name = Field(examples=["age"])
    kind: Literal["age"] = Field(examples=["age"])


class SexFeature(StrictModel):
    """What the study calls the concepts 8507 and 8532; any other is missing."""

    name: Name = Field(examples=["sex"])
    kind: Literal["sex"] = Field(examples=["sex"])
    male: str = Field(default="male", examples=["1"])
    female: str = Field(default="female", examples=["0"])


class NumberFeature(_Windowed):
    """A measured number in one unit.

    latest, first: of the day that is nearest to, or farthest from, the index date, the mean of that
    day. factors: by which numbers in other units are multiplied; numbers in any other unit are not
    used.
    """

    name: Name = Field(examples=["glucose"])
    kind: Literal["number"] = Field(examples=["number"])
    table: Literal["measurement", "observation"] = Field(
        default="measurement", examples=["measurement"]
    )
    concepts: Concepts = Field(min_length=1, examples=[[3004501]])
    unit: int = Field(ge=1, examples=[8840])
    factors: dict[int, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, examples=[{8753: 18.02}]
    )
    take: Literal["latest", "first", "mean", "lowest", "highest"] = Field(
        default="latest", examples=["latest"]
    )
    days: Days = (-365, 0)

    @model_validator(mode="after")
    def _own_unit(self) -> Self:
        if self.unit in self.factors:
            raise ValueError("factors: the feature's own unit needs none")
        return self


class EventFeature(_Windowed):
    """Whether (1 or 0), or how often, something happened; no row means that it did not."""

    name: Name = Field(examples=["diabetes"])
    kind: Literal["event"] = Field(examples=["event"])
    table: EventTable = Field(examples=["condition_occurrence"])
    concepts: Concepts = Field(min_length=1, examples=[[201826]])
    take: Literal["presence", "count"] = Field(default="presence", examples=["presence"])
    days: Days = (-36_500, 0)


OmopFeature = Annotated[
    AgeFeature | SexFeature | NumberFeature | EventFeature, Field(discriminator="kind")
]


class Recipe(StrictModel):
    """One row per person: `person_id`, the features, the outcome.

    Guarantee: no feature looks at a day on which, or after which, an outcome may count.
    """

    cordon: Literal[1] = Field(examples=[1])
    name: str = Field(pattern=r"^[a-z0-9-]+\.v[0-9]+$", examples=["infarction.v1"])
    description: str = Field(default="", max_length=400)
    index: Index
    outcome: Outcome
    features: tuple[OmopFeature, ...] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [PERSON_ID, self.outcome.name, *(feature.name for feature in self.features)]
        if len(set(names)) != len(names):
            raise ValueError("a name is used twice (features, outcome, person_id)")
        return self

    @model_validator(mode="after")
    def _before_the_outcome(self) -> Self:
        first = self.outcome.days[0]
        for feature in self.features:
            if isinstance(feature, NumberFeature | EventFeature) and feature.days[1] >= first:
                raise ValueError(
                    f"{feature.name} looks at day {feature.days[1]}, when the outcome may have "
                    f"happened: end its window before day {first}"
                )
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the cohort file."""
        return (PERSON_ID, *(feature.name for feature in self.features), self.outcome.name)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        UsageError: US002 when it is missing.
        ProtocolError: PR002 when it is not YAML, PR004 when a field is wrong.
    """
    return parse_model(
        Recipe, load_yaml(path), code="PR004", what=f"{path.name} is not a valid OMOP recipe"
    )
