"""VCF files made up for tests and benchmarks, in Hardy-Weinberg proportions, with planted faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

_TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}
_CONTIGS = [*(f"chr{number}" for number in range(1, 23)), "chrX", "chrY"]


def write_variants(
    path: Path,
    records: int,
    samples: int,
    *,
    seed: int = 3,
    males: int = 0,
    contaminated: tuple[int, ...] = (),
    missing_in: tuple[int, ...] = (),
    reads: bool = True,
) -> None:
    """Write a VCF 4.2 file with GT:AD:DP:GQ (or GT:DP:GQ without `reads`).

    males: so many of the first samples have one X. contaminated: samples in which 8 % of the reads
    are REF or ALT at random. missing_in: samples without a call at every 20th record.
    """
    rng = np.random.default_rng(seed)
    per_contig = -(-records // len(_CONTIGS))
    with path.open("w") as file:
        file.write(_header(samples, reads=reads))
        written = 0
        for contig in _CONTIGS:
            position = 3_000_000
            for _ in range(min(per_contig, records - written)):
                position += int(rng.integers(1, 3000))
                calls = _calls(rng, contig, samples, males)
                if missing_in and written % 20 == 0:
                    calls[list(missing_in)] = 3
                cells = _cells(rng, calls, contaminated, reads=reads)
                ref, alt = _alleles(rng)
                file.write(
                    f"{contig}\t{position}\t.\t{ref}\t{alt}\t{rng.integers(20, 999)}\tPASS\t"
                    f"DP={30 * samples}\t{'GT:AD:DP:GQ' if reads else 'GT:DP:GQ'}\t{cells}\n"
                )
                written += 1


def _header(samples, *, reads):
    lines = ["##fileformat=VCFv4.2", '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">']
    for key, number, kind in (("GT", 1, "String"), ("DP", 1, "Integer"), ("GQ", 1, "Integer")):
        lines.append(f'##FORMAT=<ID={key},Number={number},Type={kind},Description="x">')
    if reads:
        lines.append('##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads by allele">')
    lines += [f"##contig=<ID={contig},length=250000000>" for contig in _CONTIGS]
    fixed = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
    return "\n".join([*lines, fixed + "\t".join(f"S{i}" for i in range(samples))]) + "\n"


def _alleles(rng):
    ref = "ACGT"[rng.integers(4)]
    kind = rng.random()
    if kind < 0.1:
        return ref, ref + "ACGT"[rng.integers(4)]
    if kind < 0.12:
        return ref + "ACGT"[rng.integers(4)], ref
    others = [base for base in "ACGT" if base not in {ref, _TRANSITION[ref]}]
    return ref, _TRANSITION[ref] if rng.random() < 0.68 else others[rng.integers(2)]


def _calls(rng, contig, samples, males):
    """0 REF/REF, 1 REF/ALT, 2 ALT/ALT, 3 missing; on X the first `males` have one copy."""
    frequency = float(rng.beta(0.6, 1.5))
    calls = rng.binomial(2, frequency, samples)
    calls[rng.random(samples) < 0.02] = 3
    if contig == "chrX":
        calls[:males] = 2 * rng.binomial(1, frequency, males)
    if contig == "chrY":
        calls[:males] = 2 * rng.binomial(1, frequency, males)
        calls[males:] = 3
    return calls


def _cells(rng, calls, contaminated, *, reads):
    depth, quality = rng.poisson(30, len(calls)), rng.integers(20, 100, len(calls))
    share = np.array([0.001, 0.5, 0.999, 0.5])[calls]
    if contaminated:
        share[list(contaminated)] = 0.92 * share[list(contaminated)] + 0.08
    alt = rng.binomial(depth, share)
    names = ["0/0", "0/1", "1/1", "./."]
    middle = [f"{d - a},{a}:{d}" for d, a in zip(depth, alt, strict=True)] if reads else depth
    return "\t".join(f"{names[c]}:{m}:{q}" for c, m, q in zip(calls, middle, quality, strict=True))
