"""Every reason code in plain sentences, for reports that name a reason and not one check."""

from __future__ import annotations

from dataclasses import dataclass

from cordon_common.qc.verdict import ReasonCode


@dataclass(frozen=True)
class ReasonText:
    """What was found in a few words, what it means, and what to do about it."""

    found: str
    meaning: str
    advice: str


_TABLES: dict[ReasonCode, ReasonText] = {
    ReasonCode.TOO_FEW_PATIENTS: ReasonText(
        "Too few patients",
        "Fewer patients passed quality control than the study asks of every hospital.",
        "See which rule left the most patients out; otherwise the hospital is too small.",
    ),
    ReasonCode.TOO_MANY_EXCLUDED: ReasonText(
        "Many patients left out",
        "A large share of the patients did not pass; those who are left may not be typical.",
        "Repair the rule that left the most patients out at its source, then run again.",
    ),
    ReasonCode.ONE_CLASS_ONLY: ReasonText(
        "Only one outcome occurs",
        "All usable records have the same outcome, so nothing can be learnt from them.",
        "Check how the outcome is coded, and whether the export filtered on it.",
    ),
    ReasonCode.CLASS_IMBALANCE: ReasonText(
        "One outcome is rare",
        "One outcome is rare here, so results of this hospital alone will be uncertain.",
        "Nothing to repair if it is the hospital's case mix; expect wide intervals.",
    ),
    ReasonCode.WRONG_UNIT: ReasonText(
        "Values in another unit",
        "Values that are impossible in the study's unit would be plausible in another one.",
        "Find the ward, device or period that records in the other unit, and convert it.",
    ),
    ReasonCode.LABEL_MISSING: ReasonText(
        "Outcomes missing",
        "Records without an outcome cannot teach the model and are left out.",
        "Check whether the outcome is missing for one ward, period or group only.",
    ),
    ReasonCode.LABEL_UNKNOWN: ReasonText(
        "Outcomes that the study does not define",
        "The outcome holds values that the study does not define; such records are left out.",
        "Recode the outcome, or add the value to the study's definition.",
    ),
    ReasonCode.PATIENT_ID_MISSING: ReasonText(
        "Patient ids missing",
        "Records without a patient id cannot be counted towards a patient and are left out.",
        "Complete the ids in the source system, or check that the export kept the column.",
    ),
    ReasonCode.IMPOSSIBLE_VALUES: ReasonText(
        "Impossible values",
        "Values lie outside the range that the study calls plausible, or cannot occur at all.",
        "Check units first, then typing errors and codes that stand for a missing value.",
    ),
    ReasonCode.NOT_A_NUMBER: ReasonText(
        "Text in a numeric column",
        "Cells of a numeric column hold text and count as impossible values.",
        "Look for units, signs such as < or >, and decimal commas inside the cells.",
    ),
    ReasonCode.UNKNOWN_CATEGORIES: ReasonText(
        "Categories that the study does not list",
        "Cells hold categories that the study does not know.",
        "Map local codes to the study's codes before the export.",
    ),
    ReasonCode.DUPLICATE_RECORDS: ReasonText(
        "Records repeated",
        "The same record occurs more than once; it is counted once.",
        "Look for a join that multiplies rows, or an export that was appended twice.",
    ),
    ReasonCode.DUPLICATE_PATIENTS: ReasonText(
        "One patient under several ids",
        "Patients under different ids have exactly the same records.",
        "Check for patients registered twice; merge their ids in the source system.",
    ),
    ReasonCode.OVER_CAP: ReasonText(
        "More records per patient than used",
        "Patients have more records than the study uses; a fixed choice of them is used.",
        "Nothing to do, unless one record per patient was expected.",
    ),
    ReasonCode.CONFLICTING_LABELS: ReasonText(
        "Contradicting outcomes",
        "One patient, or one and the same record, has both outcomes.",
        "Check at which time the outcome was read, and whether ids were mixed up.",
    ),
    ReasonCode.MISSING_VALUES: ReasonText(
        "Much is missing",
        "A value is missing for a large part of the records.",
        "If it is never measured there, drop it or accept the loss; else check the export.",
    ),
    ReasonCode.MISSING_BY_LABEL: ReasonText(
        "Missing depends on the outcome",
        "A value is missing much more often for one outcome, so its absence alone predicts it.",
        "Check whether it is measured only when disease is suspected; consider leaving it out.",
    ),
    ReasonCode.UNDECLARED_MISSING_CODE: ReasonText(
        "A hidden code for missing",
        "One and the same impossible number occurs often, as when it stands for a missing value.",
        "Declare the code as missing in the study, or leave such cells empty.",
    ),
    ReasonCode.NEAR_CONSTANT: ReasonText(
        "Nearly constant",
        "Nearly all records hold the same value.",
        "Check that the export filled the right column; else nothing to do.",
    ),
    ReasonCode.DIGIT_PREFERENCE: ReasonText(
        "Rounded values",
        "Most values end in 0, as when a scale is read by eye and rounded.",
        "Nothing to repair; the measurement is coarser than it looks.",
    ),
    ReasonCode.SAMPLE_NOT_LISTED: ReasonText(
        "No sample on the sheet",
        "The sample sheet lists no checked sample for these patients, so they are left out.",
        "Compare ids in table and sheet, zeros in front and blanks included.",
    ),
    ReasonCode.SAMPLE_FAILED: ReasonText(
        "Sample files did not pass",
        "The files behind the features did not pass their own quality control.",
        "Repair or copy the files again at the hospital, then check them again.",
    ),
    ReasonCode.LABELS_CONTRADICT_SHEET: ReasonText(
        "Outcomes differ from the sample sheet",
        "Table and sample sheet give patients different outcomes.",
        "Find out which of the two is right; shifted lines of a sheet look like this.",
    ),
    ReasonCode.IDENTIFIER_COLUMN: ReasonText(
        "Columns that look like identifiers",
        "Columns are called, or look, like names, record numbers or addresses. They stay unread.",
        "Leave such columns out of the export; nothing is shared before they are gone.",
    ),
    ReasonCode.QUASI_IDENTIFIER: ReasonText(
        "Columns that identify together with others",
        "Columns hold birth dates, post codes or places, which identify people when combined.",
        "Replace birth dates by ages, and places by regions, or leave them out.",
    ),
    ReasonCode.FUTURE_DATE: ReasonText(
        "Dates in the future",
        "Dates lie after the day on which the file was written.",
        "Check the order of day and month, and dates that stand for 'never'.",
    ),
    ReasonCode.DATE_ORDER: ReasonText(
        "Dates out of order",
        "Something is recorded before birth, or after death.",
        "Check which of the two dates is wrong, and whether ids were mixed up.",
    ),
    ReasonCode.TEMPORAL_LEAKAGE: ReasonText(
        "Recorded after the outcome",
        "A column is known only once the outcome is: a model that uses it looks good, uselessly.",
        "Leave it out of the features, and cut records at the time of prediction.",
    ),
    ReasonCode.BROKEN_LINK: ReasonText(
        "Rows that name nobody",
        "Rows name a person or a visit that the tables do not hold; they are used for nobody.",
        "Export all tables for the same persons, from one state of the database.",
    ),
    ReasonCode.UNMAPPED_CONCEPTS: ReasonText(
        "Codes without a standard concept",
        "Codes of the source were not mapped to standard concepts, so no study will find them.",
        "Map the most frequent codes first; tell the coordinator what stays unmapped.",
    ),
}

