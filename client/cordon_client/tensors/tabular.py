"""Clinical tables as arrays: public scaling, declared imputation, one record at a time.

Every row of the result is a function of its own record and of the study's data dictionary; nothing
is fitted on the cohort, so encoding is a transformation of stability 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.records import Tensors
from cordon_common.protocol.dictionary import NumberFeature, SequenceFeature, SeriesFeature
from cordon_common.protocol.layout import input_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy.typing as npt

    from cordon_client.records import CleanTable
    from cordon_common.protocol.dictionary import CategoryFeature, Cohort, Feature

INPUT_BOUND = 3.0
"""Scaled numbers are clamped to ±3; 1 is the edge of the feature's typical range."""


def encode(table: CleanTable, cohort: Cohort) -> Tensors:
    """Turn clean records into the model's inputs.

    Shapes: inputs float64 [records, len(input_columns(cohort))], in that order. Numbers become
    (x - centre) / half_width, clamped to ±`INPUT_BOUND`, or what else their `scale` says; category c
    of K becomes e_c - 1/K; missing values the feature's `impute` constant (else zero, the middle of a
    number, the mean of an amount or of the categories) and, where declared, an indicator of 1.

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


def split(tensors: Tensors, held_out: Sequence[bool]) -> tuple[Tensors, Tensors]:
    """Part the patients into training and hold-out: (train, holdout).

    held_out: one flag per record, equal over the records of a patient and a function of that
    patient's keyed hash alone; then adding one patient moves no other one, and training and
    hold-out releases compose in parallel.
    """
    held = np.asarray(held_out, dtype=np.bool_)
    return _rows(tensors, ~held), _rows(tensors, held)


def _encode_feature(table: CleanTable, feature: Feature) -> npt.NDArray[np.float64]:
    if isinstance(feature, SequenceFeature):
        return _one_hot_bases(table.arrays[feature.name])
    if isinstance(feature, SeriesFeature):
        return _scaled_points(table.arrays[feature.name], feature)
    if isinstance(feature, NumberFeature):
        values = table.numbers[feature.name]
        missing = np.isnan(values)
        block = _scaled(values, missing, feature)[:, None]
    else:
        codes = table.categories[feature.name]
        missing = codes < 0
        block = _centred_one_hot(codes, missing, feature)
    if feature.missing_indicator:
        block = np.concatenate([block, missing[:, None].astype(np.float64)], axis=1)
    return block


def _scaled(
    values: npt.NDArray[np.float64], missing: npt.NDArray[np.bool_], feature: NumberFeature
) -> npt.NDArray[np.float64]:
    if feature.scale != "linear":
        return _amount(values, missing, feature)
    filled = np.where(missing, feature.centre if feature.impute is None else feature.impute, values)
    scaled: npt.NDArray[np.float64] = np.clip(
        (filled - feature.centre) / feature.half_width, -INPUT_BOUND, INPUT_BOUND
    )
    return scaled


def _amount(
    values: npt.NDArray[np.float64], missing: npt.NDArray[np.bool_], feature: NumberFeature
) -> npt.NDArray[np.float64]:
    """Return presence, place on the log scale, or the mean of both, less its expected value."""
    low, high = feature.typical or feature.range
    filled = np.where(missing, low if feature.impute is None else feature.impute, values)
    present = (filled > feature.range[0]).astype(np.float64)
    if feature.scale == "presence":
        seen = present
    else:
        seen = np.log(np.clip(filled, low, high) / low) / np.log(high / low)
        if feature.scale == "detection":
            seen = (seen + present) / 2
    if feature.impute is None:
        seen = np.where(missing, feature.expected, seen)
    return seen - feature.expected


def _one_hot_bases(bases: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Write base b as e_b, one channel per base, an unknown one as zeros: [records, 4 · length]."""
    channels = bases[:, None, :] == np.arange(4, dtype=np.int8)[:, None]
    inputs: npt.NDArray[np.float64] = channels.reshape(len(bases), -1).astype(np.float64)
    return inputs


def _scaled_points(points: npt.NDArray[Any], feature: SeriesFeature) -> npt.NDArray[np.float64]:
    """Scale every point as a number of this range is scaled; missing ones are the centre."""
    scale = feature.measured
    scaled = (points - scale.centre) / scale.half_width
    clamped: npt.NDArray[np.float64] = np.clip(np.nan_to_num(scaled), -INPUT_BOUND, INPUT_BOUND)
    return clamped


def _centred_one_hot(
    codes: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], feature: CategoryFeature
) -> npt.NDArray[np.float64]:
    """Write category c of K as e_c - 1/K: no common direction eats up the clipped gradient."""
    count = len(feature.categories)
    filled = codes
    if feature.impute is not None:
        filled = np.where(missing, feature.categories.index(feature.impute), codes)
    block = np.full((codes.size, count), -1.0 / count)
    block[np.arange(codes.size), np.maximum(filled, 0)] += 1.0
    block[filled < 0] = 0.0
    return block


def _rows(tensors: Tensors, keep: npt.NDArray[np.bool_]) -> Tensors:
    """Keep some records; the patients that remain are numbered anew, in their old order."""
    old, patients = np.unique(tensors.patients[keep], return_inverse=True)
    return Tensors(
        inputs=tensors.inputs[keep],
        labels=tensors.labels[keep],
        patients=patients.astype(np.int64),
        n_patients=old.size,
    )
