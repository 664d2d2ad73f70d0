"""Judge a file of series; one file is one sample of the cohort's report."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import CohortQc, Modality, Plot, SampleQc, Series, StatColumn
from cordon_client.qc.signals.read import RegularSeries, TimedSeries, read_signals, signal_kind
from cordon_common.qc.signal_checks import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_common.qc.profile import Profile

    Values = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

COLUMNS = (
    StatColumn("series", "Series", "series", "series, or patients", 0),
    StatColumn("length", "Length", "readings", "median number of readings per series", 0),
    StatColumn("missing", "Missing", "%", "share of readings that are missing"),
    StatColumn("flat", "Flat", "%", "series without change for a fifth of their length"),
    StatColumn("clipped", "Clipped", "%", "series that touch an end of their range for long"),
    StatColumn("interval", "Interval", "hours", "median time between readings of a patient", 2),
)
_FLAT_SHARE = 0.2
_CLIPPED_RUN = 4
_LONG_GAP = 10.0
_MIN_LABELLED = 100


def longest_run(values: Values) -> npt.NDArray[np.int64]:
    """Return the longest run of equal neighbouring readings per row; NaN equals nothing.

    values: float64 [series, readings]. A row without readings has a run of 0.
    """
    rows, width = values.shape
    longest = np.where(np.isnan(values).all(axis=1), 0, 1).astype(np.int64)
    current = np.ones(rows, dtype=np.int64)
    for place in range(1, width):
        same = values[:, place] == values[:, place - 1]
        current = np.where(same, current + 1, 1)
        longest = np.maximum(longest, np.where(same, current, 0))
    return longest


def flat_series(series: RegularSeries) -> Mask:
    """Flag series that stay at one value for a fifth of their length; bool [series]."""
    run = longest_run(series.values)
    return np.asarray((series.lengths > 1) & (run >= np.maximum(_FLAT_SHARE * series.lengths, 2)))


def clipped_series(series: RegularSeries) -> Mask:
    """Flag series that stay at their own extreme for four readings in a row; bool [series]."""
    known = ~np.isnan(series.values)
    safe_top = np.where(known, series.values, -np.inf).max(axis=1, keepdims=True)
    safe_low = np.where(known, series.values, np.inf).min(axis=1, keepdims=True)
    spread = (safe_top > safe_low).ravel()
    touched = np.zeros(len(series.values), dtype=np.bool_)
    for extreme in (safe_top, safe_low):
        at = np.where(series.values == extreme, 1.0, np.nan)
        touched |= longest_run(at) >= _CLIPPED_RUN
    return np.asarray(touched & spread & ~flat_series(series))


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Check one file of series.

    Raises:
        DataError: DA015 or DA070.
    """
    path = sample.files[0]
    size = path.stat().st_size
    progress(0, size)
    series = read_signals(path)
    findings = _regular(series) if isinstance(series, RegularSeries) else _timed(series)
    results = tuple(result_of(finding, profile) for finding in findings)
    plots = _examples(series) if isinstance(series, RegularSeries) else _intervals(series)
    stats = _regular_stats(series) if isinstance(series, RegularSeries) else _timed_stats(series)
    progress(size, size)
    return SampleQc(sample.sample, stats, results, tuple(plots))


# -- series of one rate ----------------------------------------------------------------------------


def _missing(series: RegularSeries) -> float | None:
    """Share of missing readings before each series' end; None without readings."""
    inside = np.arange(series.values.shape[1])[None, :] < series.lengths[:, None]
    total = int(inside.sum())
    return float(np.isnan(series.values[inside]).mean()) if total else None


def _regular_stats(series: RegularSeries) -> dict[str, float | int | None]:
    missing = _missing(series)
    return {
        "series": len(series.values),
        "length": float(np.median(series.lengths)),
        "missing": None if missing is None else 100 * missing,
        "flat": 100 * float(flat_series(series).mean()),
        "clipped": 100 * float(clipped_series(series).mean()),
        "interval": None,
    }


