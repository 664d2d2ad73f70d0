"""The checks of bulk RNA counts: rows of the registry, with their plain sentences."""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import cohort_check, sample_check
from cordon_common.qc.verdict import ReasonCode

BULK_RNA = "bulk-rna"

_sample = partial(sample_check, modality=BULK_RNA)
_cohort = partial(cohort_check, modality=BULK_RNA)

CHECKS = (
    _sample(
        "bulk.counts",
        ReasonCode.NOT_COUNTS,
        Bounds("share of values that no count can have", "a count is a whole number", fail=0.0),
        Wording(
            "Values are counts",
            "Values are negative or have decimals: TPM, CPM or logarithms were sent as counts.",
            "Export the raw counts of the quantification, before any normalisation.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "bulk.missing",
        ReasonCode.MISSING_VALUES,
        Bounds("share of features", "a gene that was not seen has count 0", warn=0.0),
        Wording(
            "No missing counts",
            "Some features have no value in this sample.",
            "Write 0 where nothing was seen; check for tables that were joined on gene names.",
        ),
    ),
    _sample(
        "bulk.library-size",
        ReasonCode.LOW_DEPTH,
        Bounds(
            "reads in features",
            "ENCODE asks for 30 M aligned reads; a third is enough for expressed genes, below "
            "1 M most genes are noise",
            warn=10e6,
            fail=1e6,
            worse="lower",
        ),
        Wording(
            "Enough reads",
            "Few reads fell into genes, so that weakly expressed genes are noise.",
            "Sequence the library deeper; check alignment and the gene annotation.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "bulk.detected-genes",
        ReasonCode.LOW_DEPTH,
        Bounds(
            "features with at least 10 reads",
            "GTEx v8 tissues express 12 to 20 thousand genes at that depth",
            warn=10_000,
            worse="lower",
        ),
        Wording(
            "Many genes seen",
            "Fewer genes are expressed than any whole tissue expresses.",
            "Check RNA integrity, the annotation, and whether the library is a targeted panel.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "bulk.top-gene",
        ReasonCode.LOW_QUALITY,
        Bounds("share of reads", "blood without globin depletion reaches 0.3", warn=0.3),
        Wording(
            "No gene takes over",
            "One gene holds a large share of all reads.",
            "Expected for globin in blood; otherwise look for a failed depletion or adapters.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "bulk.ribosomal",
        ReasonCode.CONTAMINATION,
        Bounds("share of reads", "below a tenth after poly-A selection", warn=0.1),
        Wording(
            "Little ribosomal RNA",
            "Ribosomal RNA was not removed, so that fewer reads are left for genes.",
            "Repeat the depletion, or take ribosomal genes out and check the depth that is left.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "bulk.mitochondrial",
        ReasonCode.LOW_QUALITY,
        Bounds("share of reads", "heart and muscle reach 0.3 to 0.5, other tissue less", warn=0.3),
        Wording(
            "Mitochondrial reads within range",
            "Many reads are mitochondrial: typical of degraded or stressed tissue.",
            "Compare with the tissue's usual share and with RNA integrity.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "bulk.spike-slope",
        ReasonCode.LOW_QUALITY,
        Bounds(
            "distance of the dose-response slope from 1",
            "the ratio of spikes is preserved at slope 1 (Jiang et al. 2011, Genome Res 21:1543)",
            warn=0.2,
        ),
        Wording(
            "Spike-ins in proportion",
            "Twice the spike-in does not give twice the reads.",
            "Check the amount of spike-in, PCR cycles and saturation.",
        ),
    ),
    _sample(
        "bulk.spike-fit",
        ReasonCode.LOW_QUALITY,
        Bounds(
            "R² of the dose-response line",
            "Jiang et al. 2011 report above 0.94; 0.9 leaves room for shallow libraries",
            warn=0.9,
            worse="lower",
        ),
        Wording(
            "Spike-ins on a line",
            "The spike-ins scatter around their dose-response line.",
            "Check pipetting of the mix, and that the right mix is named.",
        ),
    ),
    _cohort(
        "bulk.size-factors",
        ReasonCode.OUTLIER,
        Bounds(
            "share of samples beyond a factor of 3",
            "median-of-ratios assumes that most genes do not change (Anders, Huber 2010)",
            warn=0.0,
        ),
        Wording(
            "Libraries of similar size",
            "A sample's size factor is more than three times, or less than a third of, the rest.",
            "Look at the sample's depth and composition before comparing it with others.",
        ),
    ),
    _cohort(
        "bulk.outlier",
        ReasonCode.OUTLIER,
        Bounds(
            "robust z of the median rank correlation with other samples, sign reversed",
            "D-statistic practice (GTEx 2015); 5 median absolute deviations as in scverse",
            warn=5.0,
        ),
        Wording(
            "Samples like one another",
            "The sample's expression ranks agree less with the other samples than theirs do.",
            "Check tissue, contamination and swaps; a rare subtype looks like this as well.",
        ),
    ),
    _cohort(
        "bulk.replicates",
        ReasonCode.SWAPPED_SAMPLE,
        Bounds(
            "smallest rank correlation within a patient",
            "ENCODE: Spearman above 0.9 between isogenic replicates",
            warn=0.9,
            worse="lower",
        ),
        Wording(
            "Replicates agree",
            "Samples of one patient correlate less than replicates should.",
            "Check for a swapped sample, different tissues under one id, or a failed library.",
        ),
    ),
    _cohort(
        "bulk.same-sample",
        ReasonCode.DUPLICATE_RECORDS,
        Bounds("samples", "two libraries never give the same counts in every gene", warn=0.0),
        Wording(
            "Samples listed once",
            "Two samples hold exactly the same counts.",
            "Remove the copy; check whether two patients were given one sample.",
        ),
    ),
)
