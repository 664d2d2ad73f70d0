"""Reports that stay at the hospital: quality control in full, and what the model is worth here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cordon_client.qc.report import write_report
from cordon_client.qc.report_value import ModelAtSite, Score
from cordon_client.training.local_baseline import exact_auc, train_alone
from cordon_common.canonical import canonical_bytes
from cordon_common.logs import place_of
from cordon_common.qc.fates import RecordFate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cordon_client.home import SiteHome
    from cordon_client.training.local_baseline import LocalAuc
    from cordon_client.vault.cohort import StudyCohort
    from cordon_common.canonical import Json
    from cordon_common.protocol.study import Study

_LOG = logging.getLogger("cordon.vault")


def keep_qc_report(home: SiteHome, study: Study, cohort: StudyCohort) -> None:
    """Write the local QC report of a study; a failure to write is logged and stops nothing."""
    _keep(home, study, cohort, None)


def keep_model_report(
    home: SiteHome, study: Study, cohort: StudyCohort, weights: npt.NDArray[np.float64]
) -> None:
    """Write the report again with the worth of the study's model at this site.

    weights: float64 [dimension], the model that was evaluated. Compared with the model that the
    site could have trained alone, both exactly, on the site's own held-out patients.
    """
    federated = exact_auc(cohort.holdout, weights, study)
    alone = exact_auc(cohort.holdout, train_alone(cohort.train, study), study)
    if federated is None or alone is None:
        return
    _keep(
        home,
        study,
        cohort,
        ModelAtSite(
            positive=federated.positive,
            negative=federated.negative,
            federated=_score(federated),
            local_only=_score(alone),
            confidence=study.evaluation.confidence,
        ),
    )


def _keep(home: SiteHome, study: Study, cohort: StudyCohort, model: ModelAtSite | None) -> None:
    folder = home.reports / study.name
    try:
        write_report(folder, study, cohort.qc, model=model)
        (home.reports / f"{study.name}.facts.json").write_bytes(
            canonical_bytes(_facts(cohort, model))
        )
    except Exception as error:  # noqa: BLE001 - a report must never cost a settled release
        _LOG.error("local report not written: %s", place_of(error))


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


def _score(auc: LocalAuc) -> Score:
    return Score(auc.auc, auc.low, auc.high)
