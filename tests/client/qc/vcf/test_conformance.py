"""Every rule is found where it is broken; valid lines of any version pass."""

import bz2
import contextlib
import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon_client.qc.vcf.body import normalised
from cordon_client.qc.vcf.faults import VcfRule
from cordon_client.qc.vcf.read import VcfReader
from cordon_common.errors import DataError

META = [
    '##INFO=<ID=XI,Number=1,Type=Integer,Description="x">',
    '##INFO=<ID=XR,Number=R,Type=Float,Description="a \\"quoted\\" word">',
    '##INFO=<ID=XF,Number=0,Type=Flag,Description="x">',
    '##FORMAT=<ID=XA,Number=A,Type=Integer,Description="x">',
    '##FORMAT=<ID=XG,Number=G,Type=Float,Description="x">',
    '##FORMAT=<ID=XC,Number=1,Type=Character,Description="x">',
]
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone\ttwo"
LINE = ["1", "100", ".", "A", "G", "50", "PASS", "XI=1", "GT:DP", "0/1:3", "1|1:.."[:5]]
C, P, I, R, A, Q, F, N, S, ONE, TWO = range(11)  # noqa: E741 - column letters


def line(**changes):
    columns = ["1", "100", ".", "A", "G", "50", "PASS", "XI=1", "GT:DP", "0/1:3", "1|1:4"]
    names = ["chrom", "pos", "id", "ref", "alt", "qual", "filter", "info", "format", "one", "two"]
    for name, value in changes.items():
        columns[names.index(name)] = value
    return "\t".join(columns)


def faults(tmp_path, lines, *, version="4.2", meta=META, columns=COLUMNS, end="\n"):
    text = "\n".join([f"##fileformat=VCFv{version}", *meta, columns, *lines]) + end
    path = tmp_path / "x.vcf"
    path.write_text(text)
    reader = VcfReader(path, lambda _: None)
    for _ in reader.blocks():
        pass
    return reader.header.faults.counts


def test_faults_of_one_line_come_in_the_order_of_its_cells(tmp_path):
    """A set would bring them in another order in every process, and so another report."""
    found = faults(tmp_path, [line(one="0/7:x", two="y/0:3")])
    assert list(found) == [VcfRule.GENOTYPE, VcfRule.SAMPLE_VALUE]


VALID = {
    "plain": line(),
    "no values at all": line(id=".", qual=".", filter=".", info=".", one="./.", two="."),
    "two ALT alleles": line(alt="G,T", info="XR=1,2,3", one="1/2:3", two="0|2"),
    "symbolic and deletion": line(ref="AT", alt="A,<DEL>"),
    "breakends": line(alt="G]17:198982],]13:123456]T"),
    "spanning deletion": line(alt="G,*"),
    "values by allele": line(format="GT:XA:XG", one="0/1:5:1,2,3", two="0/0:0:.,.,."),
    "haploid has two likelihoods": line(format="GT:XG", one="0:1,2", two="1:3,4"),
    "triploid has four likelihoods": line(format="GT:XG", one="0/0/1:1,2,3,4", two="./.:."),
    "trailing fields dropped": line(format="GT:DP:XA", one="0/1", two="0/1:3"),
    "float as people write it": line(qual="1e-3", info="XR=-1.5e3,.5"),
    "flag": line(info="XF;XI=3"),
    "id list": line(id="rs1;rs2"),
}

