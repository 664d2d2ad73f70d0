"""What a hospital's quality control sends, as the coordinator reads it under the study's own noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cordon_common.privacy.schedule import planned_events, release_grid
from cordon_common.qc.summary import decode, qc_layout
from cordon_server.gate import SiteReport

if TYPE_CHECKING:
    from cordon_client.qc.tabular import TableQc
    from cordon_common.protocol.study import Study


def report_of(
    study: Study, site: str, qc: TableQc, rng: np.random.Generator, *, noise: float = 1.0
) -> SiteReport:
    """Add the noise of the study's plan to a site's summary and read it back.

    study: with its noise resolved. noise: as a part of the plan's. Normal noise, rounded: the exact
    discrete sampler has the same spread, and no seed.
    """
    gamma, std = release_grid(study).qc, noise * planned_events(study).qc.noise_std_grid
    noisy = np.rint(qc.summary * gamma + rng.normal(0, std, len(qc.summary)))
    read = decode(qc_layout(study), noisy.astype(np.int64), grid_per_unit=gamma, noise_std_grid=std)
    return SiteReport(site, qc.verdict, read)
