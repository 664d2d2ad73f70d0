"""One piece of quality control that can be done in any process or machine: a sample, or a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_client.qc.modality import SampleQc
from cordon_common.errors import CordonError, DataError
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.sample_checks import COMPLETED, READABLE
from cordon_common.qc.verdict import CheckResult, Severity

if TYPE_CHECKING:
    from cordon_client.qc.modality import Modality, Progress, SampleFiles
    from cordon_common.qc.profile import Profile


@dataclass(frozen=True)
class Work:
    """Samples that are checked in one pass; more than one only where they share their files."""

    modality: Modality
    samples: tuple[SampleFiles, ...]
    profile: Profile

    @property
    def size_bytes(self) -> int:
        """Size of the files, to order the work by and to show progress with."""
        files = {file for sample in self.samples for file in sample.files}
        return sum(file.stat().st_size for file in files if file.is_file())


def carry_out(work: Work, progress: Progress) -> tuple[SampleQc, ...]:
    """Check the samples; what goes wrong becomes a judgement that excludes them.

    Guarantee: one result per sample, in their order; never raises for what a file holds. The
    detail of an unforeseen error is its kind alone, because its text could quote the data.
    """
    modality, samples, profile = work.modality, work.samples, work.profile
    try:
        _require_files(samples)
        if modality.check_file is not None and samples[0].inside is not None:
            found = tuple(modality.check_file(samples, profile, progress))
        else:
            found = tuple(modality.check_sample(each, profile, progress) for each in samples)
    except CordonError as error:
        why = f": {error.why}" if error.why else ""
        found = _failed(samples, READABLE, Severity.FAIL, f"{error.code}, {error.what}{why}")
    except OSError as error:
        found = _failed(samples, READABLE, Severity.FAIL, error.strerror or "it cannot be read")
    except Exception as error:  # noqa: BLE001 - a hospital's file must not end the whole run
        found = _failed(samples, COMPLETED, Severity.ERROR, f"{type(error).__name__}.")
    else:
        found = tuple(_readable(each) for each in found)
    return found


def _require_files(samples: tuple[SampleFiles, ...]) -> None:
    for sample in samples:
        for file in sample.files:
            if not file.is_file():
                raise DataError("DA001", why=f"{file.name} is not there")


def _failed(
    samples: tuple[SampleFiles, ...], check: str, severity: Severity, detail: str
) -> tuple[SampleQc, ...]:
    result = CheckResult(
        check=check,
        severity=severity,
        value=1.0,
        threshold=REGISTRY[check].bounds.fail,
        affected=1,
        reason=REGISTRY[check].reason,
        detail=detail,
    )
    return tuple(SampleQc(sample.sample, {}, (result,)) for sample in samples)


def _readable(found: SampleQc) -> SampleQc:
    """Add that the files could be read, unless the modality judged that itself."""
    if any(result.check == READABLE for result in found.results):
        return found
    passed = CheckResult(READABLE, Severity.PASS, value=0.0, threshold=0.0, affected=0)
    return SampleQc(
        found.sample, found.stats, (passed, *found.results), found.plots, found.measures
    )
