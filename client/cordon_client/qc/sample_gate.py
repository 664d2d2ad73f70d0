"""Which of a cohort's patients have a sample whose files passed: the sample sheet meets the table.

Stability: what becomes of a record depends on the lines that its own patient has on the sheet and on
the files that these name. A file belongs to one patient; of a file that several share, only what a
sample's own column says takes it out. `cordon_common/qc/PROOF.md` §5 gives the argument.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.cells import MISSING
from cordon_common.errors import CheckFailed, DataError
from cordon_common.qc.fates import RecordFate
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.sample_checks import COMPLETED, READABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.columns import StudyTable
    from cordon_client.qc.modality import SampleFiles
    from cordon_client.qc.sample_record import SampleRecord

_CODE = {fate: code for code, fate in enumerate(RecordFate)}
PASSED = _CODE[RecordFate.KEPT]
FAILED, NOT_LISTED = _CODE[RecordFate.SAMPLE_FAILED], _CODE[RecordFate.SAMPLE_NOT_LISTED]


@dataclass(frozen=True)
class SampleGate:
    """Samples that passed and failed, each by (patient, sample); a sample is in one of the two.

    failed: with the checks that left it out. labels: outcomes on the sheet, by patient. column: the
    table's column of sample names, None where a record is its patient's. digest: of the record.
    """

    passed: frozenset[tuple[str, str]]
    failed: Mapping[tuple[str, str], tuple[str, ...]]
    labels: Mapping[str, int]
    column: str | None
    digest: str

    @property
    def patients(self) -> set[str]:
        """Everybody on the sheet of whom a sample was checked."""
        return {patient for patient, _ in (*self.passed, *self.failed)}

    @property
    def without(self) -> set[str]:
        """Patients without any sample that passed."""
        return self.patients - {patient for patient, _ in self.passed}

    def reasons(self) -> dict[str, int]:
        """Count samples by the title of the check that left them out, the most frequent first."""
        checks = Counter(check for failed in self.failed.values() for check in failed)
        return {REGISTRY[check].wording.title: count for check, count in checks.most_common()}

    def counts(self) -> dict[str, int]:
        """Count samples and patients on the sheet, and those that passed."""
        return {
            "samples": len(self.passed) + len(self.failed),
            "samples_passed": len(self.passed),
            "patients": len(self.patients),
            "patients_without": len(self.without),
        }

    def of_records(self, table: StudyTable) -> npt.NDArray[np.int8]:
        """Say of each record what became of its files: int8, KEPT or why not, in RecordFate's order.

        Records without a patient's id are NOT_LISTED.
        """
        if table.ids is None or table.patient is None:
            raise ValueError("a study of checked samples names its patients")  # the protocol's law
        if self.column is None:
            best = {patient: FAILED for patient, _ in self.failed}
            best |= dict.fromkeys((patient for patient, _ in self.passed), PASSED)
            codes = [best.get(patient, NOT_LISTED) for patient in table.ids]
            return np.array([*codes, NOT_LISTED], dtype=np.int8)[table.patient]  # MISSING is -1
        return self._of_samples(table.ids, table.patient, *table.samples)

    def _of_samples(
        self,
        ids: Sequence[str],
        patient: npt.NDArray[np.int64],
        names: Sequence[str],
        sample: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int8]:
        pairs, place = np.unique(np.column_stack([patient, sample]), axis=0, return_inverse=True)
        codes = [
            NOT_LISTED if MISSING in pair else self._of_sample((ids[pair[0]], names[pair[1]]))
            for pair in pairs.tolist()
        ]
        return np.array(codes, dtype=np.int8)[place.reshape(-1)]

    def _of_sample(self, key: tuple[str, str]) -> int:
        if key in self.passed:
            return PASSED
        return FAILED if key in self.failed else NOT_LISTED


def require_owners(samples: Sequence[SampleFiles]) -> dict[str, str]:
    """Return the patient of each sample, when the sheet says whose every sample and file is.

    Raises:
        DataError: DA083.
    """
    owner: dict[str, str] = {}
    of_file: dict[Path, str] = {}
    for number, each in enumerate(samples, start=1):
        # By number: names of samples and files may be those of patients.
        if each.patient is None:
            raise DataError("DA083", why=f"entry {number} of the sheet has no patient")
        owner[each.sample] = each.patient
        for file in each.files:
            # A file that several samples share is nobody's: it has an owner of its own.
            holder = "" if each.inside is not None else each.patient
            if of_file.setdefault(file.resolve(), holder) != holder:
                why = f"a file of entry {number} was named before, for another patient or way"
                raise DataError("DA083", why=why)
    return owner


def make_gate(
    record: SampleRecord, samples: Sequence[SampleFiles], column: str | None
) -> SampleGate:
    """Join outcomes with the sheet that they were made of.

    Raises:
        DataError: DA083; CheckFailed: CK111 when a shared file could not be checked.
    """
    owner = require_owners(samples)
    failed: dict[tuple[str, str], set[str]] = {}
    checked: set[tuple[str, str]] = set()
    for outcome in record.outcomes:
        if outcome.shared and {READABLE, COMPLETED} & set(outcome.failed):
            raise CheckFailed("CK111")
        key = (owner[outcome.sample], outcome.sample)
        checked.add(key)
        if outcome.failed:
            failed.setdefault(key, set()).update(outcome.failed)
    labels = {each.patient: each.label for each in samples if each.patient}
    return SampleGate(
        passed=frozenset(checked - set(failed)),
        failed={key: tuple(sorted(checks)) for key, checks in sorted(failed.items())},
        labels={patient: label for patient, label in labels.items() if label is not None},
        column=column,
        digest=record.digest,
    )
