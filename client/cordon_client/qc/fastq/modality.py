"""FASTQ as a modality: which files, which samples, what is shown of each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import CohortQc, Modality, SampleFiles, SampleQc, StatColumn
from cordon_common.qc.fastq_checks import FASTQ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cordon_client.qc.fastq.blocks import Block
    from cordon_client.qc.fastq.measure import FastqMeasures
    from cordon_client.qc.modality import Number, Progress
    from cordon_common.qc.profile import Profile

_NAME = re.compile(r"\.(fastq|fq)(\.(gz|bgz|bz2|xz))?$", re.IGNORECASE)
_MATE = re.compile(r"(?<=[._-])R?(?P<mate>[12])(?P<rest>(_\d{3})?)$")
_LANE = re.compile(r"_L\d{3}(?=_|$)")

COLUMNS = (
    StatColumn("reads", "Reads", "reads", "Reads in all files of the sample.", 0),
    StatColumn("length", "Length", "bases", "Mean length of a read.", 0),
    StatColumn("q20", "Q20", "%", "Bases with an error probability of at most 1 in 100."),
    StatColumn("q30", "Q30", "%", "Bases with an error probability of at most 1 in 1,000."),
    StatColumn("gc", "GC", "%", "G and C among called bases."),
    StatColumn("duplicates", "Duplicates", "%", "Reads whose sequence occurred before."),
    StatColumn("adapters", "Adapters", "%", "Reads that run into the commonest adapter."),
)


def recognises(path: Path) -> bool:
    """Tell by the name: FASTQ has no bytes of its own beyond a leading @."""
    return bool(_NAME.search(path.name))


def mate_of(path: Path) -> tuple[str, str]:
    """Split a file's name into the sample's and the role (R1 or R2), over all lanes."""
    stem = _NAME.sub("", path.name)
    found = _MATE.search(stem)
    if found is None:
        return _LANE.sub("", stem), "R1"
    return _LANE.sub("", stem[: found.start()].rstrip("._-")), f"R{found['mate']}"


def group(files: Sequence[Path]) -> tuple[SampleFiles, ...]:
    """Make samples of files: mates and lanes of one name in one folder belong together."""
    found: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    for file in files:
        name, role = mate_of(file)
        found.setdefault((str(file.parent), name), []).append((role, file))
    samples: dict[tuple[str, str], list[Path]] = {}
    for (folder, name), parts in found.items():
        if _complete(parts):
            samples[folder, name] = [file for _, file in sorted(parts, key=lambda p: str(p[1]))]
            continue
        # Not pairs after all: two files that only look like mates are samples of their own.
        for _, file in parts:
            samples[folder, file.name] = [file]
    names = [name for _, name in samples]
    return tuple(
        SampleFiles(
            name if names.count(name) == 1 else f"{folder.rsplit('/', 1)[-1]}/{name}", tuple(paths)
        )
        for (folder, name), paths in samples.items()
    )


def _complete(parts: Sequence[tuple[str, Path]]) -> bool:
    roles = [role for role, _ in parts]
    distinct = {(role, mate_of(file)[0], file.suffixes[-1:] != []) for role, file in parts}
    return bool(distinct) and (set(roles) == {"R1"} or roles.count("R1") == roles.count("R2"))


def _runs(files: tuple[Path, ...]) -> list[tuple[Path, Path | None]]:
    """Pair a sample's files lane by lane; two files that name no mates are R1 and R2."""
    roles = [mate_of(file)[1] for file in files]
    if roles == ["R1", "R1"] and len({mate_of(file)[0] for file in files}) > 1:
        return [(files[0], files[1])]
    first = [file for file, role in zip(files, roles, strict=True) if role == "R1"]
    second = [file for file, role in zip(files, roles, strict=True) if role == "R2"]
    if not second:
        return [(file, None) for file in first]
    return list(zip(first, second, strict=True))


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Count and judge a sample's reads over all its lanes.

    Raises:
        FastqFault: DA040 when a file breaks the format, or mates do not fit together.
    """
    from cordon_client.qc.fastq.judge import judge_reads
    from cordon_client.qc.fastq.plots import read_plots

    files = measure_sample(sample, progress)
    return SampleQc(
        sample=sample.sample,
        stats=_stats(files),
        results=judge_reads(files, profile),
        plots=read_plots(files),
        measures=dict(files),
    )


def measure_sample(sample: SampleFiles, progress: Progress) -> dict[str, FastqMeasures]:
    """Count a sample's reads by role; lanes add up."""
    from cordon_client.qc.fastq.blocks import blocks
    from cordon_client.qc.fastq.mates import paired
    from cordon_client.qc.fastq.measure import FastqCounter

    counters: dict[str, FastqCounter] = {}
    told = _Told(sample.files, progress)
    for first, second in _runs(sample.files):
        one = blocks(first, "R1", told.of(first))
        if second is None:
            source: Iterator[tuple[str, Block]] = (("R1", block) for block in one)
        else:
            source = paired(one, blocks(second, "R2", told.of(second)))
        for role, block in source:
            counters.setdefault(role, FastqCounter()).add(block)
    return {role: counters[role].measures() for role in sorted(counters)}


class _Told:
    """Adds the files' progress up."""

    def __init__(self, files: Sequence[Path], progress: Progress) -> None:
        self._done = dict.fromkeys(files, 0)
        self._total = sum(file.stat().st_size for file in files)
        self._progress = progress

    def of(self, file: Path) -> Callable[[int], None]:
        """Return the callback of one file."""

        def tell(done: int) -> None:
            self._done[file] = done
            self._progress(sum(self._done.values()), self._total)

        return tell


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _stats(files: Mapping[str, FastqMeasures]) -> dict[str, Number | None]:
    from cordon_client.qc.fastq import metrics

    both = sum(files.values(), start=type(next(iter(files.values())))())
    return {
        "reads": both.reads,
        "length": both.bases / both.reads if both.reads else None,
        "q20": _percent(metrics.share_at_least(both, 20)),
        "q30": _percent(metrics.share_at_least(both, 30)),
        "gc": _percent(metrics.gc_share(both)),
        "duplicates": _percent(metrics.duplicate_share(next(iter(files.values())))),
        "adapters": _percent(metrics.adapter_share(both)),
    }


def check_cohort(
    _samples: Sequence[SampleFiles], checked: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Find samples whose quality or GC content is far from the others'."""
    from cordon_client.qc.fastq.measure import FastqMeasures
    from cordon_client.qc.fastq.plots import cohort_plots
    from cordon_client.qc.outliers import outlying

    measured = [
        (each.sample, {k: v for k, v in each.measures.items() if isinstance(v, FastqMeasures)})
        for each in checked
    ]
    quality = outlying(checked, "q30", least=5.0, only_below=True)
    gc = outlying(checked, "gc", least=2.0)
    return CohortQc(
        results=(
            result_of(_finding("fastq.q30-outlier", quality), profile),
            result_of(_finding("fastq.gc-outlier", gc), profile),
        ),
        plots=cohort_plots([(name, files) for name, files in measured if files]),
    )


def _finding(check: str, outliers: list[str] | None) -> Finding:
    if outliers is None:
        return Finding(check, None)
    return Finding(check, float(len(outliers)), len(outliers), ", ".join(outliers[:10]))


MODALITY = Modality(
    name=FASTQ,
    title="Sequencing reads",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
    group=group,
)