_TOGETHER: dict[ReasonCode, ReasonText] = {
    ReasonCode.DRIFT: ReasonText(
        "A feature differs from the other hospitals",
        "Its distribution differs by more than chance and noise explain. Honest case mix does too.",
        "Compare units, devices and admission rules; do not exclude the hospital for it.",
    ),
    ReasonCode.PREVALENCE: ReasonText(
        "The outcome is more, or less, frequent than elsewhere",
        "Its share differs from the other hospitals by more than chance and noise explain.",
        "Usually the case mix; check that positive and negative are not swapped.",
    ),
    ReasonCode.OUTCOME_TURNED: ReasonText(
        "The outcome points the other way",
        "Features go with the outcome the other way round than at the other hospitals, as when "
        "positive and negative were swapped.",
        "Ask the hospital how it codes the outcome, then decide: cordon study decide.",
    ),
    ReasonCode.UNIT_DIFFERS: ReasonText(
        "A column looks recorded in another unit",
        "Its values lie where the other hospitals' would in another unit that the study names.",
        "Ask the hospital for the unit; have the column converted before it trains.",
    ),
    ReasonCode.CODES_DIFFER: ReasonText(
        "Categories look coded otherwise",
        "They are as frequent as the other hospitals' would be under other codes. Honest case mix "
        "may look so; where the link with the outcome turns too, a person decides.",
        "Compare the code list of the export with the study's dictionary.",
    ),
    ReasonCode.COLUMN_EMPTY: ReasonText(
        "A column is empty here and not elsewhere",
        "It is missing, unknown or out of range for nearly every patient of this hospital only.",
        "Often it is not measured there; check the name and the codes of the column.",
    ),
    ReasonCode.COUNT_CONTRADICTS_VERDICT: ReasonText(
        "Its numbers contradict its verdict",
        "It says that it may train, but its noised summary shows too few patients for that.",
        "Ask the hospital for its number of usable patients, then decide: cordon study decide.",
    ),
    ReasonCode.CHECKS_CONTRADICT_VERDICT: ReasonText(
        "Its checks contradict its verdict",
        "It says that it may train, but a check that would forbid it failed or was not made.",
        "Have the hospital update its software and repeat quality control; it cannot be let in.",
    ),
    ReasonCode.OTHER_PROFILE: ReasonText(
        "Another set of thresholds",
        "Its checks used another quality profile than the one that the study names.",
        "Have the hospital install the version that the study was signed for.",
    ),
    ReasonCode.TOO_FEW_SITES: ReasonText(
        "Too few hospitals",
        "Fewer hospitals passed than the study needs, so it stopped before training.",
        "Help the hospitals that were left out to repair their data; then resume the study.",
    ),
}

