"""What a container image says about itself: digests that the ledger and the log keep.

`/usr/share/sbom` holds the bill of materials and the digest of every installed file, written when
the image was built (docker/sbom.py). Outside an image there is none, and nothing is said.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cordon_common.canonical import digest

FOLDER = Path("/usr/share/sbom")
FILES = "files.sha256"


def image_facts(folder: Path = FOLDER) -> dict[str, str]:
    """Return the digests of the bill of materials and of the list of files; empty without them."""
    try:
        bills = sorted(folder.glob("*.cdx.json"))
        facts = {"sbom": digest(bills[0].read_bytes())} if bills else {}
        files = folder / FILES
        return facts | ({"image-files": digest(files.read_bytes())} if files.is_file() else {})
    except OSError:
        return {}


def changed_files(folder: Path = FOLDER) -> list[str]:
    """List the installed files that are missing or not as they were built; reads all of them."""
    changed = []
    for line in (folder / FILES).read_text(encoding="utf-8").splitlines():
        wanted, _, name = line.partition("  ")
        try:
            with Path(name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            found = ""
        if found != wanted:
            changed.append(name)
    return changed
