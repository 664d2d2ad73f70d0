"""Clinical tables as arrays: public scaling, declared imputation, one record at a time.

Every row of the result is a function of its own record and of the study's data dictionary; nothing
is fitted on the cohort, so encoding is a transformation of stability 1.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.records import Tensors
from cordon_common.protocol.dictionary import CategoryFeature, Cohort, Feature, NumberFeature
from cordon_common.protocol.layout import input_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from cordon_client.records import CleanTable

INPUT_BOUND = 3.0
"""Scaled numbers are clamped to ±3; 1 is the edge of the feature's typical range."""

_SPLIT_DOMAIN = b"cordon.holdout-split.v1\x00"


def encode(table: CleanTable, cohort: Cohort) -> Tensors:
    """Turn clean records into the model's inputs.

    Shapes: inputs float64 [records, len(input_columns(cohort))], in that order. Numbers become
    (x - centre) / half_width, clamped to ±`INPUT_BOUND`; categories one-hot; missing values the
    feature's `impute` constant (else 0 or all zeros) and, where declared, an indicator of 1.

    Guarantee: row i depends on record i and the dictionary only. Patients are numbered in the order
    of their first record.
    """
    blocks = [_encode_feature(table, feature) for feature in cohort.features]
    width = len(input_columns(cohort))
    inputs = np.concatenate(blocks, axis=1) if blocks else np.empty((0, width))
    numbers: dict[bytes, int] = {}
    patients = [numbers.setdefault(patient, len(numbers)) for patient in table.patients]
    return Tensors(
        inputs=np.ascontiguousarray(inputs),
        labels=table.labels.astype(np.float64),
        patients=np.asarray(patients, dtype=np.int64),
        n_patients=len(numbers),
    )


def split(
    table: CleanTable, cohort: Cohort, in_holdout: Callable[[bytes], bool]
) -> tuple[Tensors, Tensors]:
    """Encode the training and the hold-out patients separately: (train, holdout).

    Guarantee: a patient's side depends on that patient's keyed hash only, so that adding one
    patient moves no other one (training and hold-out releases compose in parallel).
    """
    held = np.fromiter(
        (in_holdout(patient) for patient in table.patients), dtype=bool, count=len(table.patients)
    )
    return encode(_rows(table, ~held), cohort), encode(_rows(table, held), cohort)


def holdout_rule(fraction: float) -> Callable[[bytes], bool]:
    """Return the predicate that sends about `fraction` of all patients to the hold-out part.

    Guarantee: a fixed function of the patient's keyed hash; with a larger fraction the hold-out
    part only grows, so that a patient once held out stays so in studies with the same fraction.
    """
    threshold = int(fraction * 2**64)

    def in_holdout(patient: bytes) -> bool:
        place = hashlib.sha256(_SPLIT_DOMAIN + patient).digest()[:8]
        return int.from_bytes(place, "big") < threshold

    return in_holdout


def _encode_feature(table: CleanTable, feature: Feature) -> npt.NDArray[np.float64]:
    if isinstance(feature, NumberFeature):
        values = table.numbers[feature.name]
        missing = np.isnan(values)
        block = _scaled(values, missing, feature)[:, None]
    else:
        codes = table.categories[feature.name]
        missing = codes < 0
        block = _one_hot(codes, missing, feature)
    if feature.missing_indicator:
        block = np.concatenate([block, missing[:, None].astype(np.float64)], axis=1)
    return block


def _scaled(
    values: npt.NDArray[np.float64], missing: npt.NDArray[np.bool_], feature: NumberFeature
) -> npt.NDArray[np.float64]:
    filled = np.where(missing, feature.centre if feature.impute is None else feature.impute, values)
    scaled: npt.NDArray[np.float64] = np.clip(
        (filled - feature.centre) / feature.half_width, -INPUT_BOUND, INPUT_BOUND
    )
    return scaled


def _one_hot(
    codes: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], feature: CategoryFeature
) -> npt.NDArray[np.float64]:
    block = np.zeros((codes.size, len(feature.categories)))
    present = np.flatnonzero(~missing)
    block[present, codes[present]] = 1.0
    if feature.impute is not None:
        block[missing, feature.categories.index(feature.impute)] = 1.0
    return block


def _rows(table: CleanTable, keep: npt.NDArray[np.bool_]) -> CleanTable:
    return type(table)(
        numbers={name: values[keep] for name, values in table.numbers.items()},
        categories={name: codes[keep] for name, codes in table.categories.items()},
        labels=table.labels[keep],
        patients=tuple(p for p, kept in zip(table.patients, keep, strict=True) if kept),
    )