_SAMPLES: dict[ReasonCode, ReasonText] = {
    ReasonCode.FILE_UNREADABLE: ReasonText(
        "Unreadable files",
        "A file is missing, cut off, or not in the format that it claims.",
        "Copy it again from where it was made, and compare its checksum.",
    ),
    ReasonCode.CHECK_CRASHED: ReasonText(
        "A check could not be carried out",
        "The checks stopped at an error that nobody foresaw, so nothing is known of the sample.",
        "Leave the sample out, and report the kind of error with the file's format.",
    ),
    ReasonCode.NOT_CONFORMANT: ReasonText(
        "Not as the format demands",
        "The file breaks rules of its format, so parts of it may be read wrongly.",
        "Write it again with the tool that made it, or with a newer version of it.",
    ),
    ReasonCode.LOW_DEPTH: ReasonText(
        "Too little was measured",
        "The sample holds so few reads, counts or readings that its values are mostly chance.",
        "Check that the file is whole; else measure more, or leave the sample out.",
    ),
    ReasonCode.LOW_QUALITY: ReasonText(
        "Low quality of the measurement",
        "The instrument, or the laboratory, was unsure of what it measured.",
        "Compare with the other samples of the run; repeat it, or leave the sample out.",
    ),
    ReasonCode.CONTAMINATION: ReasonText(
        "Foreign material",
        "Part of what was measured comes from another person, organism or reagent.",
        "Find the source among samples of the same plate and batch; repeat the extraction.",
    ),
    ReasonCode.OUTLIER: ReasonText(
        "Samples unlike the others",
        "Some samples lie far away from all others of the cohort.",
        "Look at their batch first, then at what was recorded about these patients.",
    ),
    ReasonCode.SWAPPED_SAMPLE: ReasonText(
        "Samples may be swapped",
        "Data that should be of one person are of different persons.",
        "Compare plate layouts and tubes; keep both samples out until it is found.",
    ),
    ReasonCode.BATCH_EFFECT: ReasonText(
        "Batches differ",
        "The data tell in which technical batch a sample was measured.",
        "Give the batch to the analysis, or harmonise before training.",
    ),
    ReasonCode.BATCH_CONFOUNDED: ReasonText(
        "Batches go with the outcome",
        "Cases and controls were processed apart, so a model can learn the batch instead.",
        "Balance or repeat; no correction can separate the two when they are one.",
    ),
    ReasonCode.BASE_COMPOSITION: ReasonText(
        "Unbalanced bases",
        "At some positions of the reads the bases are not in balance.",
        "Normal at the start of RNA reads and in amplicons; else look for adapters.",
    ),
    ReasonCode.GC_BIAS: ReasonText(
        "GC content out of line",
        "Reads rich or poor in GC are too many or too few.",
        "Check for contamination and adapters, then for the polymerase that was used.",
    ),
    ReasonCode.DUPLICATE_READS: ReasonText(
        "Many copies of the same molecules",
        "Many reads are copies of one molecule and add no evidence.",
        "Expected in RNA and amplicons; else use more material and fewer PCR cycles.",
    ),
    ReasonCode.ADAPTERS: ReasonText(
        "Adapters in the reads",
        "Reads run into the adapter, because fragments are shorter than the reads.",
        "Trim adapters before alignment.",
    ),
    ReasonCode.LOW_MAPPING: ReasonText(
        "Reads without a certain place",
        "Many reads have no place, or no certain one, on the reference.",
        "Check the reference, then contamination and adapters.",
    ),
    ReasonCode.LOW_COVERAGE: ReasonText(
        "Coverage too thin",
        "Parts of the reference are covered by too few reads to call variants.",
        "Sequence deeper, or use the profile of a targeted or low-pass assay.",
    ),
    ReasonCode.LOW_COMPLEXITY: ReasonText(
        "Few distinct molecules",
        "The library holds few distinct fragments: reading it more often adds nothing.",
        "Prepare the library again with more material and fewer PCR cycles.",
    ),
    ReasonCode.INSERT_SIZE: ReasonText(
        "Fragments of unusual length",
        "The two ends of fragments do not lie together as they should, or overlap fully.",
        "Check that the files of a pair belong together; expected in cell-free or old DNA.",
    ),
    ReasonCode.TITV_RATIO: ReasonText(
        "Too many wrong variants",
        "The ratio of transitions to transversions is that of partly random calls.",
        "Filter the calls more strictly, and compare with other samples of the run.",
    ),
    ReasonCode.HET_HOM_RATIO: ReasonText(
        "Too many heterozygous calls",
        "Heterozygous calls are too many for the homozygous ones, as in a mixture of two people.",
        "Check for contamination; in ancestries of high diversity it is real.",
    ),
    ReasonCode.HARDY_WEINBERG: ReasonText(
        "Genotypes out of proportion in controls",
        "Controls have more or fewer heterozygotes than chance gives: mostly wrong genotypes.",
        "Leave those records out; mixed ancestry and relatives do this as well.",
    ),
    ReasonCode.SEX_MISMATCH: ReasonText(
        "Sex does not fit the record",
        "The chromosomes, or the expression, say another sex than the record.",
        "Suspect a swapped tube first, then the record.",
    ),
    ReasonCode.NOT_COUNTS: ReasonText(
        "Values are no counts",
        "Values are negative or have decimals: normalised values were sent as counts.",
        "Export the raw counts, before any normalisation.",
    ),
    ReasonCode.NOT_CLOSED: ReasonText(
        "Shares do not sum to one",
        "Relative abundances do not sum to 100 %: something was removed after they were computed.",
        "Compute the shares again, or give the unknown part its own row.",
    ),
    ReasonCode.EXCESS_ZEROS: ReasonText(
        "More zeros than counting explains",
        "Many genes are absent from more cells than their mean and variance explain.",
        "Look for a second population or batch, or a filter that wrote zeros.",
    ),
    ReasonCode.DOUBLETS: ReasonText(
        "Many doublets",
        "More droplets hold two cells than the number of cells explains.",
        "Take cells with a high score out; load fewer cells next time.",
    ),
    ReasonCode.SIGNAL_LOST: ReasonText(
        "The signal is lost",
        "Series are flat or cut off, or images are blank, for a notable part.",
        "Check electrodes, amplifier and export; leave these out.",
    ),
    ReasonCode.IRREGULAR_SAMPLING: ReasonText(
        "Readings at unequal intervals",
        "Readings come at very unequal times, often because sicker patients are read more often.",
        "Give time to the model as an input, or resample.",
    ),
}

REASONS: dict[ReasonCode, ReasonText] = _TABLES | _TOGETHER | _SAMPLES
"""One row for every reason code; a test holds the two together."""
