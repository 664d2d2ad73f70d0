"""A site's training releases: patients are looked up once per study, on the device of the site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_client.training.device import open_device
from cordon_client.training.fedavg import release_update
from cordon_client.training.fedsgd import PatientSums, release_sum
from cordon_common.privacy.schedule import site_weight
from cordon_common.protocol.study import FedAvg

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cordon_client.home import Device
    from cordon_client.records import Tensors
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study


class Training:
    """Noised training sums or updates of every study that a vault trains."""

    def __init__(self, site: str, device: Device) -> None:
        """Open the device.

        Raises:
            SystemFault: SY072 when it is not there.
        """
        self._site = site
        self._device = open_device(device)
        self._sums: dict[str, PatientSums] = {}

    def prepare(self, study: Study, patients: Tensors) -> PatientSums:
        """Build a study's model and engine at its first round; before anything is charged for it.

        Raises:
            SystemFault: SY042 when there are more patients than the proof covers, SY073 when the
                device does not compute as the proof needs.
        """
        sums = self._sums.get(study.digest)
        if sums is None:
            made = PatientSums(patients, study, self._device)
            sums = self._sums.setdefault(study.digest, made)
        return sums

    def release(
        self, study: Study, event: Event, patients: Tensors, weights: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int64]:
        """Return a training release by the algorithm of the study; the caller has reserved its cost."""
        sums = self.prepare(study, patients)
        if isinstance(study.training, FedAvg):
            share = site_weight(study, self._site)
            return release_update(sums, weights, study, event, share=share)
        return release_sum(sums, weights, study, event)
