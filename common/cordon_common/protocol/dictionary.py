"""The data dictionary: one list of features drives QC, scaling and the model's input."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from cordon_common.strict import StrictModel

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.\- ]{0,62}$", examples=["trestbps"])]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["heart-disease"])]


Scale = Literal["linear", "presence", "log", "detection"]


class NumberFeature(StrictModel):
    """A numeric column, in a stated unit, with a public plausible range.

    `range`: outside it a value is impossible. `typical`: where most values lie. Both come from
    public knowledge, never from a site's data. `impute` is a public constant.

    `scale` says what the model sees: `linear`: typical maps to [-1, 1]; `presence`: 1 above the
    lower end of range, else 0; `log`: the place of the logarithm between the two ends of typical,
    clamped to [0, 1]; `detection`: the mean of presence and log. The last three are for amounts of
    which most are zero (species, transcripts); `expected`, a public guess of their mean over
    patients, is subtracted, so that what everybody shares does not use up the clipped gradient.
    """

    name: Name
    type: Literal["number"] = Field(examples=["number"])
    unit: str = Field(min_length=1, max_length=40, examples=["mmHg"])
    range: tuple[float, float] = Field(examples=[[60, 260]])
    typical: tuple[float, float] | None = Field(default=None, examples=[[90, 180]])
    scale: Scale = Field(default="linear", examples=["linear"])
    expected: float = Field(default=0.0, ge=0, lt=1, examples=[0.2])
    missing_codes: tuple[float, ...] = Field(default=(), examples=[[0, -9]])
    impossible: Literal["exclude", "missing"] = Field(default="exclude", examples=["exclude"])
    impute: float | None = Field(default=None, examples=[130.0])
    missing_indicator: bool = Field(default=False, examples=[True])
    unit_factors: dict[str, float] = Field(default_factory=dict, examples=[{"mmol/L": 38.67}])
    description: str = Field(default="", max_length=200)

    @field_validator("range", "typical")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError("the first bound must be below the second")
        return value

    @field_validator("unit_factors")
    @classmethod
    def _positive(cls, value: dict[str, float]) -> dict[str, float]:
        if any(factor <= 0 or factor == 1 for factor in value.values()):
            raise ValueError("a unit factor must be positive and not 1")
        return value

    @model_validator(mode="after")
    def _inside(self) -> NumberFeature:
        low, high = self.range
        if self.impute is not None and not low <= self.impute <= high:
            raise ValueError("impute must lie inside range")
        if self.typical and not (low <= self.typical[0] and self.typical[1] <= high):
            raise ValueError("typical must lie inside range")
        return self

    @model_validator(mode="after")
    def _scaled(self) -> NumberFeature:
        if self.scale == "linear" and self.expected != 0:
            raise ValueError("expected belongs to scale: presence, log or detection; remove it")
        if self.scale in {"log", "detection"} and (self.typical is None or self.typical[0] <= 0):
            raise ValueError("a logarithm needs typical, both ends above 0, such as [0.000001, 1]")
        return self

    @property
    def centre(self) -> float:
        """The value that the model sees as 0."""
        low, high = self.typical or self.range
        return (low + high) / 2

    @property
    def half_width(self) -> float:
        """The distance from the centre that the model sees as 1."""
        low, high = self.typical or self.range
        return (high - low) / 2


class CategoryFeature(StrictModel):
    """A column with a closed list of categories, one-hot encoded; missing is all zeros."""

    name: Name
    type: Literal["category"] = Field(examples=["category"])
    categories: tuple[str, ...] = Field(min_length=2, max_length=64, examples=[["1", "2", "3"]])
    missing_codes: tuple[str, ...] = Field(default=(), examples=[["?"]])
    unknown: Literal["exclude", "missing"] = Field(default="missing", examples=["missing"])
    impute: str | None = Field(default=None, examples=["1"])
    missing_indicator: bool = Field(default=False, examples=[True])
    description: str = Field(default="", max_length=200)

    @field_validator("categories", "missing_codes", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return tuple(_category_text(item) for item in value)
        return value

    @field_validator("impute", mode="before")
    @classmethod
    def _impute_text(cls, value: object) -> object:
        return None if value is None else _category_text(value)

    @model_validator(mode="after")
    def _consistent(self) -> CategoryFeature:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("a category is listed twice")
        if set(self.missing_codes) & set(self.categories):
            raise ValueError("a missing code is also a category")
        if self.impute is not None and self.impute not in self.categories:
            raise ValueError("impute must be one of the categories")
        return self


class SequenceFeature(StrictModel):
    """A column of DNA texts of one length; the model sees one channel per base.

    A, C, G, T in either case; the IUPAC codes of ambiguous bases count as unknown and are all
    zeros. A text of another length or alphabet, or with a larger share of unknown bases than
    `max_unknown`, is impossible.
    """

    name: Name
    type: Literal["sequence"] = Field(examples=["sequence"])
    alphabet: Literal["dna"] = Field(default="dna", examples=["dna"])
    length: int = Field(ge=4, le=20_000, examples=[57])
    max_unknown: float = Field(default=0.1, ge=0, lt=1, examples=[0.1])
    impossible: Literal["exclude", "missing"] = Field(default="exclude", examples=["exclude"])
    description: str = Field(default="", max_length=200)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that hold it."""
        return (self.name,)

    @property
    def channels(self) -> tuple[str, ...]:
        """What the model sees at each position."""
        return ("A", "C", "G", "T")

    @property
    def measured(self) -> NumberFeature:
        """What quality control measures of a record: its share of G and C."""
        return NumberFeature(
            name=self.name,
            type="number",
            unit="GC share",
            range=(0, 1),
            impossible=self.impossible,
            description=self.description,
        )


