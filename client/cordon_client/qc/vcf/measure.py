"""What is counted over a VCF file: per file and per sample, integers whose merge is addition."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from cordon_client.qc.vcf import genotypes as gt
from cordon_client.qc.vcf.alleles import INDEL, SNP, Change, change_of
from cordon_client.qc.vcf.spec import is_whole

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.qc.vcf.read import Block
    from cordon_client.qc.vcf.sample_columns import Group

DEPTH_EDGES = (0, 1, 5, 10, 15, 20, 30, 40, 60, 100)
QUALITY_EDGES = (0, 10, 20, 30, 40, 60, 80, 99)
ENOUGH_DEPTH = 10
"""Reads from which a genotype's own allele shares mean something."""
DIFFERENT = 4.89
"""|z| of a two-proportion test at p = 1e-6."""
_PSEUDO_AUTOSOMAL = (2_800_000, 154_900_000)
"""X between these positions is outside both pseudo-autosomal regions of GRCh37 and GRCh38."""
_X, _Y = {b"X", b"23"}, {b"Y", b"24"}
_SEX = {"x", "y"}


def _grid(*shape: int) -> npt.NDArray[np.int64]:
    return np.zeros(shape, np.int64)


@dataclass
class SampleCounts:
    """Counts per sample, int64 [samples] or [samples, cells]; every field adds up over files.

    calls: by kind of call. ts, tv, indels: records at which the sample carries ALT; singletons: at
    which nobody else does.
    depth, quality: calls by DP and GQ on DEPTH_EDGES and QUALITY_EDGES. hom_reads, odd_reads: reads
    at homozygous calls, and those of the other allele. het_reads, het_alt_reads: at heterozygous
    calls. x_calls, x_hets, y_calls, y_sites: on the sex chromosomes outside the shared regions.
    """

    calls: npt.NDArray[np.int64]
    snp_hets: npt.NDArray[np.int64]
    snp_homs: npt.NDArray[np.int64]
    ts: npt.NDArray[np.int64]
    tv: npt.NDArray[np.int64]
    indels: npt.NDArray[np.int64]
    singletons: npt.NDArray[np.int64]
    depth: npt.NDArray[np.int64]
    depth_sum: npt.NDArray[np.int64]
    depth_calls: npt.NDArray[np.int64]
    quality: npt.NDArray[np.int64]
    hom_reads: npt.NDArray[np.int64]
    odd_reads: npt.NDArray[np.int64]
    het_reads: npt.NDArray[np.int64]
    het_alt_reads: npt.NDArray[np.int64]
    x_calls: npt.NDArray[np.int64]
    x_hets: npt.NDArray[np.int64]
    y_calls: npt.NDArray[np.int64]
    y_sites: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, samples: int) -> Self:
        """Return zeros."""
        cells = {
            "calls": gt.CALLS,
            "depth": len(DEPTH_EDGES),
            "quality": len(QUALITY_EDGES),
        }
        arrays = {
            each.name: _grid(samples, cells[each.name]) if each.name in cells else _grid(samples)
            for each in fields(cls)
        }
        return cls(**arrays)

    def __add__(self, other: Self) -> Self:
        return type(self)(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        )


@dataclass
class VcfMeasures:
    """Counts of a file: by name (those of `Change.counts`, and of filters and groups), genotype triples in controls, and per sample.

    triples: autosomal biallelic records by (hom. REF, heterozygous, hom. ALT) counts in controls.
    """

    samples: SampleCounts
    counts: Counter[str] = field(default_factory=Counter)
    triples: Counter[tuple[int, int, int]] = field(default_factory=Counter)

    def __add__(self, other: Self) -> VcfMeasures:
        return VcfMeasures(
            self.samples + other.samples, self.counts + other.counts, self.triples + other.triples
        )


Site = tuple[Change, str]
"""What a record says besides its samples: its change and its place."""


