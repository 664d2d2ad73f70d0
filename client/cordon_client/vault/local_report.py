"""Reports that stay at the hospital: quality control in full, and what the model is worth here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cordon_client.home import SiteHome
    from cordon_client.vault.cohort import StudyCohort
    from cordon_common.protocol.study import Study

_LOG = logging.getLogger("cordon.vault")


def keep_qc_report(home: SiteHome, study: Study, cohort: StudyCohort) -> None:
    """Write the local QC report."""


def keep_model_report(
    home: SiteHome, study: Study, cohort: StudyCohort, weights: npt.NDArray[np.float64]
) -> None:
    """Write the local model report."""
