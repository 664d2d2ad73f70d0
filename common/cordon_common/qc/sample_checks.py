"""Checks that hold for a sample of any modality: its files are there and can be read to the end."""

from __future__ import annotations

from cordon_common.qc.checks import Bounds, CheckSpec, Wording
from cordon_common.qc.verdict import CheckClass, ReasonCode, Scope

SAMPLE = "sample"
READABLE, COMPLETED = "sample.readable", "sample.completed"

CHECKS = (
    CheckSpec(
        id=READABLE,
        modality=SAMPLE,
        scope=Scope.SAMPLE,
        check_class=CheckClass.LOCAL_HARD,
        reason=ReasonCode.FILE_UNREADABLE,
        bounds=Bounds("files", "a sample whose files cannot be read has not been checked", fail=0),
        wording=Wording(
            "Files readable",
            "A file of the sample is missing, cut off, or not in the format that it claims.",
            "Copy the file again from the sequencer or archive, and compare its checksum.",
        ),
        stability=1,
        excludes=True,
    ),
    CheckSpec(
        id=COMPLETED,
        modality=SAMPLE,
        scope=Scope.SAMPLE,
        check_class=CheckClass.LOCAL_HARD,
        reason=ReasonCode.CHECK_CRASHED,
        bounds=Bounds("checks", "what was not checked must not pass", fail=0),
        wording=Wording(
            "Checks carried out",
            "The checks of this sample stopped at an error that nobody foresaw.",
            "Leave the sample out, and report the kind of error with the file's format.",
        ),
        stability=1,
        excludes=True,
    ),
)