def chromosome_of(contig: bytes) -> str:
    """Name the kind of chromosome: autosome, x, y or other."""
    name = contig.removeprefix(b"chr")
    if name in _X:
        return "x"
    if name in _Y:
        return "y"
    return "autosome" if is_whole(name) and 1 <= int(name) <= 22 else "other"


class VcfCounter:
    """Counts blocks of records; groups: masks [samples] of cases and controls, if known."""

    def __init__(
        self,
        samples: int,
        cases: npt.NDArray[np.bool_] | None = None,
        controls: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.measures = VcfMeasures(SampleCounts.empty(samples))
        self._cases, self._controls = cases, controls
        self._changes: Counter[Change] = Counter()
        self._filters: Counter[bytes] = Counter()
        self._chromosomes: dict[bytes, str] = {}

    def add(self, block: Block) -> None:
        """Count a block of records."""
        sites = {id(columns): self._site(columns) for columns in block.records}
        for group in block.groups:
            if group.format == b"GT" or group.format.startswith(b"GT:"):
                self._genotypes(group, [sites[id(columns)] for columns in group.records])
        self._totals()

    def _site(self, columns: list[bytes]) -> Site:
        change = change_of(columns[3], columns[4])
        self._changes[change] += 1
        self._filters[columns[6]] += 1
        return change, self._place(columns[0], columns[1])

    def _place(self, contig: bytes, column: bytes) -> str:
        """Whether a record lies on an autosome, on X or Y alone, or elsewhere."""
        chromosome = self._chromosomes.get(contig)
        if chromosome is None:
            chromosome = self._chromosomes[contig] = chromosome_of(contig)
        if chromosome not in _SEX:
            return chromosome
        position = int(column) if is_whole(column) else 0
        low, high = _PSEUDO_AUTOSOMAL
        if chromosome == "x" and not low < position < high:
            return "shared"
        return "shared" if chromosome == "y" and position <= low else chromosome

    def _totals(self) -> None:
        """Add up what was noted by change and by filter."""
        counts = self.measures.counts
        for change, times in self._changes.items():
            counts["records"] += times
            for name in change.counts:
                counts[name] += times
        for filters, times in self._filters.items():
            if filters != b".":
                counts["passed" if filters == b"PASS" else "filtered"] += times
        self._changes.clear()
        self._filters.clear()

    def _genotypes(self, group: Group, sites: list[Site]) -> None:
        cells, keys = group.cells, group.format.split(b":")
        calls = gt.calls_of(cells)
        self._calls(sites, calls)
        self._sexes(sites, calls)
        self._groups(sites, calls)
        if b"DP" in keys:
            self._depth(cells, keys.index(b"DP"))
        if b"GQ" in keys:
            values, _ = cells.numbers(keys.index(b"GQ"))
            _tabulate(self.measures.samples.quality, values, QUALITY_EDGES)
        if b"AD" in keys:
            self._allele_reads(cells, keys.index(b"AD"), calls, sites)

    def _calls(self, sites: list[Site], calls: gt.Calls) -> None:
        counts, kinds = self.measures.samples, calls.kinds
        for kind in range(gt.CALLS):
            counts.calls[:, kind] += (kinds == kind).sum(axis=0)
        carries = calls.alleles > 0
        snp = np.array([bool(change.kinds & SNP) for change, _ in sites])
        indel = np.array([bool(change.kinds & INDEL) for change, _ in sites])
        counts.snp_hets += (kinds[snp] == gt.HET).sum(axis=0)
        counts.snp_homs += (kinds[snp] == gt.ALT_HOM).sum(axis=0)
        counts.indels += carries[indel].sum(axis=0)
        moves = [change.transition for change, _ in sites]
        counts.ts += carries[[move is True for move in moves]].sum(axis=0)
        counts.tv += carries[[move is False for move in moves]].sum(axis=0)
        counts.singletons += carries[carries.sum(axis=1) == 1].sum(axis=0)

    def _sexes(self, sites: list[Site], calls: gt.Calls) -> None:
        counts = self.measures.samples
        on_x = np.array([place == "x" for _, place in sites])
        on_y = np.array([place == "y" for _, place in sites])
        if on_x.any():
            kinds = calls.kinds[on_x]
            counts.x_calls += (kinds != gt.MISSING).sum(axis=0)
            counts.x_hets += (kinds == gt.HET).sum(axis=0)
        if on_y.any():
            counts.y_sites += int(on_y.sum())
            counts.y_calls += (calls.kinds[on_y] != gt.MISSING).sum(axis=0)

    def _groups(self, sites: list[Site], calls: gt.Calls) -> None:
        """Count genotypes of controls, and records that are missing unlike in cases and controls."""
        usual = np.array([place == "autosome" and change.biallelic for change, place in sites])
        if not usual.any():
            return
        kinds = calls.kinds[usual]
        controls = kinds if self._controls is None else kinds[:, self._controls]
        ref, het, alt = (
            (controls == kind).sum(axis=1).tolist() for kind in (gt.REF_HOM, gt.HET, gt.ALT_HOM)
        )
        self.measures.triples.update(zip(ref, het, alt, strict=True))
        if self._cases is not None and self._controls is not None:
            missing = kinds == gt.MISSING
            different = _unlike(missing[:, self._cases], missing[:, self._controls])
            self.measures.counts["compared_sites"] += len(different)
            self.measures.counts["different_sites"] += int(different.sum())

    def _depth(self, cells: gt.Cells, index: int) -> None:
        counts = self.measures.samples
        values, _ = cells.numbers(index)
        _tabulate(counts.depth, values, DEPTH_EDGES)
        known = values != gt.NONE
        counts.depth_sum += np.where(known, values, 0).sum(axis=0)
        counts.depth_calls += known.sum(axis=0)

    def _allele_reads(
        self, cells: gt.Cells, index: int, calls: gt.Calls, sites: list[Site]
    ) -> None:
        counts = self.measures.samples
        usual = np.array([change.biallelic and bool(change.kinds & SNP) for change, _ in sites])
        ref, end = cells.numbers(index)
        comma = (cells.text[end] == ord(",")) & (ref != gt.NONE)
        alt, _ = gt.integers(cells.text, np.where(comma, end + 1, gt.NONE))
        deep = (ref != gt.NONE) & (alt != gt.NONE) & (ref + alt >= ENOUGH_DEPTH) & usual[:, None]
        both = np.where(deep, ref + alt, 0)
        for kind, odd in ((gt.REF_HOM, alt), (gt.ALT_HOM, ref)):
            chosen = deep & (calls.kinds == kind)
            counts.hom_reads += np.where(chosen, both, 0).sum(axis=0)
            counts.odd_reads += np.where(chosen, odd, 0).sum(axis=0)
        hets = deep & (calls.kinds == gt.HET)
        counts.het_reads += np.where(hets, both, 0).sum(axis=0)
        counts.het_alt_reads += np.where(hets, alt, 0).sum(axis=0)


def _tabulate(
    table: npt.NDArray[np.int64], values: npt.NDArray[np.int32], edges: tuple[int, ...]
) -> None:
    """Add int64 [records, samples] to int64 [samples, cells]; NONE is not counted."""
    samples, cells = table.shape
    lookup = np.searchsorted(np.array(edges), np.arange(edges[-1] + 1), side="right") - 1
    codes = lookup[np.minimum(values, edges[-1])] + np.arange(samples) * cells
    table += np.bincount(codes[values != gt.NONE], minlength=samples * cells).reshape(table.shape)


def _unlike(cases: npt.NDArray[np.bool_], controls: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether two-proportion tests find the shares of True different at p = 1e-6, row by row."""
    n, m = cases.shape[1], controls.shape[1]
    if not n or not m:
        return np.zeros(len(cases), np.bool_)
    first, second = cases.mean(axis=1), controls.mean(axis=1)
    pooled = (first * n + second * m) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    different: npt.NDArray[np.bool_] = (np.abs(first - second) > DIFFERENT * error) & (error > 0)
    return different
