"""Which records and patients take part, and why the others do not.

Stability: every rule here looks at one record, or at the records of one patient, except
`duplicate patients`. `cordon_common/qc/PROOF.md` gives the argument, the tests search for
counter-examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cordon_client.qc.cells import MISSING, UNKNOWN
from cordon_client.qc.identity import content_hash, patient_hashes, row_hashes
from cordon_common.protocol.dictionary import NumberFeature
from cordon_common.qc.fates import PatientFate, RecordFate

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.qc.columns import StudyTable
    from cordon_client.qc.identity import RowHashes
    from cordon_common.protocol.study import Study

    Mask = npt.NDArray[np.bool_]
    Codes = npt.NDArray[np.int64]

RECORD_FATES = tuple(RecordFate)
PATIENT_FATES = tuple(PatientFate)
_CODE = {fate: code for code, fate in enumerate(RECORD_FATES)}

_EXCLUDED_AS = (
    (RecordFate.DUPLICATE_PATIENT, PatientFate.DUPLICATE_PATIENT),
    (RecordFate.SAMPLE_NOT_LISTED, PatientFate.SAMPLE_NOT_LISTED),
    (RecordFate.SAMPLE_FAILED, PatientFate.SAMPLE_FAILED),
    (RecordFate.LABEL_MISSING, PatientFate.LABEL_MISSING),
    (RecordFate.LABEL_UNKNOWN, PatientFate.LABEL_UNKNOWN),
    (RecordFate.IMPOSSIBLE_VALUE, PatientFate.IMPOSSIBLE_VALUE),
    (RecordFate.UNKNOWN_CATEGORY, PatientFate.UNKNOWN_CATEGORY),
)
"""Which fate of a record names the fate of a patient without any kept record; first match."""


@dataclass(frozen=True)
class Fates:
    """What became of everyone.

    records: int8 [records], index into RECORD_FATES. patient: int64 [records], patient number,
    MISSING where the record belongs to nobody. hashes: 32-byte keyed hash per patient number.
    patients: int8 [patients], index into PATIENT_FATES. distinct: bool [records], not a copy and
    not without a patient. summary_choice: bool [records], the distinct records that the summary
    counts (at most the cap per patient). twins: patients with the same records under other ids.
    """

    records: npt.NDArray[np.int8]
    patient: Codes
    hashes: tuple[bytes, ...]
    patients: npt.NDArray[np.int8]
    distinct: Mask
    rows: RowHashes
    twins: int

    @property
    def kept(self) -> Mask:
        """The records that train or evaluate: bool [records]."""
        return np.equal(self.records, _CODE[RecordFate.KEPT])

    def record_counts(self) -> dict[RecordFate, int]:
        """Count records per fate."""
        counts = np.bincount(self.records, minlength=len(RECORD_FATES)).tolist()
        return dict(zip(RECORD_FATES, counts, strict=True))

    def patient_counts(self) -> dict[PatientFate, int]:
        """Count patients per fate."""
        counts = np.bincount(self.patients, minlength=len(PATIENT_FATES)).tolist()
        return dict(zip(PATIENT_FATES, counts, strict=True))


def decide_fates(
    study: Study, table: StudyTable, key: bytes, of_files: npt.NDArray[np.int8] | None = None
) -> Fates:
    """Apply the study's exclusion rules to every record, then sum up per patient.

    of_files: int8 [records], what became of the files behind each record (`SampleGate.of_records`);
    None for a study that asks for none.
    """
    cohort = study.cohort
    rows = row_hashes(key, table.content(cohort))
    if table.patient is None or table.ids is None:
        patient, first = _group_rows(rows)
        hashes = [rows.digests[index] for index in first]
    else:
        patient, hashes = table.patient, patient_hashes(key, table.ids)

    records = np.full(table.records, _CODE[RecordFate.KEPT], dtype=np.int8)
    nobody = patient == MISSING
    if of_files is None:
        of_files = records.copy()
    copies = _copies(patient, rows, of_files) & ~nobody
    records[nobody] = _CODE[RecordFate.PATIENT_ID_MISSING]
    records[copies] = _CODE[RecordFate.DUPLICATE_RECORD]
    for fate, hit in (*_rules_of_files(of_files), *_record_rules(study, table)):
        records[hit & (records == _CODE[RecordFate.KEPT])] = _CODE[fate]
    eligible = records == _CODE[RecordFate.KEPT]
    chosen = first_per_patient(patient, rows, eligible, cohort.max_records_per_patient)
    records[eligible & ~chosen] = _CODE[RecordFate.OVER_CAP]

    twins, survivor = _twins(patient, rows, chosen, hashes)
    if table.ids is not None and study.qc.duplicate_patients == "exclude":
        records[chosen & ~survivor[patient]] = _CODE[RecordFate.DUPLICATE_PATIENT]
        hashes = _hashes_by_content(key, patient, rows, chosen, hashes)
    return Fates(
        records=records,
        patient=patient,
        hashes=tuple(hashes),
        patients=_patient_fates(records, patient, len(hashes)),
        distinct=~copies & ~nobody,
        rows=rows,
        twins=twins,
    )


def first_per_patient(patient: Codes, rows: RowHashes, candidates: Mask, cap: int) -> Mask:
    """Choose at most `cap` candidate records of each patient, smallest content hash first.

    Guarantee: depends on the patient's own records and the key only, not on their order.
    """
    index = np.flatnonzero(candidates)
    if np.bincount(patient[index]).max(initial=0) <= cap:
        return candidates.copy()
    order = index[np.lexsort((rows.low[index], rows.high[index], patient[index]))]
    owner = patient[order]
    starts = _starts(owner)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    chosen = np.zeros(len(candidates), dtype=np.bool_)
    chosen[order[rank < cap]] = True
    return chosen


def _starts(sorted_owner: Codes) -> Codes:
    """Return where each run of equal numbers begins."""
    return np.flatnonzero(np.diff(sorted_owner, prepend=-1)).astype(np.int64)


def _group_rows(rows: RowHashes) -> tuple[Codes, Codes]:
    """Number the distinct rows by first occurrence; returns numbers and first positions."""
    frame = pd.DataFrame({"high": rows.high, "low": rows.low})
    number = np.asarray(frame.groupby(["high", "low"], sort=False).ngroup(), dtype=np.int64)
    first = np.flatnonzero(~frame.duplicated().to_numpy()).astype(np.int64)
    return number, first


def _copies(patient: Codes, rows: RowHashes, of_files: npt.NDArray[np.int8]) -> Mask:
    """Tell which records repeat one of their patient; one whose files passed is the one that stays."""
    frame = pd.DataFrame({"patient": patient, "high": rows.high, "low": rows.low})
    if (of_files == _CODE[RecordFate.KEPT]).all():
        return np.asarray(frame.duplicated().to_numpy(), dtype=np.bool_)
    worse = np.where(of_files == _CODE[RecordFate.KEPT], -1, of_files)
    order = np.argsort(worse, kind="stable")
    copies = np.zeros(len(frame), dtype=np.bool_)
    copies[order] = frame.iloc[order].duplicated().to_numpy()
    return copies


def _rules_of_files(of_files: npt.NDArray[np.int8]) -> list[tuple[RecordFate, Mask]]:
    rules = (RecordFate.SAMPLE_NOT_LISTED, RecordFate.SAMPLE_FAILED)
    return [(fate, np.equal(of_files, _CODE[fate])) for fate in rules]


def _record_rules(study: Study, table: StudyTable) -> list[tuple[RecordFate, Mask]]:
    """Evaluate the rules that look at one record, in the order in which they give the reason."""
    impossible = np.zeros(table.records, dtype=np.bool_)
    unknown = np.zeros(table.records, dtype=np.bool_)
    for feature in study.cohort.measured:
        if isinstance(feature, NumberFeature):
            if feature.impossible == "exclude":
                column = table.numbers[feature.name]
                impossible |= column.invalid | outside(column.values, feature)
        elif feature.unknown == "exclude":
            unknown |= table.categories[feature.name] == UNKNOWN
    return [
        (RecordFate.LABEL_MISSING, table.labels == MISSING),
        (RecordFate.LABEL_UNKNOWN, table.labels == UNKNOWN),
        (RecordFate.IMPOSSIBLE_VALUE, impossible),
        (RecordFate.UNKNOWN_CATEGORY, unknown),
    ]


def outside(values: npt.NDArray[np.float64], feature: NumberFeature) -> Mask:
    """Tell which values lie outside the plausible range; a missing value does not."""
    low, high = feature.range
    return (values < low) | (values > high)


def _twins(patient: Codes, rows: RowHashes, chosen: Mask, hashes: list[bytes]) -> tuple[int, Mask]:
    """Find patients whose chosen records are equal as sets.

    Returns the number of surplus patients, and per patient whether it is the one of its group
    with the smallest keyed hash (bool [patients]; patients without records survive).
    """
    survivor = np.ones(len(hashes), dtype=np.bool_)
    index = np.flatnonzero(chosen)
    if not len(index):
        return 0, survivor
    order = index[np.argsort(patient[index], kind="stable")]
    owner = patient[order]
    starts = _starts(owner)
    # Adding keyed hashes modulo 2^64 hashes the set (Clarke et al. 2003, MSet-Add-Hash).
    frame = pd.DataFrame(
        {
            "high": np.add.reduceat(rows.high[order], starts),
            "low": np.add.reduceat(rows.low[order], starts),
            "records": np.diff(np.r_[starts, len(order)]),
            "owner": owner[starts],
        }
    )
    content = ["high", "low", "records"]
    grouped = frame[frame.duplicated(content, keep=False)].copy()
    grouped["hash"] = [hashes[number] for number in grouped["owner"]]
    losers = grouped.sort_values("hash").duplicated(content)
    survivor[grouped["owner"][losers.index[losers]].to_numpy()] = False
    return int(losers.sum()), survivor


def _hashes_by_content(
    key: bytes, patient: Codes, rows: RowHashes, chosen: Mask, hashes: list[bytes]
) -> list[bytes]:
    """Replace each patient's hash by one of their records.

    So that twins fall on the same side of the split, and it does not matter who of them survives.
    """
    result = list(hashes)
    index = np.flatnonzero(chosen)
    order = index[np.argsort(patient[index], kind="stable")]
    owner = patient[order]
    for block in np.split(order, _starts(owner)[1:]):
        if len(block):
            result[patient[block[0]]] = content_hash(key, [rows.digests[row] for row in block])
    return result


def _patient_fates(
    records: npt.NDArray[np.int8], patient: Codes, patients: int
) -> npt.NDArray[np.int8]:
    code = {fate: number for number, fate in enumerate(PATIENT_FATES)}
    has = {fate: np.zeros(patients, dtype=np.bool_) for fate in RECORD_FATES}
    for fate in RECORD_FATES:
        owners = patient[records == _CODE[fate]]
        has[fate][owners[owners != MISSING]] = True
    result = np.full(patients, code[PatientFate.KEPT], dtype=np.int8)
    result[has[RecordFate.DUPLICATE_RECORD]] = code[PatientFate.KEPT_WITHOUT_DUPLICATES]
    partly = np.logical_or.reduce([has[fate] for fate, _ in _EXCLUDED_AS])
    result[partly | has[RecordFate.OVER_CAP]] = code[PatientFate.KEPT_IN_PART]
    lost = ~has[RecordFate.KEPT]
    for fate, named in reversed(_EXCLUDED_AS):
        result[lost & has[fate]] = code[named]
    return result
