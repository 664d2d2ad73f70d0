"""Quality control of a clinical table: read, decide fates, measure, judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cordon_client.qc.columns import read_columns
from cordon_client.qc.fates import decide_fates, outside
from cordon_client.qc.identity import check_key
from cordon_client.qc.judge_cohort import judge_cohort
from cordon_client.qc.judge_features import judge_features
from cordon_client.qc.judge_sheet import judge_sheet
from cordon_client.qc.measure import feature_stats, summary_vector
from cordon_client.qc.reader import DEFAULT_MAX_BYTES, read_table
from cordon_client.records import CleanTable
from cordon_common.errors import CheckFailed, DataError
from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.qc.fates import KEPT_FATES
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.verdict import CheckClass, CohortVerdict, ReasonCode, Severity, worst

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from cordon_client.qc.columns import StudyTable
    from cordon_client.qc.fates import Fates
    from cordon_client.qc.measure import FeatureStats
    from cordon_client.qc.sample_gate import SampleGate
    from cordon_common.protocol.study import Study
    from cordon_common.qc.fates import PatientFate, RecordFate
    from cordon_common.qc.profile import Profile
    from cordon_common.qc.summary import QcLayout
    from cordon_common.qc.verdict import CheckResult

_ERROR_OF_REASON = {
    ReasonCode.IDENTIFIER_COLUMN: "CK105",
    ReasonCode.WRONG_UNIT: "CK104",
    ReasonCode.ONE_CLASS_ONLY: "CK103",
    ReasonCode.TOO_MANY_EXCLUDED: "CK102",
    ReasonCode.TOO_FEW_PATIENTS: "CK101",
}
"""The code of each hard failure; the first that applies is the likeliest root of the others."""


@dataclass(frozen=True)
class TableQc:
    """Everything that quality control found; all of it stays at the site.

    clean: the records that passed. verdict: the coarse part that the study declares as leaving.
    summary: the exact vector, float64 [layout.dimension]; it leaves only noised, through the
    airlock. row_fates: int8 [records of the file], index into RecordFate in its order. samples: what
    became of the sample files, where the study asks for them.
    """

    clean: CleanTable
    verdict: CohortVerdict
    results: tuple[CheckResult, ...]
    record_fates: dict[RecordFate, int]
    patient_fates: dict[PatientFate, int]
    features: tuple[FeatureStats, ...]
    labels: tuple[int, int]
    layout: QcLayout
    summary: npt.NDArray[np.float64]
    row_fates: npt.NDArray[np.int8]
    samples: SampleGate | None = None

    @property
    def patients_kept(self) -> int:
        """Patients with at least one record that passed."""
        return sum(self.patient_fates[fate] for fate in KEPT_FATES)

    def require_trainable(self) -> None:
        """Do nothing when the cohort may train.

        Raises:
            CheckFailed: CK101 to CK105 for the hard check that failed, CK109 when a hard check
                could not be carried out.
        """
        if self.verdict.may_train:
            return
        failed = {r.reason: r for r in self.results if r.severity is Severity.FAIL}
        small = REGISTRY["cohort.patients"].reason
        if small in failed and sum(self.patient_fates.values()) == self.patients_kept:
            raise CheckFailed("CK101", why=failed[small].detail)
        for reason, code in _ERROR_OF_REASON.items():
            if reason in failed:
                result = failed[reason]
                where = f"{result.subject}: " if result.subject else ""
                raise CheckFailed(code, why=where + result.detail)
        raise CheckFailed("CK109")


def run_table_qc(
    study: Study,
    path: Path,
    key: bytes,
    *,
    profile: Profile | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    samples: SampleGate | None = None,
) -> TableQc:
    """Check a hospital's CSV or Parquet file against the study.

    key: the site's 32-byte split key. profile: thresholds; the built-in profile that the study
    names when None. samples: which sample files passed. Guarantee: which records are kept changes for at most
    `exclusion_stability(study)` patients when one patient joins or leaves.

    Raises:
        DataError: DA001 to DA017 when the file or the key cannot be used at all; DA080 when the
            study asks for checked sample files and none are given.
        ProtocolError: PR020 when the study's profile is unknown.
    """
    check_key(key)
    profile = builtin_profile(study.qc.profile) if profile is None else profile
    if bool(study.qc.samples) != (samples is not None):
        raise DataError("DA080")
    column = None if samples is None else samples.column
    also = () if column is None else (column,)
    source = read_table(path, study.cohort, also=also, max_bytes=max_bytes)
    table = read_columns(source, study.cohort, sample_column=column)
    of_files = None if samples is None else samples.of_records(table)
    fates = decide_fates(study, table, key, of_files)
    stats = feature_stats(table, fates, study.cohort)
    results = (
        *judge_cohort(study, table, fates, source.unread, profile),
        *([] if samples is None else judge_sheet(samples, table, fates, profile)),
        *judge_features(study, table, fates, stats, profile),
    )
    layout, summary = summary_vector(study, table, fates)
    labels = table.labels[fates.kept]
    return TableQc(
        clean=_clean(study, table, fates),
        verdict=_verdict(profile, results),
        results=results,
        record_fates=fates.record_counts(),
        patient_fates=fates.patient_counts(),
        features=stats,
        labels=(int((labels == 0).sum()), int((labels == 1).sum())),
        layout=layout,
        summary=summary,
        row_fates=fates.records,
        samples=samples,
    )


def _clean(study: Study, table: StudyTable, fates: Fates) -> CleanTable:
    kept = fates.kept
    numbers, categories = {}, {}
    for feature in study.cohort.measured:
        if isinstance(feature, NumberFeature):
            values = table.numbers[feature.name].values[kept]
            numbers[feature.name] = np.where(outside(values, feature), np.nan, values)
        else:
            categories[feature.name] = np.maximum(table.categories[feature.name][kept], -1)
    return CleanTable(
        arrays={name: array[kept] for name, array in table.arrays.items()},
        numbers=numbers,
        categories=categories,
        labels=table.labels[kept],
        patients=tuple(fates.hashes[number] for number in fates.patient[kept].tolist()),
    )


def _verdict(profile: Profile, results: tuple[CheckResult, ...]) -> CohortVerdict:
    checks: dict[str, Severity] = {}
    for result in results:
        checks[result.check] = worst((result.severity, checks.get(result.check, result.severity)))
    stops = {Severity.FAIL, Severity.ERROR}
    hard = [check for check in checks if REGISTRY[check].check_class is CheckClass.LOCAL_HARD]
    return CohortVerdict(
        profile=profile.name,
        severity=worst(checks.values()),
        checks=dict(sorted(checks.items())),
        reasons=tuple(sorted({result.reason for result in results if result.reason})),
        may_train=not any(checks[check] in stops for check in hard),
    )
