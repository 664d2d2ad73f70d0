"""A study's sample files at a site: check them once, keep what was found, and refuse it when stale."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cordon_client.qc.discover import Discovered, discover_listed, samples_of
from cordon_client.qc.finding import excludes
from cordon_client.qc.manifest import read_manifest
from cordon_client.qc.modalities import MODALITIES
from cordon_client.qc.report import write_private
from cordon_client.qc.run_cohort import CohortCheck, check_cohort
from cordon_client.qc.sample_gate import make_gate, require_owners
from cordon_client.qc.sample_record import (
    SampleOutcome,
    SampleRecord,
    basis_of,
    facts_of_files,
    require_still,
)
from cordon_common.errors import CordonError, DataError, ProtocolError
from cordon_common.protocol.parse import parse_model
from cordon_common.qc.profile import builtin_profile, load_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from cordon_client.home import SampleSheet, SiteConfig, SiteHome
    from cordon_client.qc.modality import SampleFiles
    from cordon_client.qc.pool import Watch, Where
    from cordon_client.qc.sample_gate import SampleGate
    from cordon_common.protocol.study import Study
    from cordon_common.qc.profile import Profile

    Show = Callable[[int], AbstractContextManager[Watch]]


@dataclass(frozen=True)
class _Asked:
    """What a study asks of a site's sheet. profiles: by modality. record: where outcomes are kept."""

    sheet: SampleSheet
    path: Path
    profiles: Mapping[str, Profile]
    record: Path


def open_gate(home: SiteHome, config: SiteConfig, study: Study) -> SampleGate | None:
    """Return which samples may train, as they were checked before; None for a study that asks none.

    Raises:
        DataError: DA031 and DA083 for the sheet, DA080 without one, DA081 when its files were not
            checked, DA082 when anything changed since.
        CheckFailed: CK111; ProtocolError: PR020 for a profile that is not here.
    """
    asked = _asked(home, config, study)
    if asked is None:
        return None
    record = _kept(asked)
    if record is None:
        raise DataError("DA081")
    basis = basis_of(_bytes(asked.path), asked.profiles)
    record.require_fresh(basis, asked.path.parent)
    samples = [sample for _, sample in read_manifest(asked.path)]
    return make_gate(record, samples, asked.sheet.column)


def check_samples(
    home: SiteHome, config: SiteConfig, study: Study, where: Where, show: Show
) -> CohortCheck:
    """Check the files of the sheet's samples as the study asks and keep the outcomes.

    show: opens a progress display for a number of samples. Guarantee: outcomes depend on sheet,
    files and profiles alone.

    Raises:
        DataError: as `open_gate`, and DA084 when a file changed meanwhile; ProtocolError: PR020.
    """
    asked = _asked(home, config, study)
    if asked is None:
        return CohortCheck(())
    folder, basis = asked.path.parent, basis_of(_bytes(asked.path), asked.profiles)
    sheet = [sample for _, sample in read_manifest(asked.path)]
    require_owners(sheet)
    listed = discover_listed(asked.path).parts
    found = Discovered(tuple(part for part in listed if part.modality.name in asked.profiles))
    _require_single(found, sheet)
    before = _kept(asked)
    known = {} if before is None else before.files
    files = facts_of_files(folder, _files(found, folder), known)
    with show(sum(len(part.samples) for part in found.parts)) as watch:
        checked = check_cohort(found, asked.profiles, where, watch)
    require_still(folder, files)
    record = SampleRecord(basis=basis, outcomes=tuple(_outcomes(checked)), files=files)
    # Times in nanoseconds are beyond what canonical JSON can hold; nothing hashes this text.
    text = json.dumps(record.model_dump(mode="json"), sort_keys=True)
    write_private(asked.record, text.encode())
    return checked


def _asked(home: SiteHome, config: SiteConfig, study: Study) -> _Asked | None:
    if not study.qc.samples:
        return None
    sheet = config.dataset.samples
    if sheet is None:
        raise DataError("DA080")
    path = Path(sheet.sheet)
    if not path.is_file():
        raise DataError("DA080", why="the sheet that site.yaml names is not there")
    names = "\n".join(sorted(study.qc.samples)).encode()
    record = home.checked_samples / f"{hashlib.sha256(names).hexdigest()[:16]}.json"
    return _Asked(sheet, path, _profiles(study.qc.samples, sheet.profiles), record)


def _kept(asked: _Asked) -> SampleRecord | None:
    """Read what was found before; None when there is nothing, or nothing that this version reads."""
    try:
        value = json.loads(asked.record.read_bytes())
        return parse_model(SampleRecord, value, code="PR004", what="not a record of samples")
    except (OSError, ValueError, ProtocolError):
        return None


def _profiles(names: Sequence[str], files: Sequence[str]) -> dict[str, Profile]:
    """Find the study's profiles: those of the site's files first, then the program's own."""
    own = {profile.name: profile for profile in (load_profile(Path(file)) for file in files)}
    known = {modality.name for modality in MODALITIES}
    found: dict[str, Profile] = {}
    for name in names:
        profile = own[name] if name in own else builtin_profile(name)
        if profile.modality not in known or profile.modality in found:
            raise ProtocolError(
                "PR020", why=f"{name}: no profile of files, or a second of its kind"
            )
        found[profile.modality] = profile
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError("DA080", why=error.strerror or "") from None


def _require_single(found: Discovered, sheet: Sequence[SampleFiles]) -> None:
    """Refuse a file of several samples that the sheet takes for one sample's own."""
    for part in found.parts:
        for sample in part.samples:
            if sample.inside is not None or len(sample.files) > 1:
                continue
            try:
                inside = samples_of(part.modality, sample.files)
            except (CordonError, OSError):
                continue  # the check of the sample says what is wrong with it
            if len(inside) > 1:
                numbers = (n for n, each in enumerate(sheet, 1) if each.files == sample.files)
                why = f"the file of entry {next(numbers)} of the sheet holds several samples"
                raise DataError("DA083", why=why)


def _files(found: Discovered, folder: Path) -> list[str]:
    """Name every file that is read, relative to the sheet's folder, each once."""
    paths: dict[str, None] = {}
    for part in found.parts:
        for sample in part.samples:
            for file in sample.files:
                for path in (file, *_beside(part.modality.beside, file)):
                    paths[os.path.relpath(path, folder)] = None
    return list(paths)


def _beside(beside: Callable[[Path], tuple[Path, ...]] | None, file: Path) -> tuple[Path, ...]:
    try:
        return () if beside is None else beside(file)
    except (CordonError, OSError):
        return ()  # the check of the sample says what is wrong with it


def _outcomes(checked: CohortCheck) -> list[SampleOutcome]:
    return [
        SampleOutcome(
            sample=sample.sample,
            modality=part.modality.name,
            shared=sample.inside is not None,
            failed=tuple(sorted({r.check for r in qc.results if excludes([r])})),
        )
        for part in checked.parts
        for sample, qc in zip(part.samples, part.found, strict=True)
    ]
