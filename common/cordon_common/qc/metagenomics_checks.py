"""The checks of taxonomic profiles: rows of the registry, with their plain sentences."""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import cohort_check, sample_check
from cordon_common.qc.verdict import ReasonCode

METAGENOMICS = "metagenomics"

_sample = partial(sample_check, modality=METAGENOMICS)
_cohort = partial(cohort_check, modality=METAGENOMICS)

CHECKS = (
    _sample(
        "taxa.values",
        ReasonCode.IMPOSSIBLE_VALUES,
        Bounds("share of taxa", "an abundance is a number from 0 on", fail=0.0),
        Wording(
            "Abundances possible",
            "Abundances are negative or missing.",
            "Export counts or relative abundances before any logarithm or ratio transform.",
        ),
    ),
    _sample(
        "taxa.consistent",
        ReasonCode.NOT_CONFORMANT,
        Bounds(
            "share of reads that the tree of the report does not account for",
            "Kraken manual: a clade's reads are its own and its children's; Bracken rounds",
            fail=0.02,
        ),
        Wording(
            "Report adds up",
            "The reads of the report's branches do not sum to their parents: lines are missing.",
            "Copy the report again; do not filter its lines.",
        ),
    ),
    _sample(
        "taxa.empty",
        ReasonCode.LOW_DEPTH,
        Bounds("taxa", "a profile without a taxon is no profile", fail=1, worse="lower"),
        Wording(
            "Something was found",
            "No taxon has an abundance in this sample.",
            "Check extraction and sequencing; leave the sample out.",
        ),
    ),
    _sample(
        "taxa.depth",
        ReasonCode.LOW_DEPTH,
        Bounds(
            "reads",
            "shotgun profiles of stool are stable from about 1 M reads on (Hillmann et al. 2018, "
            "mSystems 3:e00069-18, at half of that)",
            warn=1e6,
            worse="lower",
        ),
        Wording(
            "Enough reads",
            "Few reads were classified, so that rare taxa are missed.",
            "Sequence deeper; amplicon studies need less and have their own profile.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "taxa.resolution",
        ReasonCode.LOW_DEPTH,
        Bounds(
            "smallest share that was seen",
            "at 1 M reads a species of 10 reads has a share of 1e-5",
            warn=1e-5,
        ),
        Wording(
            "Rare taxa seen",
            "Even the rarest taxon is frequent: the sample was sequenced shallowly.",
            "Compare its depth with the other samples; missing rare taxa look like low diversity.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "taxa.host",
        ReasonCode.CONTAMINATION,
        Bounds(
            "share of reads",
            "human reads identify their donor; stool has below 1 %, biopsies up to 90 %",
            warn=0.01,
        ),
        Wording(
            "Human reads removed",
            "Reads of the host are still in the data: they identify the patient.",
            "Remove them at the hospital before anything else is done with the files.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "taxa.unclassified",
        ReasonCode.LOW_QUALITY,
        Bounds(
            "share of reads", "half unknown is usual for soil, not for the human body", warn=0.5
        ),
        Wording(
            "Most reads classified",
            "Most reads match nothing in the classifier's database.",
            "Check the database, the adapters, and whether the sample is what it should be.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "taxa.closure",
        ReasonCode.NOT_CLOSED,
        Bounds("distance of the sum from 1", "shares of a whole sum to it", warn=0.05),
        Wording(
            "Relative abundances sum to one",
            "The shares do not sum to 100 %: taxa were filtered after the shares were computed.",
            "Compute the shares again after filtering, or give the unknown part its own row.",
        ),
    ),
    _sample(
        "taxa.dominance",
        ReasonCode.OUTLIER,
        Bounds("share of the most frequent taxon", "a bloom or an overgrown sample", warn=0.9),
        Wording(
            "No taxon takes over",
            "One taxon holds nearly the whole sample.",
            "Check storage before freezing, contamination, and treatment with antibiotics.",
        ),
    ),
    _sample(
        "taxa.reagents",
        ReasonCode.CONTAMINATION,
        Bounds(
            "share of reads in genera of soil and water that live in reagents",
            "Salter et al. 2014, BMC Biol 12:87, table 1",
            warn=0.1,
        ),
        Wording(
            "Few reagent genera",
            "Genera that live in extraction kits make up a visible part.",
            "Usual where little DNA went in; compare with negative controls of the same kit.",
        ),
        assay_dependent=True,
    ),
    _cohort(
        "taxa.shallow-samples",
        ReasonCode.LOW_DEPTH,
        Bounds("share of samples", "a fifth is a run or a site, not a few bad samples", warn=0.2),
        Wording(
            "Cohort deep enough",
            "Many samples were sequenced shallowly.",
            "Take depth as a covariate; consortium-wide, compare sites at one depth only.",
        ),
    ),
    _cohort(
        "taxa.contaminants",
        ReasonCode.CONTAMINATION,
        Bounds(
            "largest share of a sample's reads in contaminants",
            "decontam's prevalence method (Davis et al. 2018, Microbiome 6:226)",
            warn=0.1,
        ),
        Wording(
            "Few contaminants",
            "Taxa that are more prevalent in negative controls than in samples hold many reads.",
            "Remove these taxa from all samples of the batch.",
        ),
    ),
    _cohort(
        "taxa.like-control",
        ReasonCode.CONTAMINATION,
        Bounds(
            "similarity (1 - Bray-Curtis) to the nearest negative control",
            "samples of one body site are 0.3 to 0.7 alike; a blank's twin is a failed extraction",
            warn=0.7,
        ),
        Wording(
            "Samples unlike the negative controls",
            "The sample looks like a negative control.",
            "The extraction probably failed: leave it out or repeat it.",
        ),
    ),
    _cohort(
        "taxa.diversity",
        ReasonCode.OUTLIER,
        Bounds("robust z of the Shannon index, either side", "5 MAD, as for cells", warn=5.0),
        Wording(
            "Diversity as in the cohort",
            "The sample is far more, or far less, diverse than the others.",
            "Check depth, overgrowth and mix-ups; antibiotics do this as well.",
        ),
    ),
    _cohort(
        "taxa.same-sample",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds("pairs of samples", "two samples never agree in every taxon", warn=0.0),
        Wording(
            "Samples listed once",
            "Two samples hold exactly the same abundances.",
            "Remove the copy; check whether two patients were given one sample.",
        ),
    ),
)
