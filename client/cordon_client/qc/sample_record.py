"""What became of a cohort's sample files in quality control, kept so that it can go stale.

The record binds outcomes to what they follow from: the sample sheet, the thresholds, the programs'
versions and every byte of every file. It stays at the hospital, in the vault's folder.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cordon_common.canonical import digest_of
from cordon_common.errors import DataError
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cordon_common.canonical import Json
    from cordon_common.qc.profile import Profile

_CHUNK_BYTES = 1 << 20
_TOOLS = (
    "cordon-common", "cordon-client", "numpy", "pandas", "anndata", "biom-format", "cyvcf2",
    "dnaio", "h5py", "pillow", "pysam", "scikit-bio", "sequali", "xopen",
)  # fmt: skip


class FileFacts(StrictModel):
    """A file as it was checked. Times in ns; without sha256 and with size -1, it was not there.

    `changed_ns` (inode change) cannot be set by a user, so while size and both times are the same,
    the content is taken to be; otherwise its hash decides.
    """

    sha256: str = Field(default="", max_length=64)
    size_bytes: int = -1
    modified_ns: int = 0
    changed_ns: int = 0

    def same_times(self, other: FileFacts) -> bool:
        """Say whether size and times are equal."""
        mine = (self.size_bytes, self.modified_ns, self.changed_ns)
        return mine == (other.size_bytes, other.modified_ns, other.changed_ns)


class SampleOutcome(StrictModel):
    """One sample in one modality. failed: the checks that leave it out, none when it passed.

    shared: its files hold other samples too.
    """

    sample: str
    modality: str
    shared: bool = False
    failed: tuple[str, ...] = ()


class Basis(StrictModel):
    """What outcomes follow from, besides the files: digests of sheet and profiles, versions."""

    sheet: str
    profiles: dict[str, str]
    tools: dict[str, str]


class SampleRecord(StrictModel):
    """All outcomes of a sample sheet under a set of profiles. files: by path, relative to the sheet."""

    cordon: Literal[1] = 1
    basis: Basis
    outcomes: tuple[SampleOutcome, ...]
    files: dict[str, FileFacts]

    @property
    def digest(self) -> str:
        """Identify the outcomes and what they follow from; times of files play no part."""
        value: dict[str, Json] = self.model_dump(mode="json")
        value["files"] = {name: facts.sha256 for name, facts in self.files.items()}
        return digest_of(value)

    def require_fresh(self, basis: Basis, folder: Path) -> None:
        """Do nothing when nothing changed since the check. folder: where the sheet lies.

        Raises:
            DataError: DA082, naming what changed, but no file.
        """
        stale = [
            name
            for name in ("sheet", "profiles", "tools")
            if getattr(self.basis, name) != getattr(basis, name)
        ]
        if stale:
            words = {"sheet": "the sample sheet", "profiles": "a profile", "tools": "a program"}
            raise DataError("DA082", why="changed: " + ", ".join(words[name] for name in stale))
        changed = sum(not _unchanged(folder / name, facts) for name, facts in self.files.items())
        if changed:
            raise DataError("DA082", why=f"changed: {changed} of {len(self.files)} files")


def basis_of(sheet: bytes, profiles: Mapping[str, Profile]) -> Basis:
    """Say what outcomes follow from today. sheet: its bytes; profiles: by modality."""
    return Basis(
        sheet=hashlib.sha256(sheet).hexdigest(),
        profiles={name: digest_of(p.model_dump(mode="json")) for name, p in profiles.items()},
        tools={name: found for name in _TOOLS if (found := _version(name))},
    )


def facts_of_files(
    folder: Path, names: Iterable[str], known: Mapping[str, FileFacts]
) -> dict[str, FileFacts]:
    """Hash files, but those of `known` whose size and times are the same."""
    found = {}
    for name in names:
        seen, before = _seen(folder / name), known.get(name)
        if before is not None and seen.same_times(before):
            found[name] = before
        elif seen.size_bytes < 0:
            found[name] = seen
        else:
            found[name] = seen.model_copy(update={"sha256": _sha256(folder / name)})
    return found


def require_still(folder: Path, files: Mapping[str, FileFacts]) -> None:
    """Do nothing when no file was touched since its facts were taken.

    Raises:
        DataError: DA084.
    """
    if any(not _seen(folder / name).same_times(facts) for name, facts in files.items()):
        raise DataError("DA084")


def _unchanged(path: Path, facts: FileFacts) -> bool:
    seen = _seen(path)
    if seen.same_times(facts):
        return True
    return seen.size_bytes == facts.size_bytes and _sha256(path) == facts.sha256


def _seen(path: Path) -> FileFacts:
    try:
        status = path.stat()
    except OSError:
        return FileFacts()
    return FileFacts(
        size_bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        changed_ns=status.st_ctime_ns,
    )


def _sha256(path: Path) -> str:
    """Hash a file; one that cannot be read has the empty hash, and its check will say so."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
