"""`cordon site qc`: choose what is checked, show how far it is, write the report."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_client.home import SiteHome
from cordon_common.cli import console
from cordon_common.errors import DataError, UsageError
from cordon_common.qc.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from cordon_client.qc.pool import Where
    from cordon_common.protocol.study import Study
    from cordon_common.qc.profile import Profile


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    cohort: Path
    study: Path | None
    modality: str | None
    profiles: Sequence[Path]
    where: Where
    output: Path
    as_json: bool


def run(asked: Asked) -> None:
    """Check, write the report, show it, and fail when a hard check did not hold.

    Raises:
        CordonError: as the readers do; CheckFailed for hard checks, once the report is written.
    """
    if asked.study is not None or SiteHome(asked.cohort).config_file.is_file():
        _table_of_study(asked)
    else:
        _cohort(asked)


def _table_of_study(asked: Asked) -> None:
    from cordon_client.cli.render import qc_json, qc_view
    from cordon_client.local_qc import check_locally, read_study
    from cordon_client.qc.report import write_report
    from cordon_client.qc.report_value import report_value

    if asked.study is None:
        raise UsageError("US001", "a site's cohort is checked against a study", fix="add --study")
    study = read_study(asked.study)
    _sample_files(asked, study)
    result = check_locally(asked.cohort, study)
    report = write_report(asked.output, report_value(study, result))
    if asked.as_json:
        console.print_json(qc_json(result))
    else:
        console.show(qc_view(result))
        console.note(f"full report: {report}")
    result.require_trainable()


def _sample_files(asked: Asked, study: Study) -> None:
    """Check the sample files that the study asks for, unless nothing changed since they were."""
    from cordon_client.cli.render_cohort import cohort_view
    from cordon_client.qc.cohort_value import cohort_value
    from cordon_client.qc.report import write_report
    from cordon_client.sample_qc import check_samples, open_gate

    if not study.qc.samples or not asked.cohort.is_dir():
        return
    home = SiteHome(asked.cohort)
    config = home.config()
    try:
        open_gate(home, config, study)
    except DataError as error:
        if error.code not in {"DA081", "DA082"}:
            raise
    else:
        folder = home.checked_samples
        console.note(f"sample files: unchanged since they were checked (to repeat, empty {folder})")
        return
    value = cohort_value(check_samples(home, config, study, asked.where, shown))
    report = write_report(asked.output / "samples", value)
    if not asked.as_json:
        console.show(cohort_view(value))
    console.note(f"report of the sample files: {report}")


def _cohort(asked: Asked) -> None:
    from cordon_client.cli.render_cohort import cohort_view
    from cordon_client.qc.cohort_value import cohort_value
    from cordon_client.qc.discover import discover
    from cordon_client.qc.report import write_report
    from cordon_client.qc.run_cohort import check_cohort

    profiles = _profiles(asked.profiles)
    discovered = discover(asked.cohort, asked.modality)
    with shown(sum(len(part.samples) for part in discovered.parts)) as watch:
        result = check_cohort(discovered, profiles, asked.where, watch)
    value = cohort_value(result)
    report = write_report(asked.output, value)
    if asked.as_json:
        console.print_json(value)
    else:
        console.show(cohort_view(value))
        console.note(f"full report: {report}")
    result.require_hard()


def _profiles(paths: Sequence[Path]) -> dict[str, Profile]:
    profiles: dict[str, Profile] = {}
    for path in paths:
        profile = load_profile(path)
        if profile.modality in profiles:
            raise UsageError("US001", f"two profiles are given for {profile.modality}")
        profiles[profile.modality] = profile
    return profiles


class _Quiet:
    """Shows nothing: the output is no terminal."""

    def reading(self, index: int, done: int, total: int) -> None: ...

    def finished(self, index: int) -> None: ...


class _Bars:
    """One bar over all pieces of work, and one for each that is being read."""

    def __init__(self, bars: Bars, samples: int) -> None:
        self._bars = bars
        self._all = bars.add_task("samples", total=samples)
        self._reading: dict[int, TaskID] = {}

    def reading(self, index: int, done: int, total: int) -> None:
        if index not in self._reading:
            self._reading[index] = self._bars.add_task(f"  file {index + 1}", total=total)
        self._bars.update(self._reading[index], completed=done, total=total)

    def finished(self, index: int) -> None:
        self._bars.advance(self._all)
        if index in self._reading:
            self._bars.remove_task(self._reading.pop(index))


@contextlib.contextmanager
def shown(samples: int) -> Iterator[_Bars | _Quiet]:
    """Show how far the work is, on a terminal."""
    if not console.stderr().is_terminal:
        yield _Quiet()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console.stderr(), transient=True) as bars:
        yield _Bars(bars, samples)
