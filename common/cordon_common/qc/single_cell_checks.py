"""The checks of single cells: rows of the registry, with their plain sentences."""

from __future__ import annotations

from functools import partial

from cordon_common.qc.checks import Bounds, Wording
from cordon_common.qc.rows import cohort_check, sample_check
from cordon_common.qc.verdict import ReasonCode

SINGLE_CELL = "single-cell"
_BEST_PRACTICE = "single-cell best practices (Heumos et al. 2023, Nat Rev Genet 24:550)"

_sample = partial(sample_check, modality=SINGLE_CELL)
_cohort = partial(cohort_check, modality=SINGLE_CELL)

CHECKS = (
    _sample(
        "cells.counts",
        ReasonCode.NOT_COUNTS,
        Bounds("share of stored values that no count can be", "molecules are whole", fail=0.0),
        Wording(
            "Values are counts",
            "Values are negative or have decimals: normalised values were sent as counts.",
            "Store the raw counts in X, in raw, or in a layer named counts.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "cells.number",
        ReasonCode.LOW_DEPTH,
        Bounds(
            "cells",
            "fewer cells than a hundred give no distribution; below ten nothing can be said",
            warn=100,
            fail=10,
            worse="lower",
        ),
        Wording(
            "Enough cells",
            "The sample holds very few cells.",
            "Check the loading, and whether the filtered matrix was made with the right settings.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "cells.depth",
        ReasonCode.LOW_DEPTH,
        Bounds(
            "median molecules per cell",
            f"{_BEST_PRACTICE}: cells with few hundred counts are mostly debris",
            warn=500,
            worse="lower",
        ),
        Wording(
            "Enough molecules per cell",
            "The typical cell holds few molecules, so that cell types blur.",
            "Sequence deeper; check whether empty droplets were taken for cells.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "cells.genes",
        ReasonCode.LOW_DEPTH,
        Bounds("median genes per cell", _BEST_PRACTICE, warn=200, worse="lower"),
        Wording(
            "Enough genes per cell",
            "The typical cell shows few genes.",
            "Compare with the depth: few genes at many molecules is a library of low complexity.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "cells.mitochondrial",
        ReasonCode.LOW_QUALITY,
        Bounds(
            "share of cells beyond 3 MAD or 8 % mitochondrial molecules",
            _BEST_PRACTICE,
            warn=0.2,
            fail=0.8,
        ),
        Wording(
            "Few dying cells",
            "Many cells hold many mitochondrial molecules, as cells do whose membrane broke.",
            "Take such cells out before training; heart and muscle need a higher limit.",
        ),
        assay_dependent=True,
    ),
    _sample(
        "cells.outliers",
        ReasonCode.OUTLIER,
        Bounds(
            "share of cells beyond 5 MAD in log counts, log genes or the top 20 genes' share",
            _BEST_PRACTICE,
            warn=0.1,
        ),
        Wording(
            "Cells like one another",
            "Many cells lie far from the sample's own medians.",
            "Take them out as doublets, debris or damaged cells, after a look at the plots.",
        ),
    ),
    _sample(
        "cells.doublets",
        ReasonCode.DOUBLETS,
        Bounds(
            "estimated share of doublets above what the loading explains",
            "0.8 % per 1,000 cells recovered, droplet kits' user guides; 15 points on top are "
            "more than the estimate's error in samples of few cells",
            warn=0.15,
        ),
        Wording(
            "Few doublets",
            "More droplets hold two cells than the number of cells explains.",
            "Take high-scoring cells out; load fewer cells next time.",
        ),
    ),
    _sample(
        "cells.ambient",
        ReasonCode.CONTAMINATION,
        Bounds(
            "share of molecules from free RNA",
            "Young, Behjati 2020, GigaScience 9:giaa151: 2 to 10 % are usual, 20 % is high",
            warn=0.2,
        ),
        Wording(
            "Little free RNA",
            "Molecules of broken cells are counted in every droplet.",
            "Correct the counts for ambient RNA before training.",
        ),
    ),
    _sample(
        "cells.dropout",
        ReasonCode.EXCESS_ZEROS,
        Bounds(
            "share of genes with more zeros than a negative binomial",
            "droplet counts show no zero inflation (Svensson 2020, Nat Biotechnol 38:147)",
            warn=0.1,
        ),
        Wording(
            "Zeros as counts explain them",
            "Many genes are absent from more cells than their mean and variance explain.",
            "Look for a second population or batch in the sample, or a filter that zeroed values.",
        ),
    ),
    _cohort(
        "cells.sample-depth",
        ReasonCode.OUTLIER,
        Bounds(
            "ratio of the deepest to the shallowest sample's median molecules",
            "down-sampling to the shallowest is usual up to a factor of 3",
            warn=3.0,
        ),
        Wording(
            "Samples of similar depth",
            "The typical cell of one sample holds several times the molecules of another's.",
            "Sequence the shallow samples deeper, or down-sample the others, before comparing.",
        ),
    ),
)
