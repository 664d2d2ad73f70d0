"""Check a cohort of any modalities: every sample by itself, then all samples together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_client.qc.finding import excludes
from cordon_client.qc.modality import CohortQc
from cordon_client.qc.pool import carry_out_all
from cordon_client.qc.work import Work
from cordon_common.errors import CheckFailed
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.sample_checks import COMPLETED
from cordon_common.qc.verdict import CheckClass, CheckResult, Severity, worst

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cordon_client.qc.discover import Discovered, Part
    from cordon_client.qc.modality import Modality, SampleFiles, SampleQc
    from cordon_client.qc.pool import Watch, Where
    from cordon_common.qc.profile import Profile

_STOPS = {Severity.FAIL, Severity.ERROR}


@dataclass(frozen=True)
class PartQc:
    """One modality of a cohort, judged; `samples` and `found` in the same order."""

    modality: Modality
    profile: Profile
    samples: tuple[SampleFiles, ...]
    found: tuple[SampleQc, ...]
    cohort: CohortQc

    @property
    def kept(self) -> tuple[SampleFiles, ...]:
        """The samples that passed every rule that excludes."""
        pairs = zip(self.samples, self.found, strict=True)
        return tuple(sample for sample, qc in pairs if not excludes(qc.results))

    @property
    def results(self) -> tuple[CheckResult, ...]:
        """All judgements: of each sample, then of all together."""
        return (*(r for qc in self.found for r in qc.results), *self.cohort.results)

    @property
    def severity(self) -> Severity:
        """The worst judgement."""
        return worst(result.severity for result in self.results)


@dataclass(frozen=True)
class CohortCheck:
    """Everything that was found; it stays at the hospital. unread: files of no known format."""

    parts: tuple[PartQc, ...]
    unread: int = 0

    @property
    def severity(self) -> Severity:
        """The worst judgement of all modalities."""
        return worst(part.severity for part in self.parts)

    def failed_hard(self) -> tuple[CheckResult, ...]:
        """List the hard checks that did not hold."""
        return tuple(
            result
            for part in self.parts
            for result in part.results
            if result.severity in _STOPS
            and REGISTRY[result.check].check_class is CheckClass.LOCAL_HARD
        )

    def require_hard(self) -> None:
        """Do nothing when every hard check held.

        Raises:
            CheckFailed: CK110 otherwise.
        """
        failed = self.failed_hard()
        if not failed:
            return
        samples = sum(len(part.samples) for part in self.parts)
        kept = sum(len(part.kept) for part in self.parts)
        titles = sorted({REGISTRY[result.check].wording.title for result in failed})
        out = samples - kept
        said = f"{out} of {samples} samples {'is' if out == 1 else 'are'} left out; " if out else ""
        why = f"{said}not held: {', '.join(titles)}"
        raise CheckFailed("CK110", why=why)


def check_cohort(
    discovered: Discovered, profiles: Mapping[str, Profile], where: Where, watch: Watch
) -> CohortCheck:
    """Check all samples, those of all modalities in one pool.

    profiles: by modality; the modality's own profile where none is given. Guarantee: the result
    depends on files and profiles alone, not on the number or order of processes.
    """
    works, owners = [], []
    for number, part in enumerate(discovered.parts):
        profile = _profile(part.modality, profiles)
        for samples in units(part):
            works.append(Work(part.modality, samples, profile))
            owners.append(number)
    found = carry_out_all(works, where, watch)
    parts = []
    for number, part in enumerate(discovered.parts):
        own = [index for index, owner in enumerate(owners) if owner == number]
        samples = tuple(sample for index in own for sample in works[index].samples)
        qc = tuple(each for index in own for each in found[index])
        profile = _profile(part.modality, profiles)
        together = _together(part.modality, samples, qc, profile)
        parts.append(PartQc(part.modality, profile, samples, qc, together))
    return CohortCheck(tuple(parts), discovered.unread)


def units(part: Part) -> list[tuple[SampleFiles, ...]]:
    """Cut a part into pieces of work: samples that share their files stay together."""
    shared: dict[tuple[object, ...], list[SampleFiles]] = {}
    for index, sample in enumerate(part.samples):
        key = (index,) if sample.inside is None else sample.files
        shared.setdefault(key, []).append(sample)
    return [tuple(samples) for samples in shared.values()]


def _profile(modality: Modality, profiles: Mapping[str, Profile]) -> Profile:
    own = profiles.get(modality.name)
    return builtin_profile(f"{modality.name}.v1") if own is None else own


def _together(
    modality: Modality,
    samples: tuple[SampleFiles, ...],
    found: tuple[SampleQc, ...],
    profile: Profile,
) -> CohortQc:
    """Judge the samples that passed together; an unforeseen error is a finding, never a pass."""
    pairs = [
        (sample, qc) for sample, qc in zip(samples, found, strict=True) if not excludes(qc.results)
    ]
    try:
        return modality.check_cohort([s for s, _ in pairs], [qc for _, qc in pairs], profile)
    except Exception as error:  # noqa: BLE001 - what was found so far must not be lost
        kind = f"{type(error).__name__}, when all samples were looked at together."
        result = CheckResult(
            COMPLETED,
            Severity.ERROR,
            value=1.0,
            threshold=0.0,
            reason=REGISTRY[COMPLETED].reason,
            detail=kind,
        )
        return CohortQc((result,))
