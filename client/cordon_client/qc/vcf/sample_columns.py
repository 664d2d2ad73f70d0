"""FORMAT and sample columns against the specification: as arrays first, then cell by cell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.vcf.faults import VcfRule
from cordon_client.qc.vcf.genotypes import Cells
from cordon_client.qc.vcf.phasing import phase_sets_ok
from cordon_client.qc.vcf.spec import ANY, FieldType
from cordon_client.qc.vcf.values import diploid_samples, genotype_pattern, sample_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cordon_client.qc.vcf.header import Header

_FORMAT_AT, _MOST_FAST_ALTERNATIVES = 8, 9
_MISSING = b"."
_WHOLE = FieldType("1", "Integer")


@dataclass(frozen=True, eq=False)
class Group:
    """Records of a block that share FORMAT and number of alleles, and their sample columns."""

    format: bytes
    records: list[list[bytes]]
    cells: Cells

    @classmethod
    def of(cls, column: bytes, records: list[list[bytes]]) -> Group:
        """Cut the sample columns of these records."""
        samples = records[0][9].count(b"\t") + 1
        return cls(column, records, Cells.of([columns[9] for columns in records], samples))


class SampleChecker:
    """Checks the sample columns of one file's records, block by block."""

    def __init__(self, header: Header) -> None:
        self._header, self._faults = header, header.faults
        self._formats = {**header.spec.formats, **header.formats}
        self._phase_lists = "PSL" in header.spec.formats
        self._shapes: dict[bytes, tuple[tuple[str, FieldType], ...]] = {}
        self._fast: dict[tuple[bytes, int], re.Pattern[bytes]] = {}

    def check(self, records: list[tuple[int, list[bytes]]]) -> list[Group]:
        """Check FORMAT and sample columns of checked records, given with their line numbers."""
        members: dict[tuple[bytes, int], list[tuple[int, list[bytes]]]] = {}
        for number, columns in records:
            if len(columns) > _FORMAT_AT:
                key = columns[8], 1 + columns[4].count(b",")
                members.setdefault(key, []).append((number, columns))
        groups = []
        for (column, alternatives), lines in members.items():
            shape = self._shapes.get(column)
            if shape is None:
                shape = self._shapes[column] = self._shape(column)
            if not shape:
                for number, _ in lines:
                    self._faults.add(VcfRule.FORMAT, number)
            if len(lines[0][1]) > _FORMAT_AT + 1:
                group = Group.of(column, [columns for _, columns in lines])
                self._sample_columns(group, [number for number, _ in lines], alternatives)
                groups.append(group)
        return groups

    def _sample_columns(self, group: Group, numbers: list[int], alternatives: int) -> None:
        shape = self._shapes[group.format]
        if not shape:
            return
        if self._phase_lists and any(key == "PSL" for key, _ in shape):
            doubtful = list(range(len(numbers)))
        elif shape[0][0] == "GT" and all(field == _WHOLE for _, field in shape[1:]):
            doubtful = np.flatnonzero(~group.cells.plain(len(shape), alternatives)).tolist()
        else:
            doubtful = [
                row
                for row, columns in enumerate(group.records)
                if not self._fast_samples(columns, shape, alternatives)
            ]
        for row in doubtful:
            cells = group.records[row][9].split(b"\t")
            broken = (r for cell in cells for r in self._cell(cell, shape, alternatives))
            for rule in dict.fromkeys(broken):  # in the order of the cells: reports are repeatable
                self._faults.add(rule, numbers[row])

    def _fast_samples(
        self, columns: list[bytes], shape: tuple[tuple[str, FieldType], ...], alternatives: int
    ) -> bool:
        """Whether one pattern fits all samples; what it does not fit is not wrong yet."""
        if alternatives > _MOST_FAST_ALTERNATIVES:
            return False
        fast = self._fast.get((columns[8], alternatives))
        if fast is None:
            fast = diploid_samples(shape, alternatives, len(self._header.samples))
            self._fast[columns[8], alternatives] = fast
        return fast.fullmatch(columns[9]) is not None

    def _shape(self, column: bytes) -> tuple[tuple[str, FieldType], ...]:
        """Keys of a FORMAT column with their types; nothing when it breaks the rules."""
        keys = column.split(b":")
        if not self._format_ok(keys):
            return ()
        names = [key.decode("latin-1") for key in keys]
        return tuple((name, self._formats.get(name, ANY)) for name in names)

    def _format_ok(self, keys: list[bytes]) -> bool:
        """Whether the keys are well formed, each once, and GT first."""
        pattern = self._header.spec.format_key
        if len(set(keys)) < len(keys) or b"GT" in keys[1:]:
            return False
        return keys == [_MISSING] or all(pattern.fullmatch(key) for key in keys)

    def _cell(
        self, cell: bytes, keys: tuple[tuple[str, FieldType], ...], alternatives: int
    ) -> Iterator[VcfRule]:
        values = cell.split(b":")
        if len(values) > len(keys) or b"" in values:
            yield VcfRule.SAMPLE_FIELDS
            return
        if self._phase_lists and not phase_sets_ok(
            dict(zip((key for key, _ in keys), values, strict=False))
        ):
            yield VcfRule.SAMPLE_VALUE
        ploidy = 2
        for (key, field), value in zip(keys, values, strict=False):
            if key == "GT":
                prefix = self._header.spec.phase_prefix
                if genotype_pattern(alternatives, prefix=prefix).fullmatch(value) is None:
                    yield VcfRule.GENOTYPE
                if value != _MISSING:
                    ploidy = 1 + len(re.findall(rb"[/|]", value[1:]))
            elif sample_pattern(key, field, alternatives, ploidy).fullmatch(value) is None:
                yield VcfRule.SAMPLE_VALUE
