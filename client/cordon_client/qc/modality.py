"""What every modality of quality control has in common: samples in, judgements and plots out.

A modality is data and two functions. `check_sample` looks at one sample's files and can run in
another process (a pool, or a Ray cluster); `check_cohort` looks at all samples together. What they
return stays at the site; a summary leaves only through the airlock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult

Number = float | int
PlotKind = Literal["line", "bars", "histogram", "heatmap", "scatter"]


@dataclass(frozen=True)
class SampleFiles:
    """One sample of a cohort and where its files lie; names and paths never leave.

    files: in the modality's order (R1, R2). label, batches: as the cohort manifest states them,
    None or absent where it does not. inside: the sample's name within a file of many samples
    (VCF, matrices), None when the files are the sample's own.
    """

    sample: str
    files: tuple[Path, ...]
    patient: str | None = None
    label: int | None = None
    batches: Mapping[str, str] = field(default_factory=dict)
    inside: str | None = None


@dataclass(frozen=True)
class StatColumn:
    """A column of the general-statistics table; `digits`: decimals shown."""

    key: str
    title: str
    unit: str
    meaning: str
    digits: int = 1


@dataclass(frozen=True)
class Series:
    """One line, set of bars or cloud of a plot; `x` and `y` of equal length, None = no value."""

    name: str
    x: tuple[Number | str, ...]
    y: tuple[Number | None, ...]


@dataclass(frozen=True)
class Band:
    """A horizontal zone that gives the reader a scale: `low` ≤ y < `high` is `severity`."""

    low: float
    high: float
    severity: Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Plot:
    """A picture as data. `sentence`: what it means here, and what to do about it.

    matrix: for a heatmap, rows × columns; `rows` and `columns` name them.
    """

    id: str
    title: str
    kind: PlotKind
    x_label: str
    y_label: str
    sentence: str
    series: tuple[Series, ...] = ()
    bands: tuple[Band, ...] = ()
    matrix: tuple[tuple[Number | None, ...], ...] = ()
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class SampleQc:
    """One sample judged. `stats`: by column key, None where not assessable (never 0 instead).

    measures: the mergeable integers behind it, by name, for the cohort's checks and the summary.
    """

    sample: str
    stats: Mapping[str, Number | None]
    results: tuple[CheckResult, ...]
    plots: tuple[Plot, ...] = ()
    measures: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CohortQc:
    """What only all samples together show: batch effects, swapped samples, outliers."""

    results: tuple[CheckResult, ...] = ()
    plots: tuple[Plot, ...] = ()


class Progress(Protocol):
    """Told how far the reading of a sample is; `done` and `total` in bytes of its files."""

    def __call__(self, done: int, total: int) -> None:
        """Show it; called a few times per second at most."""
        ...


class CheckFile(Protocol):
    """Checks samples that share their files; one SampleQc per sample, in the same order."""

    def __call__(
        self, samples: Sequence[SampleFiles], profile: Profile, progress: Progress, /
    ) -> tuple[SampleQc, ...]:
        """Read the file once."""
        ...


@dataclass(frozen=True)
class Modality:
    """A modality as the registry of modalities lists it.

    recognises: whether a file is one of this modality's formats, by name and first bytes. Field
    libraries are imported inside the functions, so that the table of modalities costs nothing.

    Which samples a folder holds, without a manifest: `group` makes them of the recognised files
    (read pairs); else `samples` lists those inside each file; else each file is one sample.
    check_file: checks all samples of one file in one pass, in their order; used instead of
    `check_sample` wherever several samples share a file.

    A file that cannot be read raises a DataError, which excludes its samples; nothing else may be
    raised on purpose. `check_sample` and `check_file` must be importable by name (they run in
    other processes).

    beside: further files that are read with one that a manifest names.
    """

    name: str
    title: str
    columns: tuple[StatColumn, ...]
    recognises: Callable[[Path], bool]
    check_sample: Callable[[SampleFiles, Profile, Progress], SampleQc]
    check_cohort: Callable[[Sequence[SampleFiles], Sequence[SampleQc], Profile], CohortQc]
    samples: Callable[[Path], tuple[str, ...]] | None = None
    group: Callable[[Sequence[Path]], tuple[SampleFiles, ...]] | None = None
    check_file: CheckFile | None = None
    beside: Callable[[Path], tuple[Path, ...]] | None = None
