"""Structural alleles, tandem repeats and phase sets of VCF 4.4: the specification's own examples pass."""

import pytest

from cordon_client.qc.vcf.faults import VcfRule
from cordon_client.qc.vcf.phasing import phased
from cordon_client.qc.vcf.read import VcfReader

META = '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">'


def faults(tmp_path, record, *, version="4.4", meta=META, position="100"):
    alt, info, form, sample = record
    path = tmp_path / "x.vcf"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone"
    body = "\t".join(["chr1", position, ".", "T", alt, ".", ".", info, form, sample])
    path.write_text("\n".join([f"##fileformat=VCFv{version}", meta, columns, body]) + "\n")
    reader = VcfReader(path, lambda _: None)
    for _ in reader.blocks():
        pass
    return set(reader.header.faults.counts)


REPEAT = "END=130;SVLEN=30"
EXAMPLES = {
    "two repeats": (
        "<CNV:TR>,<CNV:TR>",
        "SVLEN=30,30;CN=3,0.9666;RUS=CAG,CAG,CA,CAG;RN=1,3;RB=90,15,2,12",
        "GT:PS:CN",
        "1|2:100:3.9666",
    ),
    "at least 50 units": (
        "<CNV:TR>",
        f"{REPEAT};CN=6.5;RUS=CAG;RUC=65;CIRUC=-15,.",
        "GT",
        "./.",
    ),
    "units of several lengths": (
        "<CNV:TR>",
        "SVLEN=20000;CN=1.25;RUL=10000;RUC=5;RUB=10000,10500,11000,11500,12000",
        "GT",
        "./.",
    ),
    "copy numbers": ("<CNV>,<CNV>", "END=130;SVLEN=30,30;CN=1,2", "GT:CN", "1/2:3"),
    "deletion by depth": ("<DEL>", "SVLEN=2;SVCLAIM=D", "GT", "0/1"),
    "insertion": ("<INS>", "IMPRECISE;SVLEN=100;CILEN=-50,50;CIPOS=-10,10;END=14", "GT", "0/1"),
    "inversion by both": ("<INV>", "SVLEN=5;SVCLAIM=DJ", "GT", "0/1"),
    "own name": ("<NON_REF>", ".", "GT", "0/1"),
    "own subtype": ("<DEL:MINE>", "SVLEN=5;SVCLAIM=J", "GT", "0/1"),
    "phase set": ("G", "DP=100", "GT:PSL", "|0/1:chr19*5*1,."),
    "three alleles": ("G,A,C", "DP=100", "GT:PSL", "|1/2|3:chr20*10*1,.,chr19*5*1"),
    "implied first": ("G,C", "DP=100", "GT:PSL", "1|2:.,chr20*10*1"),
    "ordinals": ("<DUP>", "SVLEN=9;SVCLAIM=DJ", "GT:PSL:PSO", "/0/0|1:.,.,chr1*10*3:.,.,3"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_specification_passes(tmp_path, name):
    assert faults(tmp_path, EXAMPLES[name]) == set()


BROKEN = {
    "no length": ("<DEL>", "SVCLAIM=D", "GT", "0/1"),
    "no claim": ("<DUP>", "SVLEN=5", "GT", "0/1"),
    "claim of abundance": ("<INV>", "SVLEN=5;SVCLAIM=D", "GT", "0/1"),
    "interval beside 0": ("<INS>", "SVLEN=5;CIPOS=1,5", "GT", "0/1"),
    "one copy number of two regions": ("<CNV>,<CNV>", "SVLEN=30,20", "GT:CN", "1/2:3"),
    "no unit": ("<CNV:TR>", "SVLEN=3;RUC=3", "GT", "0/1"),
    "too few units": ("<CNV:TR>", "SVLEN=3;RN=2;RUS=CAG", "GT", "0/1"),
    "unit of no bases": ("<CNV:TR>", "SVLEN=3;RUS=CXG", "GT", "0/1"),
    "unit of another length": ("<CNV:TR>", "SVLEN=3;RUS=CAG;RUL=2", "GT", "0/1"),
    "interval too short": ("<CNV:TR>", "SVLEN=3;RUS=CAG;RUC=3;CIRUC=-1", "GT", "0/1"),
    "lengths without numbers": ("<CNV:TR>", "SVLEN=3;RUS=CAG;RUB=3,3", "GT", "0/1"),
    "lengths of parts": ("<CNV:TR>", "SVLEN=3;RUS=CAG;RUC=2.5;RUB=3,3", "GT", "0/1"),
    "a length too few": ("<CNV:TR>", "SVLEN=3;RUS=CAG;RUC=3;RUB=3,3", "GT", "0/1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_structural_alleles_must_say_is_missed(tmp_path, name):
    assert VcfRule.STRUCTURAL in faults(tmp_path, BROKEN[name])
    assert VcfRule.STRUCTURAL not in faults(tmp_path, BROKEN[name], version="4.3")


@pytest.mark.parametrize(
    "sample", ["/0/1:a,.", "0/1:.,a", "0/0|1:a,.,b", "|0|1:a,b,c"], ids=["first", "second", "three", "many"]
)  # fmt: skip
def test_an_unphased_allele_has_no_phase_set(tmp_path, sample):
    assert VcfRule.SAMPLE_VALUE in faults(tmp_path, ("G", ".", "GT:PSL", sample))


def test_a_sample_has_a_phase_set_or_a_list_of_them(tmp_path):
    both = faults(tmp_path, ("G", ".", "GT:PS:PSL", "0|1:5:a,a"))
    assert both == {VcfRule.SAMPLE_VALUE}
    assert faults(tmp_path, ("G", ".", "GT:PS:PSL", "0|1:.:a,a")) == set()


@pytest.mark.parametrize(
    ("genotype", "expected"),
    [
        (b"0|1", [True, True]),
        (b"0/1", [False, False]),
        (b"0/0|1", [False, False, True]),
        (b"|0/1", [True, False]),
        (b"1", [True]),
        (b"/1", [False]),
    ],
)
def test_an_omitted_first_indicator_is_implied(genotype, expected):
    assert phased(genotype) == expected


def test_a_type_with_a_subtype_is_a_structural_variant(tmp_path):
    breakend = ("<BND:x>", ".", "GT", "0/1")
    assert faults(tmp_path, breakend) == {VcfRule.ALT}
    assert faults(tmp_path, breakend, version="4.3") == set()
    meta = f'##ALT=<ID=ODD:DEL,Description="x">\n{META}'
    for version in ("4.3", "4.4"):
        assert faults(tmp_path, ("<ODD:DEL>", ".", "GT", "0/1"), version=version) == {VcfRule.ALT}
        assert VcfRule.META_ID in faults(
            tmp_path, ("G", ".", "GT", "0/1"), version=version, meta=meta
        )


MANY = "9" * 5000
"""More digits than Python converts; no number of the format has more than ten."""


@pytest.mark.parametrize("version", ["4.2", "4.4"])
def test_a_position_of_any_length_is_a_fault_and_ends_nothing(tmp_path, version):
    plain = ("G", ".", "GT", "0/1")
    assert faults(tmp_path, plain, version=version, position=MANY) == {VcfRule.POS}
    assert faults(tmp_path, plain, version=version, position="2147483647") == set()


@pytest.mark.parametrize(
    "info", [f"RN={MANY};RUS=CAG", f"RUS=CAG;RUL={MANY}", f"RUS=CAG;RUC={MANY};RUB=3", f"END={MANY}"],
    ids=["RN", "RUL", "RUC", "END"],
)  # fmt: skip
def test_a_number_of_any_length_in_info_is_a_fault_and_ends_nothing(tmp_path, info):
    assert faults(tmp_path, ("<CNV:TR>", f"SVLEN=3;{info}", "GT", "0/1"))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (f"##contig=<ID=chr1,length={MANY}>", VcfRule.META_SYNTAX),
        (f'##INFO=<ID=XX,Number={MANY},Type=Integer,Description="x">', VcfRule.META_NUMBER),
    ],
)
def test_a_number_of_any_length_in_the_header_is_a_fault_and_ends_nothing(tmp_path, line, fault):
    found = faults(tmp_path, ("G", "XX=1", "GT", "0/1"), meta=f"{META}\n{line}")
    assert fault in found


def test_a_genotype_of_any_length_is_a_fault_and_ends_nothing(tmp_path):
    assert VcfRule.GENOTYPE in faults(tmp_path, ("G", ".", "GT", f"{MANY}/1"))
