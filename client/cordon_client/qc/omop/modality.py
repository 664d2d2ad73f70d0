"""OMOP exports as a modality: a folder of tables is one sample, judged as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.modality import (
    Band,
    CohortQc,
    Modality,
    Plot,
    SampleQc,
    Series,
    StatColumn,
)
from cordon_client.qc.omop.folder import group, recognises

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_client.qc.omop.survey import Export
    from cordon_common.qc.profile import Profile

_COLUMNS = (
    StatColumn("persons", "Persons", "", "Persons in PERSON.", 0),
    StatColumn("events", "Events", "", "Rows of all event tables.", 0),
    StatColumn("years", "Years", "", "Calendar years that hold 99 % of the events.", 0),
    StatColumn("unmapped", "Unmapped", "%", "Events whose concept is 0."),
    StatColumn("unobserved", "Unobserved", "%", "Persons without an observation period."),
    StatColumn("measurements", "Measurements", "", "Rows of MEASUREMENT.", 0),
)
_MAX_UNMAPPED = 0.05
_TRIMMED = 0.005


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Read and judge one export."""
    from cordon_client.qc.finding import result_of
    from cordon_client.qc.omop.judge import judge_export
    from cordon_client.qc.omop.survey import read_export

    export = read_export(sample.files, progress)
    results = tuple(result_of(found, profile, subject) for subject, found in judge_export(export))
    return SampleQc(sample.sample, _stats(export), results, tuple(_plots(export)))


def _events(export: Export) -> dict[str, int]:
    from cordon_client.qc.omop.model import EVENTS

    found = {table.name: export.tallies.get(table.name) for table in EVENTS}
    return {name: tally.rows for name, tally in found.items() if tally is not None}


def _stats(export: Export) -> dict[str, float | int | None]:
    events = _events(export)
    rows, persons = sum(events.values()), 0 if export.persons is None else len(export.persons.ids)
    unmapped = sum(export.tallies[name].unmapped for name in events)
    observed = "observation_period" in export.tallies and persons
    years = _spanned(_by_year(export))
    return {
        "persons": persons,
        "events": rows,
        "years": len(years) or None,
        "unmapped": 100 * unmapped / rows if rows else None,
        "unobserved": 100 * export.without_period / persons if observed else None,
        "measurements": events.get("measurement"),
    }


def _by_year(export: Export) -> dict[int, int]:
    counts: dict[int, int] = {}
    for name in _events(export):
        for year, rows in export.tallies[name].years.items():
            counts[year] = counts.get(year, 0) + rows
    return dict(sorted(counts.items()))


def _spanned(counts: dict[int, int]) -> list[int]:
    """Return the years between the outermost half per cent of events on each side."""
    total, before, inside = sum(counts.values()), 0, []
    for year, rows in counts.items():
        if before + rows > _TRIMMED * total and before < (1 - _TRIMMED) * total:
            inside.append(year)
        before += rows
    return list(range(inside[0], inside[-1] + 1)) if inside else []


def _plots(export: Export) -> Iterator[Plot]:
    years = _spanned(_by_year(export))
    if len(years) > 1:
        yield Plot(
            "events-by-year",
            "Events by year",
            "line",
            "year",
            "rows",
            f"99 % of the events lie between {years[0]} and {years[-1]}. A table that starts late, "
            "or has a gap, was not always recorded: absence there does not mean health.",
            tuple(
                Series(name, tuple(years), tuple(export.tallies[name].years[y] for y in years))
                for name in _events(export)
                if export.tallies[name].rows
            ),
        )
    yield from _unmapped(export)
    yield from _births(export)


def _unmapped(export: Export) -> Iterator[Plot]:
    tallies = [export.tallies[name] for name in _events(export)]
    found = {tally.table.name: tally.unmapped / tally.rows for tally in tallies if tally.rows}
    if not found:
        return
    worst = max(found, key=lambda name: found[name])
    yield Plot(
        "unmapped",
        "Rows without a standard concept",
        "bars",
        "table",
        "share of rows",
        f"Most are in {worst}: {found[worst]:.1%}. No study can find these rows by concept.",
        (Series("unmapped", tuple(found), tuple(found.values())),),
        (Band(0, _MAX_UNMAPPED, "pass"), Band(_MAX_UNMAPPED, 1, "warn")),
    )


def _births(export: Export) -> Iterator[Plot]:
    import numpy as np

    years = export.birth_years
    years = years[(years >= 1900) & (years < 2100)]
    if not len(years):
        return
    decades = np.arange(years.min() // 10 * 10, years.max() + 10, 10)
    counts = [int(((years >= start) & (years < start + 10)).sum()) for start in decades]
    low, high = np.quantile(years, [0.25, 0.75])
    yield Plot(
        "births",
        "Persons by decade of birth",
        "bars",
        "born in",
        "persons",
        f"Half of the persons were born between {low:.0f} and {high:.0f}.",
        (Series("persons", tuple(f"{start}s" for start in decades.tolist()), tuple(counts)),),
    )


def check_cohort(
    samples: Sequence[SampleFiles], found: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Say nothing: exports are compared across hospitals, by the coordinator."""
    del samples, found, profile
    return CohortQc()


MODALITY = Modality(
    name="omop",
    title="OMOP tables",
    columns=_COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
    group=group,
)
