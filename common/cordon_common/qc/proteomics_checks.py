"""The checks of protein tables: rows of the registry, with their plain sentences."""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import cohort_check, sample_check
from cordon_common.qc.verdict import ReasonCode

PROTEOMICS = "proteomics"

_sample = partial(sample_check, modality=PROTEOMICS)
_cohort = partial(cohort_check, modality=PROTEOMICS)

CHECKS = (
    _sample(
        "prot.values",
        ReasonCode.IMPOSSIBLE_VALUES,
        Bounds(
            "share of intensities", "no intensity is infinite, or negative unless log", fail=0.0
        ),
        Wording(
            "Intensities possible",
            "Intensities are infinite, or negative where they are no logarithms.",
            "Export raw or log2 intensities; ratios and z-scores cannot be checked.",
        ),
    ),
    _sample(
        "prot.missing",
        ReasonCode.MISSING_VALUES,
        Bounds(
            "share of proteins",
            "label-free runs miss 10 to 40 % (Lazar et al. 2016, J Proteome Res 15:1116); a run "
            "that misses nearly all failed",
            warn=0.5,
            fail=0.9,
        ),
        Wording(
            "Most proteins quantified",
            "Most of the table's proteins have no intensity in this run.",
            "Check injection and chromatography; leave the run out if it failed.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "prot.contaminants",
        ReasonCode.CONTAMINATION,
        Bounds(
            "share of intensity",
            "keratin, trypsin, serum (cRAP list); a tenth displaces the sample's own proteins",
            warn=0.1,
        ),
        Wording(
            "Few contaminant proteins",
            "Keratins, trypsin and other known contaminants hold much of the intensity.",
            "Check sample handling; remove these rows before training.",
        ),
    ),
    _cohort(
        "prot.rows",
        ReasonCode.NOT_CONFORMANT,
        Bounds(
            "rows",
            "decoys estimate the error rate and are no proteins (Elias, Gygi 2007)",
            warn=0.0,
        ),
        Wording(
            "Decoys and contaminants removed",
            "Rows of decoys, contaminants, or proteins identified by a modified site only remain.",
            "Filter these rows before the table is used.",
        ),
    ),
    _cohort(
        "prot.error-rate",
        ReasonCode.LOW_QUALITY,
        Bounds(
            "share of rows above 1 % q-value", "1 % at protein level is the field's rule", warn=0.01
        ),
        Wording(
            "Identifications at 1 % error",
            "Rows have a q-value above 1 %.",
            "Filter the search at 1 % protein false discovery rate.",
        ),
    ),
    _cohort(
        "prot.sparse-proteins",
        ReasonCode.MISSING_VALUES,
        Bounds(
            "share of proteins that more than half the runs miss",
            "such rows are mostly imputed; 0.5 is the usual filter",
            warn=0.3,
        ),
        Wording(
            "Proteins seen in most runs",
            "Many proteins are missing in most runs.",
            "Keep proteins with values in at least half of the runs of one group.",
        ),
    ),
    _cohort(
        "prot.missing-not-at-random",
        ReasonCode.MISSING_VALUES,
        Bounds(
            "rank correlation of missing rate and mean log intensity",
            "Lazar et al. 2016: strongly negative when values fall below the detection limit",
            warn=-0.5,
            worse="lower",
        ),
        Wording(
            "Missing values unrelated to abundance",
            "Values are missing where proteins are rare: below the detection limit, not at random.",
            "Impute from the low end or model the limit; means would be far too high.",
        ),
    ),
    _cohort(
        "prot.missing-by-label",
        ReasonCode.MISSING_BY_LABEL,
        Bounds(
            "share of proteins that one outcome misses and the other does not",
            "E. coli on two sugars, five laboratories: at most 2.2 % by biology alone",
            warn=0.03,
        ),
        Wording(
            "Missing in cases as in controls",
            "Many proteins are missing in one outcome only: a model would learn what was measured.",
            "Check whether cases and controls were run, searched or filtered apart.",
        ),
    ),
    _cohort(
        "prot.pools",
        ReasonCode.LOW_QUALITY,
        Bounds(
            "median coefficient of variation of the pooled samples",
            "20 to 30 % is the usual limit for label-free pools",
            warn=0.3,
        ),
        Wording(
            "Pools repeat",
            "The same pooled sample gives different intensities from run to run.",
            "Check the instrument over the batch; correct drift with the pools.",
        ),
    ),
    _cohort(
        "prot.shift",
        ReasonCode.OUTLIER,
        Bounds("robust z of the run's median log intensity, either side", "5 MAD", warn=5.0),
        Wording(
            "Runs of one intensity",
            "The run's proteins are all stronger, or weaker, than in the other runs.",
            "Check the amount injected; normalise runs to one median.",
        ),
    ),
    _cohort(
        "prot.outlier",
        ReasonCode.OUTLIER,
        Bounds(
            "robust z of the median rank correlation with other runs, sign reversed",
            "as for bulk RNA: 5 MAD",
            warn=5.0,
        ),
        Wording(
            "Runs like one another",
            "The run's ranks of proteins agree less with the other runs than theirs do.",
            "Check for a swapped sample, a wrong species, or a failed digestion.",
        ),
    ),
    _cohort(
        "prot.same-sample",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds("pairs of runs", "two runs never give the same intensities", warn=0.0),
        Wording(
            "Runs listed once",
            "Two runs hold exactly the same intensities.",
            "Remove the copy; check whether two patients were given one run.",
        ),
    ),
)
