"""Genotypes of samples at common sites, and how often two samples agree. They never leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.vcf import genotypes as gt
from cordon_client.qc.vcf.alleles import SNP, change_of
from cordon_client.qc.vcf.measure import VcfCounter, chromosome_of
from cordon_client.qc.vcf.metrics import genetic_sex
from cordon_client.qc.vcf.read import VcfReader

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.vcf.sample_columns import Group

LEAST_DEPTH = 10
"""Reads that a genotype needs to count, where the file states them."""
_DOSAGE = np.array([0, 1, 2, -1, -1, -1], np.int8)
"""ALT copies by kind of call; -1 where there is none of a diploid."""

SiteKey = tuple[bytes, bytes, bytes, bytes]


@dataclass(frozen=True)
class Genotypes:
    """Samples of a file: their names, sex by X and Y, and ALT copies by site, int8 [samples]."""

    names: tuple[str, ...]
    sexes: tuple[str | None, ...]
    sites: dict[SiteKey, npt.NDArray[np.int8]]


def read_genotypes(path: Path, only: Container[SiteKey] | None = None) -> Genotypes:
    """Read autosomal biallelic SNPs, those of `only` where given.

    Raises:
        DataError: DA042 when the file is no VCF or BCF that can be read to its end.
    """
    reader = VcfReader(path, lambda _: None)
    counter: VcfCounter | None = None
    sites: dict[SiteKey, npt.NDArray[np.int8]] = {}
    for block in reader.blocks():
        counter = counter or VcfCounter(len(reader.header.samples))
        counter.add(block)
        for group in block.groups:
            if group.format.split(b":")[0] == b"GT":
                sites.update(_sites(group, only))
    names = reader.header.samples
    counts = None if counter is None else counter.measures.samples
    sexes = tuple(None if counts is None else genetic_sex(counts, i) for i in range(len(names)))
    return Genotypes(names, sexes, sites)


def _sites(
    group: Group, only: Container[SiteKey] | None
) -> Iterator[tuple[SiteKey, npt.NDArray[np.int8]]]:
    dosages = _DOSAGE[gt.calls_of(group.cells).kinds]
    keys = group.format.split(b":")
    if b"DP" in keys:
        depth, _ = group.cells.numbers(keys.index(b"DP"))
        dosages[(depth != gt.NONE) & (depth < LEAST_DEPTH)] = -1
    for columns, dosage in zip(group.records, dosages, strict=True):
        change = change_of(columns[3], columns[4])
        if change.kinds != SNP or not change.biallelic or chromosome_of(columns[0]) != "autosome":
            continue
        key = (columns[0].removeprefix(b"chr"), columns[1], columns[3], columns[4])
        if only is None or key in only:
            yield key, dosage


@dataclass(frozen=True)
class Concordance:
    """Rows against columns, int64 [rows, columns]: sites that both have, and at which they agree.

    Sites at which nobody carries ALT say nothing about identity and are left out.
    """

    shared: npt.NDArray[np.int64]
    same: npt.NDArray[np.int64]

    def shares(self, least: int) -> npt.NDArray[np.float64]:
        """Share of equal genotypes; NaN where fewer than `least` sites are shared."""
        with np.errstate(invalid="ignore", divide="ignore"):
            shares: npt.NDArray[np.float64] = np.where(
                self.shared >= least, self.same / self.shared, np.nan
            )
        return shares


def compare(
    rows: Sequence[dict[SiteKey, int]], columns: Sequence[dict[SiteKey, int]]
) -> Concordance:
    """Compare every row with every column; each a sample's ALT copies by site, -1 for none."""
    keys = sorted(
        {key for sample in rows for key in sample} & {key for sample in columns for key in sample}
    )
    left, right = _matrix(rows, keys), _matrix(columns, keys)
    carried = ((left > 0).any(axis=0) | (right > 0).any(axis=0)) if keys else np.zeros(0, np.bool_)
    left, right = left[:, carried], right[:, carried]
    shared = (left >= 0).astype(np.int64) @ (right >= 0).T.astype(np.int64)
    same = sum(
        (left == copies).astype(np.int64) @ (right == copies).T.astype(np.int64)
        for copies in range(3)
    )
    return Concordance(shared, np.asarray(same, np.int64).reshape(shared.shape))


def _matrix(samples: Sequence[dict[SiteKey, int]], keys: list[SiteKey]) -> npt.NDArray[np.int8]:
    table = np.full((len(samples), len(keys)), -1, np.int8)
    for row, sample in zip(table, samples, strict=True):
        row[:] = [sample.get(key, -1) for key in keys]
    return table
