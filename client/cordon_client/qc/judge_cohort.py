"""Judge the cohort as a whole: excluded records, twins, outcomes, and the study's gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cordon_client.qc.clinical.vocabulary import IDENTIFIER_NAME, QUASI_NAME
from cordon_client.qc.finding import Finding, result_of
from cordon_common.qc.fates import KEPT_FATES, RecordFate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cordon_client.qc.columns import StudyTable
    from cordon_client.qc.fates import Fates
    from cordon_common.protocol.study import Study
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.verdict import CheckResult

_RULE_OF_FATE = {
    RecordFate.PATIENT_ID_MISSING: "record.patient-id",
    RecordFate.DUPLICATE_RECORD: "record.duplicate",
    RecordFate.LABEL_MISSING: "record.label-missing",
    RecordFate.LABEL_UNKNOWN: "record.label-unknown",
    RecordFate.IMPOSSIBLE_VALUE: "record.impossible-value",
    RecordFate.UNKNOWN_CATEGORY: "record.unknown-category",
    RecordFate.OVER_CAP: "record.over-cap",
}


def judge_cohort(
    study: Study, table: StudyTable, fates: Fates, unread: Iterable[str], profile: Profile
) -> list[CheckResult]:
    """Judge record rules, twins, conflicting outcomes, identifiers, and the gate."""
    counts = fates.record_counts()
    findings = [
        Finding(rule, counts[fate] / table.records, counts[fate], f"{counts[fate]} records.")
        for fate, rule in _RULE_OF_FATE.items()
    ]
    if table.ids is not None:
        findings.append(_twin_finding(study, fates))
    findings += [_conflicts(table, fates, study), *_identifiers(unread)]
    results = [result_of(finding, profile) for finding in findings]
    return results + _gate(study, table, fates, profile)


def _twin_finding(study: Study, fates: Fates) -> Finding:
    patients = max(len(fates.hashes), 1)
    kept = "left out" if study.qc.duplicate_patients == "exclude" else "kept, as the study asks"
    detail = f"{fates.twins} patients repeat another one and were {kept}."
    return Finding("patient.duplicate", fates.twins / patients, fates.twins, detail)


def _conflicts(table: StudyTable, fates: Fates, study: Study) -> Finding:
    """Count patients, or equal records, that occur with both outcomes."""
    known = fates.distinct & (table.labels >= 0)
    if table.ids is not None:
        group = fates.patient[known]
    else:
        frame = pd.DataFrame(table.content(study.cohort)[known][:, :-1])
        group = np.asarray(pd.util.hash_pandas_object(frame, index=False)).astype(np.int64)
    outcomes = pd.DataFrame({"group": group, "label": table.labels[known]}).drop_duplicates()
    conflicting = int(outcomes["group"].duplicated().sum())
    groups = int(outcomes["group"].nunique())
    share = conflicting / groups if groups else None
    detail = f"{conflicting} of {groups}."
    return Finding("cohort.conflicting-labels", share, conflicting, detail)


def _identifiers(unread: Iterable[str]) -> list[Finding]:
    """Count columns that were not read and whose names promise identifiers, direct or indirect."""
    names = list(unread)
    direct = sum(1 for name in names if IDENTIFIER_NAME.search(name))
    quasi = sum(1 for name in names if QUASI_NAME.search(name) and not IDENTIFIER_NAME.search(name))
    return [
        Finding(check, float(found), None, f"{found} such column{'s' * (found != 1)}.")
        for check, found in (("cohort.identifiers", direct), ("cohort.quasi-identifiers", quasi))
    ]


def _gate(study: Study, table: StudyTable, fates: Fates, profile: Profile) -> list[CheckResult]:
    """Apply the gate that the study sets; these are the cohort's hard checks."""
    gate = study.qc.gate
    counts = fates.patient_counts()
    patients = sum(counts.values())
    kept = sum(counts[fate] for fate in KEPT_FATES)
    short = max(0, gate.min_patients - kept)
    excluded = (patients - kept) / patients if patients else 1.0
    labels = table.labels[fates.kept]
    positive = int((labels == 1).sum())
    absent = (positive == 0) + (positive == len(labels))
    share = max(positive, len(labels) - positive) / len(labels) if len(labels) else None
    findings = [
        Finding(
            "cohort.patients",
            float(short),
            kept,
            f"{kept} patients passed, the study asks for {gate.min_patients}.",
        ),
        Finding(
            "cohort.classes",
            float(absent) if len(labels) else None,
            len(labels),
            f"{positive} positive and {len(labels) - positive} negative.",
        ),
        Finding("cohort.balance", share, positive, f"{positive} of {len(labels)} are positive."),
    ]
    results = [result_of(finding, profile) for finding in findings]
    detail = f"{patients - kept} of {patients} patients were left out."
    finding = Finding(
        "cohort.excluded",
        excluded,
        patients - kept,
        detail,
        study_limit=gate.max_excluded_fraction,
    )
    return [*results, result_of(finding, profile)]
