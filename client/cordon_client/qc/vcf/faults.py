"""Which rule of the VCF specification was broken, where, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

KEPT_LINES = 5
"""Lines named per rule; further ones are only counted."""


class VcfRule(StrEnum):
    """A rule of the specification (section numbers of version 4.3)."""

    FILE_FORMAT = "the first line is ##fileformat=VCFv4.1 to 4.4"
    META_SYNTAX = "a ## line is key=value, structured values are <key=value,...> with closed quotes"
    META_FIELDS = "INFO, FORMAT, FILTER, ALT and contig lines have their required fields in order"
    META_ID = "an ID has only characters that IDs may have, and is defined once"
    META_NUMBER = "Number is an integer, or one of the letters of this version"
    META_TYPE = "Type is one of Integer, Float, Flag (INFO only), Character, String"
    META_RESERVED = "a reserved key is defined as the specification defines it"
    META_URL = "assembly and pedigreeDB are URLs"
    HEADER_LINE = "the header line names the fixed columns, FORMAT, and each sample once"
    LAST_LINE = "the last line ends with a line feed (from 4.3)"
    COLUMNS = "a record has as many columns as the header line"
    CHROM = "CHROM is a contig name"
    POS = "POS is a whole number of at least 0"
    ID = "ID is a list of names without spaces, divided by ;"
    REF = "REF is one or more of A, C, G, T, N"
    ALT = "ALT alleles are bases, <ID>, breakends or *, each once and not REF"
    QUAL = "QUAL is a number of at least 0, or missing"
    FILTER = "FILTER is PASS, missing, or names divided by ;, never 0"
    INFO_SYNTAX = "INFO is missing, or keys with their values, each key once"
    INFO_VALUE = "INFO values have the number and type of their key"
    STRUCTURAL = "structural alleles have their length and claim, repeats their unit (4.4)"
    FORMAT = "FORMAT is a list of keys, each once, GT first"
    GENOTYPE = "GT is allele numbers divided by / or |, none beyond the last ALT"
    SAMPLE_FIELDS = "a sample has no more fields than FORMAT, and none is empty"
    SAMPLE_VALUE = "sample values have the number and type of their key"
    ORDER = "records of a contig stand together, ordered by position"
    DUPLICATE = "a variant occurs once"


STRUCTURAL = frozenset(
    {
        VcfRule.HEADER_LINE,
        VcfRule.COLUMNS,
        VcfRule.CHROM,
        VcfRule.POS,
        VcfRule.REF,
        VcfRule.ALT,
        VcfRule.GENOTYPE,
        VcfRule.SAMPLE_FIELDS,
    }
)
"""Rules without which two programs read different genotypes from the same file."""


@dataclass
class Faults:
    """Broken rules with how often, and the first lines at which each was broken."""

    counts: dict[VcfRule, int] = field(default_factory=dict)
    lines: dict[VcfRule, list[int]] = field(default_factory=dict)

    def add(self, rule: VcfRule, line: int) -> None:
        """Note that a line breaks a rule."""
        self.counts[rule] = self.counts.get(rule, 0) + 1
        kept = self.lines.setdefault(rule, [])
        if len(kept) < KEPT_LINES:
            kept.append(line)

    @property
    def total(self) -> int:
        """Broken rules over all lines."""
        return sum(self.counts.values())

    @property
    def structural(self) -> int:
        """Those that make the file ambiguous."""
        return sum(count for rule, count in self.counts.items() if rule in STRUCTURAL)

    def described(self, most: int = 3) -> str:
        """Name the most frequent rules with their first lines; never a value of the file."""
        parts = []
        for rule, count in sorted(self.counts.items(), key=lambda item: -item[1])[:most]:
            at = ", ".join(f"{line:,}" for line in self.lines[rule][:3])
            more = "" if count <= 3 else f" and {count - 3:,} more"
            parts.append(f"{rule.value} (line {at}{more})")
        return "; ".join(parts)