BROKEN = {
    VcfRule.COLUMNS: [line() + "\t0/0", "1\t100"],
    VcfRule.CHROM: [line(chrom="chr 1"), line(chrom="<1")],
    VcfRule.POS: [line(pos="x"), line(pos="-1"), line(pos="1.5")],
    VcfRule.ID: [line(id="a;"), line(id="a b")],
    VcfRule.REF: [line(ref="R"), line(ref="."), line(ref="A,C")],
    VcfRule.ALT: [
        line(alt="A"), line(alt="G,G"), line(alt="G,"), line(alt="<D EL>"), line(alt="[1:5["),
    ],
    VcfRule.QUAL: [line(qual="high"), line(qual="-1")],
    VcfRule.FILTER: [line(filter="0"), line(filter="q10;"), line(filter="a b")],
    VcfRule.INFO_SYNTAX: [line(info="XI=1;XI=2"), line(info="X I=1")],
    VcfRule.INFO_VALUE: [
        line(info="XI=1,2"), line(info="XI=one"), line(info="XR=1"), line(info="XF=9"),
        line(info="DP=-1"), line(info="AC=1,2"), line(info="XI"),
    ],
    VcfRule.FORMAT: [line(format="DP:GT"), line(format="GT:DP:DP"), line(format="GT::DP")],
    VcfRule.GENOTYPE: [line(one="0/2:3"), line(one="0/C:3"), line(one="0/|1:3"), line(one="3")],
    VcfRule.SAMPLE_FIELDS: [line(one="0/1:3:4"), line(one="0/1:")],
    VcfRule.SAMPLE_VALUE: [
        line(one="0/1:x"), line(one="0/1:1,2"), line(one="0/1:1.5"),
        line(format="GT:XA", one="0/1:1,2", two="0/1:1"),
        line(format="GT:XG", one="0/1:1,2", two="0/1:1,2,3"),
        line(format="GT:XC", one="0/1:ab", two="0/1:a"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("version", ["4.1", "4.2", "4.3", "4.4"])
@pytest.mark.parametrize("name", VALID)
def test_a_valid_line_passes(tmp_path, name, version):
    meta = [m for m in META if version != "4.1" or "Number=R" not in m]
    lines = VALID[name]
    if version == "4.1":
        lines = lines.replace("XR=1,2,3", "XI=1").replace("XR=-1.5e3,.5", "XI=1")
    if version == "4.4":
        lines = lines.replace("A,<DEL>", "A,T")
    assert faults(tmp_path, [lines], version=version, meta=meta) == {}


@pytest.mark.parametrize(
    ("rule", "bad"), [(rule, bad) for rule, lines in BROKEN.items() for bad in lines]
)
def test_a_broken_line_is_found_by_its_rule(tmp_path, rule, bad):
    assert rule in faults(tmp_path, [bad])


def test_order_contiguity_and_repeats_are_found_even_where_variants_are_written_differently(
    tmp_path,
):
    assert VcfRule.ORDER in faults(tmp_path, [line(pos="200"), line(pos="100")])
    contigs = [line(chrom="1"), line(chrom="2"), line(chrom="1", pos="300")]
    assert VcfRule.ORDER in faults(tmp_path, contigs)
    assert VcfRule.DUPLICATE in faults(tmp_path, [line(), line()])
    same = [line(ref="TAT", alt="TGT"), line(pos="101", ref="A", alt="G")]
    assert VcfRule.DUPLICATE in faults(tmp_path, same)
    assert faults(tmp_path, [line(), line(alt="T"), line(pos="101")]) == {}


@pytest.mark.parametrize(
    ("rule", "meta"),
    [
        (VcfRule.META_SYNTAX, "##nothing"),
        (VcfRule.META_SYNTAX, '##INFO=<ID=X,Number=1,Type=Integer,Description="open>'),
        (VcfRule.META_FIELDS, "##contig=<length=5>"),
        (VcfRule.META_FIELDS, '##FORMAT=<Number=1,Type=Integer,Description="x",ID=X>'),
        (VcfRule.META_NUMBER, '##INFO=<ID=X,Number=N,Type=Integer,Description="x">'),
        (VcfRule.META_TYPE, '##FORMAT=<ID=X,Number=0,Type=Flag,Description="x">'),
        (VcfRule.META_RESERVED, '##FORMAT=<ID=GQ,Number=1,Type=String,Description="x">'),
        (VcfRule.META_URL, "##assembly=nowhere"),
        (VcfRule.META_ID, '##ALT=<ID=D EL,Description="x">'),
    ],
)
def test_a_broken_meta_line_is_found(tmp_path, rule, meta):
    assert rule in faults(tmp_path, [line()], meta=[*META, meta])


def test_what_a_version_brought_is_wrong_before_it(tmp_path):
    r = ['##INFO=<ID=X,Number=R,Type=Integer,Description="x">']
    assert VcfRule.META_NUMBER in faults(tmp_path, [line(info=".")], version="4.1", meta=r)
    assert faults(tmp_path, [line(info=".")], version="4.2", meta=r) == {}
    assert VcfRule.LAST_LINE in faults(tmp_path, [line()], version="4.3", end="")
    assert faults(tmp_path, [line()], version="4.2", end="") == {}
    deletion = line(alt="<DEL>", info="SVLEN=5")
    assert VcfRule.STRUCTURAL in faults(tmp_path, [deletion], version="4.4")
    assert faults(tmp_path, [deletion], version="4.3") == {}


def test_sample_names_are_unique_and_the_header_line_exact(tmp_path):
    doubled = COLUMNS.replace("two", "one")
    assert VcfRule.HEADER_LINE in faults(tmp_path, [line()], columns=doubled)
    assert VcfRule.HEADER_LINE in faults(tmp_path, [line()], columns=COLUMNS.replace("POS", "PO"))


@pytest.mark.parametrize("content", [b"", b"hello", b"##fileformat=VCFv4.2\n1\t2\n"])
def test_what_is_no_vcf_is_refused_with_a_code(tmp_path, content):
    path = tmp_path / "x.vcf"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(VcfReader(path, lambda _: None).blocks())
    assert caught.value.code == "DA042"


def test_compressed_files_are_read_and_cut_ones_refused(tmp_path):
    text = "\n".join(["##fileformat=VCFv4.2", *META, COLUMNS, line()]).encode() + b"\n"
    for name, packed in (("a.gz", gzip.compress(text)), ("a.bz2", bz2.compress(text))):
        (tmp_path / name).write_bytes(packed)
        reader = VcfReader(tmp_path / name, lambda _: None)
        assert sum(len(block.records) for block in reader.blocks()) == 1
        (tmp_path / name).write_bytes(packed[:-9])
        with pytest.raises(DataError, match="DA042"):
            list(VcfReader(tmp_path / name, lambda _: None).blocks())


def test_the_conformance_collection_is_told_apart(shared_data):
    folder = shared_data / "vcf_shared" / "conformance_v4.2"

    def flagged(path):
        reader = VcfReader(path, lambda _: None)
        try:
            for _ in reader.blocks():
                pass
        except DataError:
            return True
        return reader.header.faults.total > 0

    failing, passing = (sorted((folder / name).iterdir()) for name in ("failed", "passed"))
    assert len(failing) == 189
    assert sum(map(flagged, failing)) == 189
    assert sum(map(flagged, passing)) <= 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 600))
def test_no_bytes_make_it_crash(tmp_path_factory, junk, at):
    text = "\n".join(["##fileformat=VCFv4.2", *META, COLUMNS, line(), line(alt="G,T")]).encode()
    path = tmp_path_factory.mktemp("junk") / "x.vcf"
    path.write_bytes(text[:at] + junk + text[at:])
    reader = VcfReader(path, lambda _: None)
    with contextlib.suppress(DataError):
        list(reader.blocks())


@given(st.text("ACGT", min_size=1, max_size=6), st.text("ACGT", min_size=1, max_size=6),
       st.text("ACGT", max_size=4), st.text("ACGT", max_size=4))  # fmt: skip
def test_a_variant_is_one_however_many_shared_bases_surround_it(ref, alt, before, behind):
    if ref == alt:
        return
    short = normalised(100, ref.encode(), alt.encode())
    longer = normalised(
        100 - len(before), f"{before}{ref}{behind}".encode(), f"{before}{alt}{behind}".encode()
    )
    # Where the bases repeat, an insertion may stand at several places: the length is the same.
    assert len(short[1]) - len(short[2]) == len(longer[1]) - len(longer[2])
    if len(ref) == len(alt):
        assert short == longer
