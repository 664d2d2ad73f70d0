"""Counts equal bcftools and a loop over cyvcf2's genotypes; they merge like numbers."""

import subprocess
from collections import Counter
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from cyvcf2 import VCF
from hypothesis import given, settings
from hypothesis import strategies as st
from variant_files import write_variants

from cordon_client.qc.vcf import genotypes as gt
from cordon_client.qc.vcf.measure import SampleCounts, VcfCounter
from cordon_client.qc.vcf.metrics import genetic_sex, hardy_weinberg, odd_reads
from cordon_client.qc.vcf.read import VcfReader


def counted(path, **groups):
    reader, counter = VcfReader(path, lambda _: None), None
    for block in reader.blocks():
        counter = counter or VcfCounter(len(reader.header.samples), **groups)
        counter.add(block)
    return counter.measures


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    path = tmp_path_factory.mktemp("vcf") / "sim.vcf"
    write_variants(path, 3000, 12)
    return path


def _stats(path):
    out = subprocess.run(
        ["bcftools", "stats", "-s", "-", path], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split("\t") for line in out.splitlines() if line and not line.startswith("#")]
    numbers = {row[2].strip(":"): int(row[3]) for row in rows if row[0] == "SN"}
    [titv] = [row for row in rows if row[0] == "TSTV"]
    return numbers, titv, [row for row in rows if row[0] == "PSC"]


def _compare(path):
    measures = counted(path)
    numbers, titv, samples = _stats(path)
    counts = measures.counts
    for ours, theirs in (
        ("records", "number of records"),
        ("no_alts", "number of no-ALTs"),
        ("snps", "number of SNPs"),
        ("mnps", "number of MNPs"),
        ("indels", "number of indels"),
        ("others", "number of others"),
        ("multiallelic", "number of multiallelic sites"),
        ("multiallelic_snps", "number of multiallelic SNP sites"),
    ):
        assert counts[ours] == numbers[theirs], ours
    assert [counts["transitions"], counts["transversions"]] == list(map(int, titv[2:4]))
    assert [counts["transitions_first"], counts["transversions_first"]] == list(map(int, titv[5:7]))
    return measures, samples


def test_bcftools_counts_the_same(variants):
    measures, rows = _compare(variants)
    per = measures.samples
    for i, row in enumerate(rows):
        ref, hom, het, ts, tv, indels, depth, single, hap_ref, hap_alt, missing = row[3:14]
        assert per.calls[i, gt.REF_HOM] == int(ref)
        assert (per.snp_homs[i], per.snp_hets[i]) == (int(hom), int(het))
        assert (per.ts[i], per.tv[i]) == (int(ts), int(tv))
        assert per.indels[i] == int(indels)
        assert per.calls[i, gt.MISSING] == int(missing)
        assert per.depth_sum[i] / per.depth_calls[i] == pytest.approx(float(depth), abs=0.051)
        assert (int(hap_ref), int(hap_alt)) == tuple(per.calls[i, [gt.HAP_REF, gt.HAP_ALT]])
        assert per.singletons[i] == int(single)


@pytest.mark.parametrize(
    "name",
    [
        "bio2zarr/1kg_2020_chrM.vcf.gz", "bio2zarr/chr22.vcf.gz", "cyvcf2/test.vcf.gz",
        "cyvcf2/test-haploidX.vcf", "cyvcf2/test.comp_het.3.vcf", "cyvcf2/test.mnp.vcf",
        "cyvcf2/o.vcf.gz", "cyvcf2/test.snpeff.vcf", "bio2zarr/CEUTrio.20.21.gatk3.4.g.vcf.bgz",
    ],
)  # fmt: skip
def test_bcftools_counts_the_same_in_real_files(shared_data, name):
    _compare(shared_data / "vcf_shared" / name)


def test_a_loop_over_cyvcf2_sees_the_same_genotypes(shared_data):
    for name in ("cyvcf2/test.vcf.gz", "cyvcf2/test-haploidX.vcf", "bio2zarr/chr22.vcf.gz"):
        path = shared_data / "vcf_shared" / name
        measures, source = counted(path).samples, VCF(str(path), gts012=True, strict_gt=True)
        expected = np.zeros((len(source.samples), 4), int)
        for record in source:
            for sample, kind in enumerate(record.gt_types):
                expected[sample, kind] += 1
        calls = measures.calls
        ours = np.stack(
            [
                calls[:, gt.REF_HOM] + calls[:, gt.HAP_REF],
                calls[:, gt.HET],
                calls[:, gt.ALT_HOM] + calls[:, gt.HAP_ALT],
                calls[:, gt.MISSING],
            ],
            axis=1,
        )
        assert ours.tolist() == expected.tolist()