def _regular(series: RegularSeries) -> Iterator[Finding]:
    n = len(series.values)
    flat, clipped = int(flat_series(series).sum()), int(clipped_series(series).sum())
    yield Finding("signal.flat", flat / n, flat, f"{flat} of {n} series.")
    yield Finding("signal.clipped", clipped / n, clipped, f"{clipped} of {n} series.")
    yield Finding("signal.missing", _missing(series))
    usual = Counter(series.lengths.tolist()).most_common(1)[0][1]
    yield Finding("signal.length", 1 - usual / n, n - usual, f"{n - usual} of {n} series.")
    yield Finding("signal.gaps", None)
    yield Finding("signal.order", None)
    digests = Counter(
        hashlib.blake2b(np.nan_to_num(row, nan=1e300).tobytes(), digest_size=16).digest()
        for row in series.values
    )
    copies = n - len(digests)
    yield Finding("signal.duplicates", copies / n, copies, f"{copies} of {n} series.")
    if series.labels is None or n < _MIN_LABELLED:
        yield Finding("signal.balance", None)
        return
    rarest = Counter(series.labels).most_common()[-1]
    yield Finding(
        "signal.balance", rarest[1] / n, rarest[1], f"Label {rarest[0]} has {rarest[1]} series."
    )


def _examples(series: RegularSeries) -> Iterator[Plot]:
    x = np.flatnonzero(~np.isnan(series.values).all(axis=0))
    present = series.values[:, x]
    mean = np.nanmean(present, axis=0)
    low, high = np.nanquantile(present, (0.05, 0.95), axis=0)
    lines = (("mean", mean), ("5 %", low), ("95 %", high))
    yield Plot(
        id="signal-shape",
        title="The usual course of a series",
        kind="line",
        x_label="reading",
        y_label="value",
        sentence="A band of no width is a flat lead; a straight upper or lower edge is a clipped "
        "amplifier.",
        series=tuple(Series(name, tuple(x.tolist()), tuple(line.tolist())) for name, line in lines),
    )


# -- readings of patients over time ----------------------------------------------------------------


def intervals(series: TimedSeries) -> tuple[Values, int]:
    """Return seconds between neighbouring rows of one patient, and how many go back in time."""
    same = series.patient[1:] == series.patient[:-1]
    steps = np.diff(series.seconds)[same]
    steps = steps[~np.isnan(steps)]
    return steps[steps > 0], int((steps < 0).sum())


def _timed_stats(series: TimedSeries) -> dict[str, float | int | None]:
    steps, _ = intervals(series)
    counts = np.bincount(series.patient[series.patient >= 0])
    return {
        "series": int((counts > 0).sum()),
        "length": float(np.median(counts[counts > 0])) if counts.any() else None,
        "missing": 100 * float(np.isnan(series.values).mean()),
        "flat": None,
        "clipped": None,
        "interval": float(np.median(steps)) / 3600 if len(steps) else None,
    }


def _timed(series: TimedSeries) -> Iterator[Finding]:
    steps, backwards = intervals(series)
    rows = len(series.patient)
    yield Finding("signal.flat", None)
    yield Finding("signal.clipped", None)
    missing = float(np.isnan(series.values).mean())
    yield Finding("signal.missing", missing, detail=f"{missing:.0%} of the readings.")
    yield Finding("signal.length", None)
    far = float((steps > _LONG_GAP * np.median(steps)).mean()) if len(steps) else None
    yield Finding("signal.gaps", far)
    yield Finding("signal.order", backwards / rows, backwards, f"{backwards} of {rows} rows.")
    filled = np.nan_to_num(series.values, nan=1e300)
    keys = np.column_stack([series.patient, np.nan_to_num(series.seconds, nan=-1), filled])
    copies = rows - len(np.unique(keys, axis=0))
    yield Finding("signal.duplicates", copies / rows, copies, f"{copies} of {rows} rows.")
    yield Finding("signal.balance", None)


def _intervals(series: TimedSeries) -> Iterator[Plot]:
    steps, _ = intervals(series)
    if not len(steps):
        return
    counts, edges = np.histogram(np.log10(steps / 3600), 40)
    middle = (edges[:-1] + edges[1:]) / 2
    yield Plot(
        id="signal-intervals",
        title="Time between readings",
        kind="histogram",
        x_label="log10 hours",
        y_label="intervals",
        sentence="One narrow hump is a steady rate. Broad or double humps are readings on demand: "
        "how often somebody is measured says how ill he is.",
        series=(Series("intervals", tuple(middle.tolist()), tuple(counts.tolist())),),
    )


def check_cohort(
    _samples: Sequence[SampleFiles], _checked: Sequence[SampleQc], _profile: Profile
) -> CohortQc:
    """Nothing is asked of several files of series together."""
    return CohortQc()


def recognises(path: Path) -> bool:
    """Whether a file holds series of one rate.

    A table of patients and times is a clinical table first, where leakage is looked for; it is
    read as series when the command names this modality.
    """
    return signal_kind(path) in {"rows", "npz"}


MODALITY = Modality(
    name=SIGNALS,
    title="Signals and time series",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
)
