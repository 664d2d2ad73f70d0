"""Checks that hold for every log: files, entries, tree, signature, time."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from cordon_common.audit.result import judge
from cordon_common.canonical import canonical_bytes, digest
from cordon_common.errors import CordonError
from cordon_common.ledger.bundle import KEYS, MANIFEST, named_keys
from cordon_common.ledger.checkpoint import open_checkpoint
from cordon_common.ledger.entries import LedgerCreated
from cordon_common.signing import PublicKey

if TYPE_CHECKING:
    from cordon_common.audit.bundle import Bundle
    from cordon_common.audit.result import Row

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def check_chain(bundle: Bundle) -> tuple[Row, ...]:
    """Check what does not depend on whose log it is."""
    return (
        _files(bundle),
        _entries(bundle),
        _identity(bundle),
        _tree(bundle),
        _times(bundle),
    )


def _files(bundle: Bundle) -> Row:
    stated = bundle.manifest.files
    problems = [f"{name} is missing" for name in sorted(stated.keys() - bundle.files.keys())]
    problems += [
        f"{name} is not in the manifest"
        for name in sorted(bundle.files.keys() - stated.keys() - {MANIFEST})
    ]
    problems += [
        f"{name} was changed"
        for name, expected in stated.items()
        if name in bundle.files and digest(bundle.files[name]) != expected
    ]
    return judge(
        "files",
        "the bundle holds exactly the files that its manifest names",
        f"{len(stated)} digests fit",
        problems=problems,
    )


def _entries(bundle: Bundle) -> Row:
    entries, problems = bundle.parsed
    if not bundle.lines:
        problems = ("there are no entries",)
    return judge(
        "entries",
        "every entry is canonical, of a known kind, and in its place",
        f"{len(entries)} entries of {len({entry.kind for entry in entries})} kinds",
        problems=problems,
    )


def _identity(bundle: Bundle) -> Row:
    manifest, entries = bundle.manifest, bundle.parsed[0]
    expected = LedgerCreated(
        role=manifest.role, name=manifest.name, dataset=manifest.dataset, key=manifest.key
    )
    problems = []
    if not entries or entries[0].body != expected:
        problems.append("the first entry and the manifest name different owners")
    keys = canonical_bytes(named_keys(entry.body for entry in entries))
    if bundle.files.get(KEYS) != keys:
        problems.append(f"{KEYS} lists other keys than the log")
    return judge(
        "identity",
        "the log begins with its owner, dataset and key",
        f"key fingerprint {PublicKey.parse(manifest.key).fingerprint}",
        problems=problems,
    )


def _tree(bundle: Bundle) -> Row:
    problems: list[str] = []
    size = len(bundle.lines)
    try:
        key = PublicKey.parse(bundle.manifest.key)
        point = open_checkpoint(bundle.checkpoint, bundle.manifest.origin, key)
    except CordonError as error:
        problems.append(f"checkpoint: {error.what}")
    else:
        if point.size != size:
            problems.append(f"the checkpoint signs {point.size} entries, the bundle holds {size}")
        elif point.root != bundle.roots[-1]:
            problems.append("the entries do not give the signed root")
    return judge(
        "tree",
        "the entries give exactly the root that the log's key signed",
        f"root {bundle.roots[-1].hex()[:16]}… over {size} entries",
        problems=problems,
    )


def _times(bundle: Bundle) -> Row:
    entries = bundle.parsed[0]
    problems = [
        f"entry {entry.seq} has no valid time"
        for entry in entries
        if not _TIME.fullmatch(entry.time)
    ]
    backward = [
        f"the clock went back from {before.time} to {after.time} at entry {after.seq}"
        for before, after in pairwise(entries)
        if after.time < before.time
    ]
    span = f"{entries[0].time} to {entries[-1].time}" if entries else "no entries"
    return judge("times", "times never go back", span, problems=problems, unproven=backward)
