"""Clinical tables as a modality: a file is a sample, its columns are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.modality import (
    Band,
    CohortQc,
    Modality,
    Plot,
    SampleQc,
    Series,
    StatColumn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_client.qc.clinical.survey import Survey
    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_common.qc.profile import Profile

_COLUMNS = (
    StatColumn("records", "Records", "", "Rows that could be read.", 0),
    StatColumn("columns", "Columns", "", "Columns of the table.", 0),
    StatColumn("numeric", "Numeric", "", "Columns of numbers.", 0),
    StatColumn("dates", "Dates", "", "Columns of dates.", 0),
    StatColumn("missing", "Missing", "%", "Empty cells and texts that mean 'not recorded'."),
    StatColumn("repeated", "Repeated", "%", "Rows that repeat an earlier one.", 2),
)
_MAX_BARS, _MAX_HISTOGRAMS, _BINS = 40, 12, 30


def _recognises(path: Path) -> bool:
    from cordon_client.qc.clinical.tables import SUFFIXES

    return path.suffix.lower() in SUFFIXES


def _check(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    from cordon_client.qc.clinical.judge import judge_table
    from cordon_client.qc.clinical.survey import read_survey
    from cordon_client.qc.finding import result_of

    survey = read_survey(sample.files[0], progress)
    results = tuple(result_of(found, profile, column) for column, found in judge_table(survey))
    return SampleQc(sample.sample, _stats(survey), results, (*_missing(survey), *_shapes(survey)))


def _stats(survey: Survey) -> dict[str, float | int | None]:
    cells = sum(tally.records for tally in survey.columns.values())
    missing = sum(tally.missing for tally in survey.columns.values())
    return {
        "records": survey.records,
        "columns": len(survey.columns),
        "numeric": len(survey.numbers),
        "dates": len(survey.dates),
        "missing": 100 * missing / cells if cells else None,
        "repeated": None if survey.repeated is None else 100 * survey.repeated,
    }


def _missing(survey: Survey) -> tuple[Plot, ...]:
    shares = {
        name: tally.missing / tally.records
        for name, tally in survey.columns.items()
        if tally.missing
    }
    if not shares:
        return ()
    worst = sorted(shares, key=lambda name: -shares[name])[:_MAX_BARS]
    gone = sum(share > 0.4 for share in shares.values())
    sentence = (
        f"{len(shares)} of {len(survey.columns)} columns have empty cells; {gone} are empty in more "
        "than 40 % of the records, too many to fill in."
    )
    values = tuple(shares[name] for name in worst)
    return (
        Plot(
            "missing",
            "Missing cells by column",
            "bars",
            "column",
            "share of records",
            sentence,
            (Series("missing", tuple(worst), values),),
            (Band(0, 0.4, "pass"), Band(0.4, 1, "warn")),
        ),
    )


def _shapes(survey: Survey) -> tuple[Plot, ...]:
    plots = []
    for name, column in survey.numbers.items():
        values = column[np.isfinite(column)]
        if name in survey.row_numbers or len(np.unique(values)) < 5:
            continue
        low, high = np.quantile(values, [0.0, 1.0])
        counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
        middle = tuple(float(x) for x in (edges[:-1] + edges[1:]) / 2)
        share = survey.columns[name].missing / survey.columns[name].records
        sentence = (
            f"Half of the values lie between {np.quantile(values, 0.25):.4g} and "
            f"{np.quantile(values, 0.75):.4g}; {share:.0%} are missing."
        )
        plots.append(
            Plot(
                f"values-{name}",
                name,
                "histogram",
                name,
                "records",
                sentence,
                (Series("records", middle, tuple(int(count) for count in counts)),),
            )
        )
    return tuple(plots[:_MAX_HISTOGRAMS])


def _together(
    samples: Sequence[SampleFiles], found: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Say nothing: tables are different exports, not samples of one measurement."""
    del samples, found, profile
    return CohortQc()


CLINICAL = Modality(
    name="clinical",
    title="Clinical tables",
    columns=_COLUMNS,
    recognises=_recognises,
    check_sample=_check,
    check_cohort=_together,
)
