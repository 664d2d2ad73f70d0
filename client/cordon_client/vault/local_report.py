"""Reports that stay at the hospital: quality control in full, and what the model is worth here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.qc.report import write_report
from cordon_client.qc.report_value import ModelAtSite, Score, report_value
from cordon_client.training.local_baseline import compare_on_holdout
from cordon_common.canonical import canonical_bytes
from cordon_common.qc.fates import RecordFate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cordon_client.home import SiteHome
    from cordon_client.vault.cohort import StudyCohort
    from cordon_common.canonical import Json
    from cordon_common.evaluation import AucEstimate
    from cordon_common.protocol.study import Study


def keep_qc_report(home: SiteHome, study: Study, cohort: StudyCohort) -> None:
    """Write the local QC report of a study."""
    _keep(home, study, cohort, None)


def keep_model_report(
    home: SiteHome, study: Study, cohort: StudyCohort, weights: npt.NDArray[np.float64]
) -> None:
    """Write the report again with the worth of the study's model at this site.

    weights: float64 [dimension], the model that was evaluated. Compared with the model that the
    site could have trained alone, both exactly, on the site's own held-out patients.
    """
    models = compare_on_holdout(cohort.train, cohort.holdout, weights, study)
    federated, alone = _score(models.federated), _score(models.alone)
    if federated is None or alone is None:
        return
    model = ModelAtSite(
        positive=round(models.federated.positives),
        negative=round(models.federated.negatives),
        federated=federated,
        local_only=alone,
        confidence=study.evaluation.confidence,
    )
    _keep(home, study, cohort, model)


def _keep(home: SiteHome, study: Study, cohort: StudyCohort, model: ModelAtSite | None) -> None:
    write_report(home.reports / study.name, report_value(study, cohort.qc, model))
    facts = canonical_bytes(_facts(cohort, model))
    (home.reports / f"{study.name}.facts.json").write_bytes(facts)


def _facts(cohort: StudyCohort, model: ModelAtSite | None) -> Json:
    """Return the few numbers that a hospital may choose to tell, in the report's file format."""
    fates = cohort.qc.record_fates
    facts: dict[str, Json] = {
        "records": sum(fates.values()),
        "kept": fates[RecordFate.KEPT],
        "excluded": {
            fate.value: count
            for fate, count in fates.items()
            if count and fate is not RecordFate.KEPT
        },
    }
    if model is not None:
        facts |= {
            "alone_auc": model.local_only.auc,
            "alone_low": model.local_only.low,
            "alone_high": model.local_only.high,
        }
    return facts


def _score(estimate: AucEstimate) -> Score | None:
    if estimate.auc is None or estimate.low is None or estimate.high is None:
        return None
    return Score(estimate.auc, estimate.low, estimate.high)
