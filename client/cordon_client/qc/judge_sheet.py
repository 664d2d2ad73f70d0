"""Judge how the table goes with the sample sheet: records without a sample, failed files, outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.finding import Finding, result_of
from cordon_common.qc.fates import RecordFate

if TYPE_CHECKING:
    from cordon_client.qc.columns import StudyTable
    from cordon_client.qc.fates import Fates
    from cordon_client.qc.sample_gate import SampleGate
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult


def judge_sheet(
    gate: SampleGate, table: StudyTable, fates: Fates, profile: Profile
) -> list[CheckResult]:
    """Judge the rules of sample files, and compare outcomes."""
    counts = fates.record_counts()
    lost, failed = counts[RecordFate.SAMPLE_NOT_LISTED], counts[RecordFate.SAMPLE_FAILED]
    reasons = "; ".join(f"{title}: {count}" for title, count in gate.reasons().items())
    samples = len(gate.passed) + len(gate.failed)
    told = f"{failed} records; {len(gate.failed)} of {samples} samples did not pass ({reasons})."
    differ, compared = _outcomes(gate, table)
    findings = (
        Finding("record.sample-not-listed", lost / table.records, lost, f"{lost} records."),
        Finding("record.sample-failed", failed / table.records, failed, told),
        Finding(
            "cohort.sheet-labels",
            float(differ) if compared else None,
            differ,
            f"{differ} of {compared} patients.",
        ),
    )
    return [result_of(finding, profile) for finding in findings]


def _outcomes(gate: SampleGate, table: StudyTable) -> tuple[int, int]:
    """Count patients whose outcome the sheet gives otherwise, and all that both tell of."""
    said: dict[str, set[int]] = {}
    ids = table.ids or ()
    owners = [] if table.patient is None else table.patient.tolist()
    for owner, label in zip(owners, table.labels.tolist(), strict=True):
        if owner >= 0 and label >= 0 and ids[owner] in gate.labels:
            said.setdefault(ids[owner], set()).add(label)
    differ = sum(labels != {gate.labels[patient]} for patient, labels in said.items())
    return differ, len(said)
