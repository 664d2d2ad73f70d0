"""The declared stability of every modality's rules, attacked: a patient joins, who else changes?

Two layouts. Samples that share a file (a joint VCF, a matrix): the one who joins may bring rows, at
which the others have nothing. A file per sample: the one who joins brings a file.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.support.alignment_files import write_alignments, write_reference
from tests.support.sequencing import write_reads

from cordon_client.qc.bulk_rna.modality import MODALITY as BULK
from cordon_client.qc.discover import discover
from cordon_client.qc.finding import Finding, excludes, result_of
from cordon_client.qc.metagenomics.modality import MODALITY as TAXA
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.pool import Where
from cordon_client.qc.proteomics.modality import MODALITY as PROTEINS
from cordon_client.qc.run_cohort import check_cohort
from cordon_client.qc.single_cell.modality import MODALITY as CELLS
from cordon_client.qc.vcf.modality import MODALITY as VARIANTS
from cordon_common.qc.profile import builtin_profile, profiled_modalities
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.verdict import CheckClass, Severity

EVERY_RULE = [spec for name in REGISTRY.modalities for spec in REGISTRY.of(name)]
STOPS = {Severity.FAIL, Severity.ERROR}
FEATURES = 400


class Silent:
    def reading(self, index, done, total):
        pass

    def finished(self, index):
        pass


def silent(done, total):
    pass


# -- the registry --------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", EVERY_RULE, ids=lambda spec: spec.id)
def test_a_rule_of_unbounded_stability_warns_or_keeps_the_whole_site_out(spec):
    if spec.excludes:
        assert spec.stability >= 1
    if spec.stability is None:
        assert not spec.excludes
        assert spec.bounds.fail is None or spec.check_class is CheckClass.LOCAL_HARD


@pytest.mark.parametrize("modality", profiled_modalities())
def test_whatever_an_unbounded_rule_sees_it_takes_no_sample_out(modality):
    profile = builtin_profile(f"{modality}.v1")
    for spec in REGISTRY.of(modality):
        for value in (0.0, 1e9, -1e9, float("nan")):
            result = result_of(Finding(spec.id, value), profile)
            if spec.stability is None:
                assert not excludes([result])
                soft = spec.check_class is not CheckClass.LOCAL_HARD
                assert not (soft and result.severity is Severity.FAIL)
            shared = result_of(Finding(spec.id, value, shared=True), profile)
            assert shared.severity is not Severity.FAIL


# -- samples that share a file ---------------------------------------------------------------------


def counts(kind, rng):
    values = rng.poisson(rng.lognormal(8, 1.5, FEATURES)).astype(float)
    if kind == "thin":
        return np.floor(values / values.sum() * 5e5)
    return np.log2(values + 1) if kind == "logarithms" else values


def shares(kind, rng):
    values = rng.lognormal(0, 2, FEATURES)
    values /= values.sum()
    if kind == "logarithms":
        return np.log(values)
    scale = {"empty": 0, "percent": 100, "reads": 1e6}.get(kind, 1)
    return np.rint(values * scale) if kind == "reads" else values * scale


def intensities(kind, rng):
    values = rng.normal(24, 2, FEATURES)
    if kind == "centred":
        return values - 24
    if kind == "raw":
        return 2**values
    if kind == "infinite":
        values[0] = np.inf
    if kind == "failed":
        values[rng.random(FEATURES) < 0.95] = np.nan
    return values


def cells(kind, rng):
    lots = 60 if kind != "few" else 4
    values = rng.poisson(rng.lognormal(0, 1, FEATURES), (lots, FEATURES)).astype(float)
    if kind == "dying":
        values[:, -5:] *= 1000
    return np.log1p(values) if kind == "logarithms" else values


def genotypes(kind, rng):
    calls = rng.choice(["0/0", "0/1", "1/1"], FEATURES, p=[0.5, 0.3, 0.2])
    share = {"failed": 0.3, "poor": 0.05}.get(kind, 0.01)
    calls = np.where(rng.random(FEATURES) < share, "./.", calls)
    return [f"{call}:{rng.poisson(2 if kind == 'shallow' else 30)}" for call in calls]


KINDS = {
    BULK: (counts, ("good", "thin", "logarithms"), 0.0),
    TAXA: (shares, ("good", "logarithms", "empty", "percent", "reads"), 0.0),
    PROTEINS: (intensities, ("good", "centred", "raw", "infinite", "failed"), np.nan),
    CELLS: (cells, ("good", "few", "dying", "logarithms"), None),
    VARIANTS: (genotypes, ("good", "failed", "poor", "shallow"), "./.:."),
}
EXPECTED = {
    BULK: {"bulk.counts", "bulk.library-size"},
    TAXA: {"taxa.values", "taxa.empty"},
    PROTEINS: {"prot.values"},
    CELLS: {"cells.counts", "cells.number", "cells.mitochondrial"},
    VARIANTS: set(),
}


def write_matrix(path, columns, own_rows, absent):
    """Features × samples; own_rows: rows that the last sample alone has, absent to the others."""
    names = [f"{'s__Species_' if path.name[0] == 't' else 'P'}{i:05d}" for i in range(FEATURES)]
    lines = ["\t".join(["feature", *columns])]
    rows = np.column_stack(list(columns.values())).tolist()
    lines += ["\t".join([name, *map(text, row)]) for name, row in zip(names, rows, strict=True)]
    for row in range(own_rows):
        cells_ = [absent] * (len(columns) - 1) + [rows[row % FEATURES][-1]]
        lines.append("\t".join([f"{names[0][:-5]}9{row:05d}", *map(text, cells_)]))
    path.write_text("\n".join(lines) + "\n")


def text(value):
    return "" if value != value else f"{value:.9g}"


def write_joint_vcf(path, columns, own_rows, absent):
    head = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=1>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(columns),
    ]
    rows = list(zip(*columns.values(), strict=True))
    rows += [(*(absent,) * (len(columns) - 1), "0/1:30")] * own_rows
    body = [
        f"1\t{100 + i}\t.\tA\t{'GC'[i % 3 == 0]}\t50\tPASS\t.\tGT:DP\t" + "\t".join(row)
        for i, row in enumerate(rows)
    ]
    path.write_text("\n".join(head + body) + "\n")


def write_cells(path, columns, own_rows, _absent):
    import anndata
    import pandas as pd

    whole = np.concatenate(list(columns.values()))
    extra = np.zeros((len(whole), own_rows))
    extra[len(whole) - len(list(columns.values())[-1]) :] = 1
    owner = [name for name, values in columns.items() for _ in range(len(values))]
    genes = [f"G{i}" for i in range(FEATURES - 5)] + [f"MT-{i}" for i in range(5)]
    genes += [f"N{i}" for i in range(own_rows)]
    obs = pd.DataFrame({"sample": owner}, index=[f"c{i}" for i in range(len(whole))])
    data = anndata.AnnData(np.hstack([whole, extra]).astype(np.float32), obs=obs)
    data.var_names = genes
    data.write_h5ad(path)


FILES = {
    BULK: ("counts.tsv", write_matrix),
    TAXA: ("taxa.tsv", write_matrix),
    PROTEINS: ("protein.tsv", write_matrix),
    CELLS: ("cells.h5ad", write_cells),
    VARIANTS: ("joint.vcf", write_joint_vcf),
}


def fates(modality, folder, kinds, own_rows=0, *, own_file=False):
    """Which excluding rules each sample fails. own_file: the file is not meant to be shared."""
    draw, known, absent = KINDS[modality]
    columns = {
        name: draw(kind, np.random.default_rng([known.index(kind), *name.encode()]))
        for name, kind in kinds.items()
    }
    name, write = FILES[modality]
    write(folder / name, columns, own_rows, absent)
    samples = [
        SampleFiles(each, (folder / name,), inside=None if own_file else each) for each in columns
    ]
    profile = builtin_profile(f"{modality.name}.v1")
    found = modality.check_file(samples, profile, silent)
    return {each.sample: failed(each.results) for each in found}


def failed(results):
    return {r.check for r in results if excludes([r])}


@pytest.mark.parametrize("modality", KINDS, ids=lambda modality: modality.name)
@settings(max_examples=6)
@given(data=st.data())
def test_whoever_joins_a_shared_file_changes_nobody_elses_fate(modality, data, tmp_path_factory):
    known = st.sampled_from(KINDS[modality][1])
    kinds = dict(zip("abcd", data.draw(st.lists(known, min_size=2, max_size=3)), strict=False))
    joined, own_rows = data.draw(known), data.draw(st.sampled_from([0, 50, 5000]))
    folder = tmp_path_factory.mktemp("cohort")
    before = fates(modality, folder, kinds)
    after = fates(
        modality, folder, {**kinds, "z": joined}, min(own_rows, 500 if modality is CELLS else 5000)
    )
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("modality", KINDS, ids=lambda modality: modality.name)
def test_every_rule_that_a_shared_file_is_excluded_by_does_exclude(modality, tmp_path):
    """So the law above is not kept by checks that find nothing."""
    kinds = {f"s{i}": kind for i, kind in enumerate(KINDS[modality][1])}
    found = fates(modality, tmp_path, kinds)
    assert found["s0"] == set()
    assert set().union(*found.values()) == EXPECTED[modality]


def test_rules_over_rows_that_others_brought_exclude_in_a_file_of_ones_own_only(tmp_path):
    alone = fates(VARIANTS, tmp_path, {"a": "failed"}, own_file=True)
    assert alone["a"] == {"vcf.call-rate"}
    assert fates(VARIANTS, tmp_path, {"a": "failed"})["a"] == set()  # others may yet join it
    assert fates(PROTEINS, tmp_path, {"a": "failed"})["a"] == set()
    assert fates(VARIANTS, tmp_path, {"a": "failed", "b": "good"})["a"] == set()
    assert fates(VARIANTS, tmp_path, {"a": "shallow"}, own_file=True)["a"] == {"vcf.depth"}
    assert fates(PROTEINS, tmp_path, {"a": "failed", "b": "good"})["a"] == set()


# -- a file for each sample -----------------------------------------------------------------------


def reads(folder):
    write_reads(folder / "good.fastq", 2000, duplicates=0.0, frequent=0.0)
    write_reads(folder / "copied.fastq", 2000, duplicates=0.9, seed=8)
    write_reads(folder / "weak.fastq", 2000, drop=36.0, seed=9)
    (folder / "cut.fastq").write_text("@a\nACGT\n+\n")


def alignments(folder):
    write_reference(folder.parent / "reference.fa")
    for name, pairs in (("good", 3000), ("copied", 600), ("shallow", 60)):
        write_alignments(
            folder / f"{name}.bam",
            pairs,
            reference=folder.parent / "reference.fa",
            duplicates=0.9 if name == "copied" else 0.05,
        )
    whole = (folder / "good.bam").read_bytes()
    (folder / "cut.bam").write_bytes(whole[: len(whole) // 2])


def sequences(folder):
    rng = np.random.default_rng(0)
    for name, letters in (("good", "ACGT"), ("digits", "AC7T"), ("protein", "MKLV")):
        lines = [f">{i}\n{''.join(rng.choice(list(letters), 80))}" for i in range(40)]
        (folder / f"{name}.fasta").write_text("\n".join(lines) + "\n")


def pictures(folder):
    rng = np.random.default_rng(0)
    for name in ("good", "broken"):
        (folder / name).mkdir()
        for number in range(6):
            pixels = rng.integers(0, 255, (28, 28), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    for path in sorted((folder / "broken").iterdir())[1:]:
        path.write_bytes(path.read_bytes()[:60])


def variants(folder):
    for kind in KINDS[VARIANTS][1]:
        columns = {"x": genotypes(kind, np.random.default_rng(3))}
        write_joint_vcf(folder / f"{kind}.vcf", columns, 0, None)


def cohort_fates(folder, modality):
    checked = check_cohort(discover(folder, modality), {}, Where(), Silent())
    (part,) = checked.parts
    pairs = zip(part.samples, part.found, strict=True)
    return {s.files[0].relative_to(folder).parts[0]: failed(qc.results) for s, qc in pairs}


@pytest.mark.parametrize(
    ("modality", "write", "expected"),
    [
        ("fastq", reads, {"sample.readable", "fastq.read-quality", "fastq.position-quality"}),
        ("alignments", alignments, {"sample.readable", "bam.duplicates", "bam.depth"}),
        ("variants", variants, {"vcf.call-rate", "vcf.depth"}),
        ("sequences", sequences, {"seq.alphabet"}),
        ("images", pictures, {"image.readable"}),
    ],
)
def test_whoever_joins_with_a_file_changes_nobody_elses_fate(modality, write, expected, tmp_path):
    folder = tmp_path / "cohort"
    folder.mkdir()
    write(folder)
    whole = cohort_fates(folder, modality)
    assert expected <= set().union(*whole.values())
    assert len(whole) > 1
    for path in sorted(folder.iterdir()):
        away = path.rename(tmp_path / path.name)
        rest = {name: found for name, found in whole.items() if name != path.name}
        assert cohort_fates(folder, modality) == rest
        away.rename(path)
