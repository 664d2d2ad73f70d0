"""Variants as a modality: which files, which samples, what is shown of each."""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING

from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.modality import CohortQc, Modality, SampleQc, StatColumn
from cordon_common.errors import DataError
from cordon_common.qc.vcf_checks import VARIANTS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from cordon_client.qc.modality import Progress, SampleFiles
    from cordon_client.qc.vcf.faults import Faults
    from cordon_client.qc.vcf.measure import VcfMeasures
    from cordon_client.qc.vcf.metrics import Triple
    from cordon_common.qc.profile import Profile

_NAME = re.compile(r"\.(vcf|bcf)(\.(gz|bgz|bz2|xz))?$", re.IGNORECASE)
_TEXT, _BINARY = b"##fileformat=VCF", b"BCF\x02"
_SITES_ONLY = "no samples"

COLUMNS = (
    StatColumn("records", "Records", "records", "Records of the file.", 0),
    StatColumn("call_rate", "Called", "%", "Records at which the sample has a genotype."),
    StatColumn("titv", "Ti/Tv", "ratio", "Transitions per transversion among its SNPs.", 2),
    StatColumn("het_hom", "Het/hom", "ratio", "Heterozygous per homozygous ALT SNP calls.", 2),
    StatColumn("depth", "Depth", "reads", "Mean number of reads behind a call."),
    StatColumn("singletons", "Singletons", "variants", "Variants no other sample carries.", 0),
    StatColumn("indels", "Indels", "variants", "Insertions and deletions that it carries.", 0),
    StatColumn("odd_reads", "Odd reads", "%", "Reads that contradict a homozygous call.", 2),
)


def recognises(path: Path) -> bool:
    """Tell by the name, or by the first bytes, plain or gzipped."""
    if _NAME.search(path.name):
        return True
    try:
        with path.open("rb") as file:
            start = file.read(64)
            if start.startswith(b"\x1f\x8b"):
                file.seek(0)
                start = gzip.GzipFile(fileobj=file).read(len(_TEXT))
    except (OSError, EOFError, zlib.error):
        return False
    return start.startswith((_TEXT, _BINARY))


def samples(path: Path) -> tuple[str, ...]:
    """List the samples of a file; one entry for a file of sites only.

    Raises:
        DataError: DA042 when the header cannot be read.
    """
    from cordon_client.qc.vcf.read import VcfReader

    reader = VcfReader(path, lambda _: None)
    try:
        next(reader.blocks(), None)
    except DataError:
        # The file's own check will say what is wrong with it.
        return (_SITES_ONLY,)
    return reader.header.samples or (_SITES_ONLY,)


def check_sample(sample: SampleFiles, profile: Profile, progress: Progress) -> SampleQc:
    """Check a file of one sample.

    Raises:
        DataError: DA042 when it is no VCF or BCF that can be read to its end.
    """
    return check_file((sample,), profile, progress)[0]


def check_file(
    wanted: Sequence[SampleFiles], profile: Profile, progress: Progress
) -> tuple[SampleQc, ...]:
    """Check all samples of a file in one pass.

    Raises:
        DataError: DA042 when it is no VCF or BCF that can be read to its end, or lacks a sample.
    """
    from cordon_client.qc.vcf.judge import judge_file, judge_sample, recorded_sex, stats_of
    from cordon_client.qc.vcf.plots import sample_plots

    names, measures, faults = _measure(wanted, progress)
    of_file = judge_file(faults, profile)
    results = []
    for each in wanted:
        index = _index(each, names)
        counts = measures.samples
        if index is None:
            stats = dict.fromkeys((column.key for column in COLUMNS), None)
            results.append(
                SampleQc(each.sample, stats | {"records": measures.counts["records"]}, (of_file,))
            )
            continue
        sex, among = recorded_sex(each.batches.get("sex")), each.inside is not None
        judged = judge_sample(counts, index, sex, profile, shared=among)
        results.append(
            SampleQc(
                sample=each.sample,
                stats=stats_of(counts, index),
                results=(of_file, *judged),
                plots=sample_plots(counts, index),
            )
        )
    if results:
        first = results[0]
        shared = {"counts": measures.counts, "triples": measures.triples}
        results[0] = SampleQc(first.sample, first.stats, first.results, first.plots, shared)
    return tuple(results)