def test_bcf_counts_as_the_text_it_was_made_of(variants, tmp_path):
    bcf = tmp_path / "sim.bcf"
    subprocess.run(["bcftools", "view", "-Ob", "-o", bcf, variants], check=True)
    a, b = counted(variants), counted(bcf)
    assert a.counts == b.counts
    for each in fields(SampleCounts):
        assert np.array_equal(getattr(a.samples, each.name), getattr(b.samples, each.name))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=2, max_size=2))
def test_files_split_anywhere_add_up(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("split")
    write_variants(folder / "whole.vcf", 400, 5, seed=9)
    lines = (folder / "whole.vcf").read_text().splitlines(keepends=True)
    head = [line for line in lines if line.startswith("#")]
    body = lines[len(head) :]
    edges = [0, *sorted(cuts), len(body)]
    parts = []
    for i, (start, end) in enumerate(pairwise(edges)):
        (folder / f"{i}.vcf").write_text("".join(head + body[start:end]))
        parts.append(counted(folder / f"{i}.vcf"))
    whole = counted(folder / "whole.vcf")
    for merged in (parts[0] + parts[1] + parts[2], parts[2] + (parts[1] + parts[0])):
        # Singletons and triples are per record, so they add up as well.
        assert +merged.counts == +whole.counts
        assert merged.triples == whole.triples
        for each in fields(SampleCounts):
            assert np.array_equal(
                getattr(merged.samples, each.name), getattr(whole.samples, each.name)
            ), each.name


CELL = st.sampled_from(
    ["0/0", "0/1", "1|1", "./.", ".", "0", "1", "./1", "0/1/1", "2/10", "10|10", "1/2"]
)


@given(st.lists(st.lists(st.tuples(CELL, st.sampled_from(["", ":7", ":.", ":1234567"])),
                         min_size=3, max_size=3), min_size=1, max_size=5))  # fmt: skip
def test_cells_as_arrays_equal_cells_one_by_one(rows):
    cells = gt.Cells.of(["\t".join(a + b for a, b in row).encode() for row in rows], 3)
    calls = gt.calls_of(cells)
    depth, _ = cells.numbers(1)
    for r, row in enumerate(rows):
        for s, (genotype, rest) in enumerate(row):
            alleles = genotype.replace("|", "/").split("/")
            known = "." not in alleles
            alternatives = sum(a not in {"0", "."} for a in alleles) if known else 0
            assert calls.alleles[r, s] == alternatives
            assert (calls.kinds[r, s] == gt.MISSING) == (not known)
            assert (calls.kinds[r, s] == gt.HET) == (known and len(set(alleles)) > 1)
            assert depth[r, s] == (int(rest[1:]) if rest[1:].isdigit() else gt.NONE)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_the_exact_hardy_weinberg_test_equals_its_definition(homozygous, hets, other):
    from math import comb, factorial

    people = homozygous + hets + other
    if not people:
        return
    rare = 2 * min(homozygous, other) + hets

    def likelihood(h):
        aa, bb = (rare - h) // 2, people - h - (rare - h) // 2
        ways = factorial(people) // (factorial(aa) * factorial(h) * factorial(bb))
        return ways * 2**h / comb(2 * people, rare)

    seen = likelihood(hets)
    options = range(rare % 2, min(rare, 2 * people - rare) + 1, 2)
    expected = sum(p for p in map(likelihood, options) if p <= seen * (1 + 1e-9))
    assert hardy_weinberg(homozygous, hets, other) == pytest.approx(expected, rel=1e-9)


def test_sex_contamination_and_missing_by_outcome_are_seen(tmp_path):
    path = tmp_path / "planted.vcf"
    write_variants(path, 3000, 30, males=4, contaminated=(5,), missing_in=tuple(range(15, 30)))
    cases = np.arange(30) >= 15
    measures = counted(path, cases=cases, controls=~cases)
    sexes = [genetic_sex(measures.samples, i) for i in range(30)]
    assert sexes == ["male"] * 4 + ["female"] * 26
    odd = [odd_reads(measures.samples, i) for i in range(30)]
    assert odd[5] > 0.05
    assert max(odd[:5] + odd[6:]) < 0.01
    assert measures.counts["different_sites"] > 0
    assert isinstance(measures.triples, Counter)
