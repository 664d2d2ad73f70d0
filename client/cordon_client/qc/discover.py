"""Which samples there are: in a file, a folder, or a cohort manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_client.qc.manifest import is_manifest, read_manifest
from cordon_client.qc.modalities import modality_named, modality_of
from cordon_client.qc.modality import SampleFiles
from cordon_common.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_client.qc.modality import Modality


@dataclass(frozen=True)
class Part:
    """The samples of one modality. unread: files of the folder that no modality knows."""

    modality: Modality
    samples: tuple[SampleFiles, ...]


@dataclass(frozen=True)
class Discovered:
    """What there is to check. unread: how many files no modality recognised."""

    parts: tuple[Part, ...]
    unread: int = 0


def discover(path: Path, modality: str | None = None) -> Discovered:
    """List the samples of a file, folder or cohort manifest.

    modality: forces one instead of recognising it; a manifest names its own.

    Raises:
        UsageError: US002 when the path is not there, US050 for an unknown modality.
        DataError: DA031 for a manifest that is not valid.
        DataError: DA030 when nothing that could be checked is there.
    """
    if not path.exists():
        raise UsageError("US002", f"cannot read {path.name}", why="it is not there")
    if path.is_file() and modality is None and is_manifest(path):
        return discover_listed(path)
    files = _files(path) if path.is_dir() else (path,)
    forced = None if modality is None else modality_named(modality)
    found: dict[str, list[Path]] = {}
    unread = 0
    for file in files:
        known = modality_of(file) if forced is None or path.is_dir() else forced
        if known is None or (forced is not None and known.name != forced.name):
            unread += 1
        else:
            found.setdefault(known.name, []).append(file)
    if not found:
        raise DataError("DA030", why=_looked_at(path, len(files)))
    parts = (Part(each, samples_of(each, f)) for name, f in found.items() for each in _named(name))
    return Discovered(tuple(parts), unread)


def discover_listed(path: Path) -> Discovered:
    """Group a manifest's samples by modality, in the order of the table of modalities.

    Raises:
        DataError: DA031 when it is not valid; UsageError: US050 for an unknown modality.
    """
    found: dict[str, list[SampleFiles]] = {}
    for name, sample in read_manifest(path):
        known = name
        if known is None:
            recognised = modality_of(sample.files[0]) if sample.files[0].is_file() else None
            if recognised is None:
                why = f"sample {sample.sample}: its file is not there, or in no known format"
                raise DataError("DA031", why=why, fix="name its modality in the manifest")
            known = recognised.name
        found.setdefault(modality_named(known).name, []).append(sample)
    parts = (Part(modality_named(name), tuple(samples)) for name, samples in found.items())
    return Discovered(tuple(parts))


def _named(name: str) -> tuple[Modality, ...]:
    return (modality_named(name),)


def _looked_at(path: Path, files: int) -> str:
    if path.is_dir():
        return f"none of the {files} files in it is in a known format"
    return "its content is in no known format"


def _files(folder: Path) -> tuple[Path, ...]:
    """List a folder's files in a fixed order; hidden ones and links out of it stay out."""
    root = folder.resolve()
    return tuple(
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.resolve().is_relative_to(root)
    )


def samples_of(modality: Modality, files: Sequence[Path]) -> tuple[SampleFiles, ...]:
    """Make samples of recognised files, as the modality groups them."""
    if modality.group is not None:
        return modality.group(files)
    names = _distinct_names(files)
    if modality.samples is None:
        return tuple(SampleFiles(name, (file,)) for name, file in zip(names, files, strict=True))
    return tuple(
        SampleFiles(
            inside if len(files) == 1 else f"{name}/{inside}",
            (file,),
            inside=inside if len(all_inside) > 1 else None,
        )
        for name, file in zip(names, files, strict=True)
        for all_inside in (modality.samples(file),)
        for inside in all_inside
    )


def _distinct_names(files: Sequence[Path]) -> list[str]:
    """Name each file by as few of its last folders as tell all of them apart."""
    for depth in range(1, 1 + max(len(file.parts) for file in files)):
        names = ["/".join(file.parts[-depth:]) for file in files]
        if len(set(names)) == len(names):
            return names
    raise UsageError("US001", "a file is listed twice")