def _index(sample: SampleFiles, names: tuple[str, ...]) -> int | None:
    name = sample.inside
    if name is None and len(names) == 1:
        return 0
    if name in names:
        return names.index(name)
    if name is None and len(names) > 1:
        raise DataError("DA073", "the file holds several samples, and the manifest names none")
    if name is not None and name != _SITES_ONLY:
        raise DataError("DA042", why="the file has no sample of the name that the manifest gives")
    return None


def _measure(
    wanted: Sequence[SampleFiles], progress: Progress
) -> tuple[tuple[str, ...], VcfMeasures, Faults]:
    from cordon_client.qc.vcf.measure import VcfCounter
    from cordon_client.qc.vcf.read import VcfReader

    path = wanted[0].files[0]
    size = path.stat().st_size
    reader = VcfReader(path, lambda done: progress(min(done, size), size))
    counter = None
    for block in reader.blocks():
        if counter is None:
            names = reader.header.samples
            cases, controls = (_mask(wanted, names, label) for label in (1, 0))
            counter = VcfCounter(len(names), cases, controls)
        counter.add(block)
    if counter is None:
        raise DataError("DA042", why="the file ends inside its header")
    return reader.header.samples, counter.measures, reader.header.faults


def _mask(
    wanted: Sequence[SampleFiles], names: tuple[str, ...], label: int
) -> npt.NDArray[np.bool_] | None:
    """Samples of one outcome; None where the outcomes are not known."""
    import numpy as np

    if not any(each.label is not None for each in wanted):
        return None
    of = {each.inside or each.sample: each.label for each in wanted}
    return np.array([of.get(name) == label for name in names], np.bool_)


def check_cohort(
    _samples: Sequence[SampleFiles], checked: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Judge what only all samples show: proportions, missingness by outcome, outliers."""
    from collections import Counter

    from cordon_client.qc.outliers import outlying
    from cordon_client.qc.vcf.metrics import out_of_proportion
    from cordon_client.qc.vcf.plots import cohort_plots

    triples: Counter[Triple] = Counter()
    counts: Counter[str] = Counter()
    for each in checked:
        triples.update(each.measures.get("triples", {}))  # type: ignore[call-overload]
        counts.update(each.measures.get("counts", {}))  # type: ignore[call-overload]
    tested = out_of_proportion(triples)
    compared, different = counts["compared_sites"], counts["different_sites"]
    far = [
        outlying(checked, column, least=least)
        for column, least in (("titv", 0.1), ("het_hom", 0.2), ("singletons", 10))
    ]
    names = None if all(each is None for each in far) else {n for each in far for n in each or ()}
    findings = (
        Finding(
            "vcf.hardy-weinberg",
            None if tested is None else tested[0] / tested[1],
            None if tested is None else tested[0],
            "" if tested is None else f"{tested[0]:,} of {tested[1]:,} records.",
        ),
        Finding(
            "vcf.missing-by-label",
            different / compared if compared else None,
            different,
            f"{different:,} of {compared:,} records.",
        ),
        Finding(
            "vcf.outliers",
            None if names is None else float(len(names)),
            None if names is None else len(names),
            ", ".join(sorted(names or ())[:10]),
        ),
    )
    return CohortQc(
        results=tuple(result_of(finding, profile) for finding in findings),
        plots=cohort_plots(checked),
    )


MODALITY = Modality(
    name=VARIANTS,
    title="Variants",
    columns=COLUMNS,
    recognises=recognises,
    check_sample=check_sample,
    check_cohort=check_cohort,
    samples=samples,
    check_file=check_file,
)
