"""Read the reports of Kraken, Bracken and MetaPhlAn: one sample per file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.matrix.table import head_of
from cordon_client.qc.metagenomics.profile import TaxonProfile
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_MAX_BYTES = 256 << 20
_HUMAN = "9606"
_RANK = re.compile(r"^(-|[URDKPCOFGS]\d*)$")
_BRACKEN_COLUMNS = ("name", "taxonomy_id", "taxonomy_lvl", "kraken_assigned_reads")
_READS = re.compile(r"^#(\d+) reads processed")


def report_kind(path: Path) -> str | None:
    """Tell kraken, bracken and metaphlan by their first lines; None for anything else."""
    try:
        lines = head_of(path).splitlines()
    except DataError:
        return None
    first = lines[0].split("\t") if lines else [""]
    if tuple(first[:4]) == _BRACKEN_COLUMNS:
        return "bracken"
    if first[0].startswith("#mpa_v") or any(
        line.startswith("#clade_name\t") for line in lines[:10]
    ):
        return "metaphlan"
    if len(first) in {6, 8} and _RANK.match(first[-3].strip()) and _is_number(first[0]):
        return "kraken"
    return None


def _is_number(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False


def read_report(path: Path) -> TaxonProfile:
    """Read a report.

    Raises:
        DataError: DA015 when it cannot be opened, DA067 when it is damaged or something else.
    """
    kind = report_kind(path)
    if kind is None:
        raise DataError("DA067", why="its first line is of no known report")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError("DA067", why="it is too large for a report of one sample")
    text = path.read_bytes().decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    readers: dict[str, Callable[[Sequence[str]], TaxonProfile]] = {
        "kraken": _kraken, "bracken": _bracken, "metaphlan": _metaphlan
    }  # fmt: skip
    try:
        return readers[kind](lines)
    except (ValueError, IndexError):
        raise DataError("DA067", why="a line has other fields than the first") from None


def _kraken(lines: Sequence[str]) -> TaxonProfile:
    """Read % of reads, reads of the clade, own reads, (minimizers,) rank, taxon id, indented name."""
    rows = [line.split("\t") for line in lines]
    if len({len(row) for row in rows}) != 1:
        raise ValueError
    clades = [int(row[1]) for row in rows]
    own = [int(row[2]) for row in rows]
    ranks = [row[-3].strip() for row in rows]
    ids = [row[-2].strip() for row in rows]
    names = [row[-1] for row in rows]
    unknown = sum(n for n, rank in zip(clades, ranks, strict=True) if rank == "U")
    root = sum(n for n, i in zip(clades, ids, strict=True) if i == "1")
    reads = unknown + root
    if not reads:
        raise ValueError
    species = [i for i, rank in enumerate(ranks) if rank == "S"]
    human = [n for n, i in zip(clades, ids, strict=True) if i == _HUMAN]
    return TaxonProfile(
        taxa=tuple(names[i].strip() for i in species),
        values=np.array([clades[i] for i in species], dtype=np.float64),
        shares=False,
        reads=reads,
        unclassified=unknown / reads if "U" in ranks else None,
        host=human[0] / reads if human else None,
        unaccounted=_lost(clades, own, [_depth(name) for name in names], reads),
    )


def _depth(name: str) -> int:
    return (len(name) - len(name.lstrip(" "))) // 2


def _lost(clades: list[int], own: list[int], depths: list[int], reads: int) -> float | None:
    """Return the share of reads by which clades differ from their own and their children's reads.

    Bracken's reports keep no own reads of higher ranks; they are judged where children exceed
    their parent only.
    """
    inside = [0] * len(clades)
    parents: list[int] = []
    for place, depth in enumerate(depths):
        del parents[depth:]
        if parents:
            inside[parents[-1]] += clades[place]
        parents += [place] * (depth + 1 - len(parents))
    redistributed = sum(own) < 0.5 * reads
    lost = 0
    for clade, direct, children in zip(clades, own, inside, strict=True):
        gap = clade - direct - children
        lost += max(-gap, 0) if redistributed else abs(gap)
    return lost / reads


def _bracken(lines: Sequence[str]) -> TaxonProfile:
    rows = [line.split("\t") for line in lines[1:]]
    counts = np.array([int(row[5]) for row in rows], dtype=np.float64)
    total = int(counts.sum())
    human = [int(row[5]) for row in rows if row[1] == _HUMAN]
    return TaxonProfile(
        taxa=tuple(row[0] for row in rows),
        values=counts,
        shares=False,
        reads=total,
        host=human[0] / total if human and total else None,
    )


def _metaphlan(lines: Sequence[str]) -> TaxonProfile:
    """Read species rows (no strains); abundances in per cent. Format: MetaPhlAn 2 to 4."""
    header = next((line for line in lines if line.lower().startswith("#clade_name")), None)
    place = 2 if header is None else header.split("\t").index("relative_abundance")
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    reads = next((int(m.group(1)) for line in lines if (m := _READS.match(line))), None)
    species = [row for row in rows if re.search(r"(^|\|)s__[^|]*$", row[0])]
    unknown = [float(r[place]) / 100 for r in rows if r[0].upper() in {"UNKNOWN", "UNCLASSIFIED"}]
    scale = 1.0 - unknown[0] if unknown else 1.0
    shares = np.array([float(row[place]) / 100 for row in species], dtype=np.float64)
    return TaxonProfile(
        taxa=tuple(row[0] for row in species),
        values=shares / scale if scale > 0 else shares,
        shares=True,
        reads=reads,
        unclassified=unknown[0] if unknown else None,
    )
