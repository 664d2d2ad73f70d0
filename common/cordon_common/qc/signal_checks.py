"""The checks of signals and time series: rows of the registry, with their plain sentences."""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import sample_check
from cordon_common.qc.verdict import ReasonCode

SIGNALS = "signals"
_FEW = "one series in a hundred, as for records"

_sample = partial(sample_check, modality=SIGNALS)

CHECKS = (
    _sample(
        "signal.flat",
        ReasonCode.SIGNAL_LOST,
        Bounds(
            "share of series",
            "a fifth of a recording without any change is a lead that is off (Clifford et al. 2012)",
            warn=0.01,
        ),
        Wording(
            "No flat lines",
            "Series stay at one value for a fifth of their length or more.",
            "Check electrodes and connections; leave these series out.",
        ),
    ),
    _sample(
        "signal.clipped",
        ReasonCode.SIGNAL_LOST,
        Bounds("share of series", _FEW, warn=0.01),
        Wording(
            "Signals inside the recorder's range",
            "Series touch their own largest or smallest value for several readings in a row.",
            "The amplifier saturated: lower the gain; amplitudes of these series are wrong.",
        ),
    ),
    _sample(
        "signal.missing",
        ReasonCode.MISSING_VALUES,
        Bounds(
            "share of readings",
            "as for clinical tables: beyond 40 % filling in is guessing",
            warn=0.4,
        ),
        Wording(
            "Readings present",
            "Many readings are missing.",
            "Use a model of irregular series, or fewer variables; do not carry values far forward.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "signal.length",
        ReasonCode.NOT_CONFORMANT,
        Bounds("share of series", "series of one recording protocol have one length", warn=0.01),
        Wording(
            "Series of one length",
            "Some series end before the others.",
            "Check for recordings that were stopped; do not pad them with zeros.",
        ),
    ),
    _sample(
        "signal.gaps",
        ReasonCode.IRREGULAR_SAMPLING,
        Bounds(
            "share of intervals beyond ten times the usual one",
            "a tenth: the usual interval describes the series no more",
            warn=0.1,
        ),
        Wording(
            "Readings at a steady rate",
            "Readings come at very unequal intervals.",
            "Give time to the model as an input, or resample; sicker patients are read more often.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "signal.order",
        ReasonCode.NOT_CONFORMANT,
        Bounds("share of rows that go back in time", "time runs forwards", warn=0.0),
        Wording(
            "Readings in order",
            "Rows of one patient go back in time.",
            "Sort the export by patient and time; check time zones and typing errors of dates.",
        ),
    ),
    _sample(
        "signal.duplicates",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds("share of series", _FEW, warn=0.01),
        Wording(
            "Series counted once",
            "The same series occurs more than once.",
            "Remove copies before the split, or they stand in training and test alike.",
        ),
    ),
    _sample(
        "signal.balance",
        ReasonCode.CLASS_IMBALANCE,
        Bounds(
            "share of the rarest label", "ten in a thousand teach nothing", warn=0.01, worse="lower"
        ),
        Wording(
            "Every label frequent enough",
            "The rarest label has very few series.",
            "Merge rare labels, or expect that the model never says them.",
        ),
    ),
)
