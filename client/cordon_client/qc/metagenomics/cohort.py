"""Judge taxonomic profiles together: depth, negative controls, diversity, batches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.batch import judge_batches
from cordon_client.qc.finding import Finding, result_of
from cordon_client.qc.matrix.cohort import Gathered, component_plot, copies
from cordon_client.qc.matrix.compare import robust_z
from cordon_client.qc.metagenomics.profile import bray_curtis
from cordon_client.qc.metagenomics.samples import taxa_of
from cordon_client.qc.modality import CohortQc
from cordon_common.errors import DataError
from cordon_common.qc.verdict import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from cordon_client.qc.metagenomics.profile import TaxonProfile
    from cordon_client.qc.modality import SampleFiles, SampleQc
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult

    Values = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

_CONTROL = re.compile(
    r"(^|[^a-z])(neg(ative)?([^a-z]?(ctrl|control))?|ntc|blank|extraction.?control|h2o|water)($|[^a-z])",
    re.IGNORECASE,
)
_KIND = ("sample_type", "type", "control")
_ALPHA = 0.01
_MIN_SAMPLES = 8


@dataclass(frozen=True)
class Compositions:
    """All samples on all taxa; values float64 [samples, taxa], rows sum to 1. control: [samples]."""

    samples: tuple[SampleFiles, ...]
    taxa: tuple[str, ...]
    values: Values
    control: Mask


def is_control(sample: SampleFiles) -> bool:
    """Whether the manifest or the sample's name says that it is a negative control."""
    kinds = [sample.batches[key] for key in _KIND if key in sample.batches]
    name = sample.inside or sample.sample.rsplit("/", 1)[-1]
    return any(_CONTROL.search(text) for text in (*kinds, name))


def gather_taxa(samples: Sequence[SampleFiles]) -> Compositions | None:
    """Lay all profiles out on the union of their taxa; None without any."""
    found: list[tuple[SampleFiles, TaxonProfile, Values]] = []
    for sample in samples:
        try:
            taxa = taxa_of(sample)
        except DataError:
            continue
        composition = taxa.composition
        if composition is not None:
            found.append((sample, taxa, composition))
    if not found:
        return None
    names = tuple(dict.fromkeys(name for _, taxa, _ in found for name in taxa.taxa))
    place = {name: index for index, name in enumerate(names)}
    values = np.zeros((len(found), len(names)))
    for row, (_, taxa, composition) in enumerate(found):
        columns = [place[name] for name in taxa.taxa]
        np.add.at(values[row], columns, composition)
    kept = tuple(sample for sample, _, _ in found)
    return Compositions(kept, names, values, np.array([is_control(s) for s in kept]))


def check_cohort(
    samples: Sequence[SampleFiles], checked: Sequence[SampleQc], profile: Profile
) -> CohortQc:
    """Compare all profiles; each batch of the manifest is tested against outcome and content."""
    results = [_shallow(checked, profile)]
    gathered = gather_taxa(samples)
    if gathered is None:
        return CohortQc(tuple(results))
    results += [
        *_controls(gathered, profile),
        *_diversity(gathered, profile),
        _copies(gathered, profile),
    ]
    plots = []
    patients = ~gathered.control
    hellinger = np.sqrt(gathered.values[patients])
    own = tuple(s for s, kept in zip(gathered.samples, patients.tolist(), strict=True) if kept)
    if len(own) > 2:
        varying = hellinger[:, hellinger.std(axis=0) > 0].T
        if len(varying) > 1:
            plots.append(component_plot(varying, Gathered(own, (), varying)))
    batches = judge_batches(hellinger, own, profile, "abundances")
    return CohortQc((*results, *batches.results), (*plots, *batches.plots))


def _shallow(checked: Sequence[SampleQc], profile: Profile) -> CheckResult:
    judged = [
        {r.severity for r in qc.results if r.check in {"taxa.depth", "taxa.resolution"}}
        - {Severity.NOT_APPLICABLE}
        for qc in checked
    ]
    known = [severities for severities in judged if severities]
    if not known:
        return result_of(Finding("taxa.shallow-samples", None), profile)
    shallow = sum(Severity.WARN in severities for severities in known)
    detail = f"{shallow} of {len(known)} samples."
    return result_of(
        Finding("taxa.shallow-samples", shallow / len(known), shallow, detail), profile
    )


def _controls(gathered: Compositions, profile: Profile) -> Iterator[CheckResult]:
    if not gathered.control.any() or gathered.control.all():
        yield result_of(Finding("taxa.contaminants", None), profile)
        yield result_of(Finding("taxa.like-control", None), profile)
        return
    yield _contaminants(gathered, profile)
    blanks = gathered.values[gathered.control]
    for index in np.flatnonzero(~gathered.control).tolist():
        alike = max(1 - bray_curtis(gathered.values[index], blank) for blank in blanks)
        name = gathered.samples[index].sample
        yield result_of(Finding("taxa.like-control", alike, 1), profile, name)


def contaminants(present: Mask, control: Mask) -> Mask:
    """Flag taxa that are more prevalent in negative controls; bool [taxa].

    present: bool [samples, taxa]. One-sided Fisher test at 0.01 per taxon: the prevalence method of
    Davis et al. 2018, which pools chi-square and Fisher scores in the same way.
    """
    from scipy.stats import hypergeom

    total, blanks = len(control), int(control.sum())
    seen = present.sum(axis=0)
    in_blanks = present[control].sum(axis=0)
    chance = hypergeom.sf(in_blanks - 1, total, seen, blanks)
    return np.asarray((in_blanks > 0) & (chance < _ALPHA))


def _contaminants(gathered: Compositions, profile: Profile) -> CheckResult:
    flagged = contaminants(gathered.values > 0, gathered.control)
    shares = gathered.values[~gathered.control][:, flagged].sum(axis=1)
    names = ", ".join(gathered.taxa[i].split("|")[-1] for i in np.flatnonzero(flagged)[:5])
    return result_of(
        Finding(
            "taxa.contaminants",
            float(shares.max()),
            int((shares > 0.1).sum()),
            f"{int(flagged.sum())} taxa: {names}.",
        ),
        profile,
    )


def _diversity(gathered: Compositions, profile: Profile) -> Iterator[CheckResult]:
    own = np.flatnonzero(~gathered.control)
    if len(own) < _MIN_SAMPLES:
        yield result_of(Finding("taxa.diversity", None), profile)
        return
    values = gathered.values[own]
    logs = np.log(np.where(values > 0, values, 1.0))
    distance = np.abs(robust_z(-(values * logs).sum(axis=1)))
    for index, far in zip(own.tolist(), distance.tolist(), strict=True):
        yield result_of(Finding("taxa.diversity", far, 1), profile, gathered.samples[index].sample)


def _copies(gathered: Compositions, profile: Profile) -> CheckResult:
    pairs = copies(Gathered(gathered.samples, gathered.taxa, gathered.values.T))
    detail = "; ".join(f"{first} and {second}" for first, second in pairs[:5]) + "."
    return result_of(Finding("taxa.same-sample", len(pairs), 2 * len(pairs), detail), profile)
