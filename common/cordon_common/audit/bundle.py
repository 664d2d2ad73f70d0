"""Reading a bundle as an outsider does: nothing in it is believed before it is checked."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cordon_common.errors import CheckFailed, CordonError, UsageError
from cordon_common.ledger.bundle import CHECKPOINT, ENTRIES, MANIFEST, Manifest
from cordon_common.ledger.entries import parse_entry
from cordon_common.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.ledger.entries import Entry

MAX_BUNDLE_BYTES = 1 << 30
MAX_FILES = 10_000


@dataclass(frozen=True)
class Bundle:
    """A bundle's parts. lines: the entries' raw bytes; files: everything by name."""

    file: str
    manifest: Manifest
    files: dict[str, bytes]

    @property
    def title(self) -> str:
        """Say whose log it is."""
        dataset = f", dataset {self.manifest.dataset}" if self.manifest.dataset else ""
        return f"{self.manifest.role} {self.manifest.name}{dataset}"

    @cached_property
    def lines(self) -> list[bytes]:
        """The raw bytes of each entry."""
        return self.files.get(ENTRIES, b"").split(b"\n")[:-1]

    @property
    def checkpoint(self) -> str:
        """The signed note, undecodable bytes replaced (its signature then fails)."""
        return self.files.get(CHECKPOINT, b"").decode("utf-8", errors="replace")

    @cached_property
    def roots(self) -> list[bytes]:
        """The tree's root at every size, from 0 to the number of entries."""
        frontier, roots = Frontier(), [EMPTY_ROOT]
        for line in self.lines:
            frontier.append(leaf_hash(line))
            roots.append(frontier.root())
        return roots

    @cached_property
    def parsed(self) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
        """All entries, and what is wrong with those that cannot be read."""
        entries, problems = [], []
        for seq, line in enumerate(self.lines):
            try:
                entry = parse_entry(line, self.manifest.kinds)
            except CordonError as error:
                problems.append(f"entry {seq}: {error.why or error.what}")
                continue
            if entry.seq != seq:
                problems.append(f"entry {seq} says that it is entry {entry.seq}")
            entries.append(entry)
        return tuple(entries), tuple(problems)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle's files and manifest.

    Raises:
        UsageError: US002 when the file is missing.
        CheckFailed: CK120 when it is not an audit bundle.
    """
    if not path.is_file():
        raise UsageError("US002", f"there is no bundle {path.name}")
    try:
        with zipfile.ZipFile(path) as archive:
            files = _files(archive)
        manifest = Manifest.model_validate_json(files[MANIFEST])
    except KeyError:
        raise CheckFailed("CK120", why="it has no manifest") from None
    except ValidationError:
        raise CheckFailed("CK120", why="its manifest is not valid") from None
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError):
        raise CheckFailed("CK120", why="it is not a readable zip file") from None
    return Bundle(path.name, manifest, files)


def _files(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Return the files by name; sizes are bounded before anything is read."""
    infos = archive.infolist()
    if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_BUNDLE_BYTES:
        raise CheckFailed("CK120", why="it is too large")
    if len({info.filename for info in infos}) != len(infos):
        raise CheckFailed("CK120", why="it holds two files of one name")
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise CheckFailed("CK120", why="it was packed again (bundles are not compressed)")
    return {info.filename: archive.read(info) for info in infos}
