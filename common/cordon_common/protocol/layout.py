"""What the study implies about shapes: model inputs, parameters, releases. All data-independent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from cordon_common.protocol.dictionary import CategoryFeature, Cohort, NumberFeature

if TYPE_CHECKING:
    from cordon_common.protocol.models import Model
    from cordon_common.protocol.study import Study


@dataclass(frozen=True)
class InputColumn:
    """One input of the model: a scaled number, an amount, one category, or a missing indicator.

    expected: of an amount, the public guess of its mean that was subtracted from it.
    """

    feature: str
    kind: str  # "number" | "amount" | "category" | "missing"
    category: str | None = None
    expected: float = 0.0

    @property
    def label(self) -> str:
        """A readable name, e.g. `cp=4` or `chol is missing`."""
        if self.kind == "category":
            return f"{self.feature}={self.category}"
        if self.kind == "place":
            return f"{self.feature} {self.category}"
        return f"{self.feature} is missing" if self.kind == "missing" else self.feature


def input_columns(cohort: Cohort) -> tuple[InputColumn, ...]:
    """List the model's inputs in their fixed order."""
    columns: list[InputColumn] = []
    for feature in cohort.features:
        if isinstance(feature, NumberFeature):
            kind = "number" if feature.scale == "linear" else "amount"
            columns.append(InputColumn(feature.name, kind, expected=feature.expected))
        elif isinstance(feature, CategoryFeature):
            columns += [InputColumn(feature.name, "category", c) for c in feature.categories]
        else:  # channel by channel, each over all positions
            places = product(feature.channels, range(1, feature.length + 1))
            columns += [InputColumn(feature.name, "place", f"{c} at {i}") for c, i in places]
            continue
        if feature.missing_indicator:
            columns.append(InputColumn(feature.name, "missing"))
    return tuple(columns)


def parameter_shapes(model: Model, inputs: int) -> dict[str, tuple[int, ...]]:
    """List a model's parameters and their shapes, in the order of the flat weight vector."""
    return model.shapes(inputs)


def dimension(study: Study) -> int:
    """Return the number of model parameters (length of a training release)."""
    shapes = parameter_shapes(study.model, len(input_columns(study.cohort)))
    return sum(math.prod(shape) for shape in shapes.values())