class SeriesFeature(StrictModel):
    """A series of numbers in one unit, one column per time point: `prefix`1 to `prefix``length`.

    `range` and `typical` as for a number, for every point. Missing points count as the centre; a
    series with a larger share of them than `max_missing`, or with a point that is no number or
    outside the range, is impossible.
    """

    name: Name
    type: Literal["series"] = Field(examples=["series"])
    prefix: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.\-]{0,40}$", examples=["t"])
    length: int = Field(ge=4, le=5_000, examples=[140])
    unit: str = Field(min_length=1, max_length=40, examples=["mV"])
    range: tuple[float, float] = Field(examples=[[-10, 10]])
    typical: tuple[float, float] | None = Field(default=None, examples=[[-5, 5]])
    max_missing: float = Field(default=0.1, ge=0, lt=1, examples=[0.1])
    impossible: Literal["exclude", "missing"] = Field(default="exclude", examples=["exclude"])
    description: str = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _bounds(self) -> SeriesFeature:
        self.measured  # noqa: B018 - checks range and typical as those of a number
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that hold it, in their order."""
        return tuple(f"{self.prefix}{point}" for point in range(1, self.length + 1))

    @property
    def channels(self) -> tuple[str, ...]:
        """What the model sees at each position."""
        return ("value",)

    @property
    def measured(self) -> NumberFeature:
        """What quality control measures of a record: the mean of its points."""
        return NumberFeature(
            name=self.name,
            type="number",
            unit=self.unit,
            range=self.range,
            typical=self.typical,
            impossible=self.impossible,
            description=self.description,
        )


Measured = NumberFeature | CategoryFeature
Feature = Annotated[
    NumberFeature | CategoryFeature | SequenceFeature | SeriesFeature, Field(discriminator="type")
]


class Label(StrictModel):
    """The binary outcome: which cell values mean positive and which mean negative."""

    name: Name
    positive: tuple[str, ...] = Field(min_length=1, examples=[["1", "2", "3", "4"]])
    negative: tuple[str, ...] = Field(min_length=1, examples=[["0"]])
    description: str = Field(default="", max_length=200)

    @field_validator("positive", "negative", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return tuple(_category_text(item) for item in value)
        return value

    @model_validator(mode="after")
    def _disjoint(self) -> Label:
        if set(self.positive) & set(self.negative):
            raise ValueError("a value is listed as positive and as negative")
        return self


class Cohort(StrictModel):
    """What a record is, who a patient is, and what is predicted.

    Without `patient_id` a patient is identified by the content of the row (declared: each row is
    one patient; equal rows count as one).
    """

    unit: Literal["patient"] = Field(default="patient", examples=["patient"])
    patient_id: Name | None = Field(default=None, examples=["patient_id"])
    max_records_per_patient: int = Field(default=1, ge=1, le=1000, examples=[1])
    features: tuple[Feature, ...] = Field(min_length=1, max_length=100_000)
    label: Label

    @model_validator(mode="after")
    def _distinct(self) -> Cohort:
        names = [column for feature in self.features for column in columns_of(feature)]
        names.append(self.label.name)
        if self.patient_id is not None:
            names.append(self.patient_id)
        if len(set(names)) != len(names):
            raise ValueError("a column name is used twice (features, label, patient_id)")
        if self.patient_id is None and self.max_records_per_patient != 1:
            raise ValueError("several records per patient need patient_id")
        return self

    @property
    def measured(self) -> tuple[Measured, ...]:
        """The features as quality control measures them: one number or category per record."""
        return tuple(
            feature.measured if isinstance(feature, SequenceFeature | SeriesFeature) else feature
            for feature in self.features
        )


def columns_of(feature: Feature) -> tuple[str, ...]:
    """Return the columns of the file that hold a feature."""
    if isinstance(feature, SequenceFeature | SeriesFeature):
        return feature.columns
    return (feature.name,)


def _category_text(value: object) -> str:
    """Write a category as text; whole numbers lose their decimal point (1.0 → "1")."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
