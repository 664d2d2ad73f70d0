"""One round of DP-FedSGD at one site: clipped sum over patients, rounded, noised (McMahan et al.
2018; Abadi et al. 2016, with the patient as the unit).
"""  # noqa: D205 - one sentence

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import torch

from cordon_client.models.flat import FlatWeights
from cordon_client.models.registry import build, initial_weights
from cordon_client.training.clipping import float_slack
from cordon_client.training.device import CPU
from cordon_client.training.engines import engine_for
from cordon_client.training.noise import release_over
from cordon_client.training.packing import PatientIndex, block_rows
from cordon_client.training.places import check_places
from cordon_client.training.randomness import draw_aux
from cordon_client.training.sampling import draw_patients
from cordon_client.training.workspace import zeros
from cordon_common.errors import SystemFault
from cordon_common.privacy.schedule import gradient_grid
from cordon_common.privacy.sensitivity import FLOAT_SLACK, MAX_PATIENTS
from cordon_common.protocol.layout import input_columns

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_client.records import Tensors
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study


def release_round(
    tensors: Tensors, weights: npt.NDArray[np.float64], study: Study, event: Event
) -> npt.NDArray[np.int64]:
    """Return the site's noised integer sum for one round, int64 [dimension].

    event: the training event that the ledger has reserved for this very release. Works with no
    training patient at all (pure noise).

    Raises:
        ProtocolError: PR008 when the weights do not fit the model.
        SystemFault: SY041 when the result does not fit the grid, SY042 for too many patients.
    """
    return release_sum(PatientSums(tensors, study), weights, study, event)


def release_sum(
    sums: PatientSums, weights: npt.NDArray[np.float64], study: Study, event: Event
) -> npt.NDArray[np.int64]:
    """Return the same as `release_round`, over patients that were looked up before.

    Raises:
        ProtocolError: PR008 when the weights do not fit the model.
        SystemFault: SY041 when the result does not fit the grid.
    """
    steps_per_unit = gradient_grid(study.training)
    return release_over(
        sums.at(weights), grid_per_unit=steps_per_unit, noise_std_grid=event.noise_std_grid
    )


def round_sum(
    tensors: Tensors, weights: npt.NDArray[np.float64], study: Study
) -> npt.NDArray[np.float64]:
    """Return the exact clipped sum over the patients that take part, float64 [dimension].

    Not for release. Guarantee: as `PatientSums.at`.

    Raises:
        ProtocolError: PR008 when the weights do not fit the model.
        SystemFault: SY042 when there are more patients than the proof covers.
    """
    return PatientSums(tensors, study).at(weights)


class PatientSums:
    """Exact clipped gradient sums over a site's patients, at any weights; nothing for release.

    Safe for threads: one sum at a time.
    """

    def __init__(self, tensors: Tensors, study: Study, device: torch.device = CPU) -> None:
        """Build the model and its engine once.

        device: of the passes and sums; drawing who takes part, grid and noise stay on the CPU.

        Raises:
            SystemFault: SY042 when there are more patients than the proof covers, SY073 when the
                device does not compute as the proof needs.
        """
        model = build(study).to(device)
        cap = study.cohort.max_records_per_patient
        self._one_at_a_time = threading.Lock()
        self._rows = block_rows(study, model.block_rows)
        _check_size(tensors, cap, self._rows)
        self._patients = tensors.n_patients
        self._index = PatientIndex(tensors, cap=cap, dtype=model.input_dtype)
        self._sampling = study.training.sampling
        self._model = model
        self._flat = FlatWeights(model)
        self._engine = engine_for(model, clip_norm=study.training.clip_norm)
        self._device = device
        if device.type != "cpu":
            self._check_device(study)

    def _check_device(self, study: Study) -> None:
        """Hold the device against the proof at weights that are a function of the study."""
        start = initial_weights(study)
        self._flat.load(start + 0.05 * np.cos(np.arange(start.size)))
        check_places(
            self._engine,
            self._model,
            inputs=len(input_columns(study.cohort)),
            rows=self._rows,
            cap=study.cohort.max_records_per_patient,
        )

    def at(self, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the sum over a fresh draw of the patients that take part, float64 [dimension].

        Guarantee: without Poisson sampling and a model that draws latent values, a function of
        records, weights and study; adding or removing one patient moves it by at most
        clip_norm · (1 + FLOAT_SLACK) in L2.

        Raises:
            ProtocolError: PR008 when the weights do not fit the model.
        """
        taking_part = draw_patients(self._patients, self._sampling)
        total = torch.from_numpy(zeros(self._flat.size)).to(self._device)
        with self._one_at_a_time:
            self._flat.load(weights)
            for block in self._index.blocks(taking_part, rows=self._rows):
                aux = draw_aux(self._model, len(block.labels), self._device)
                self._engine.add_clipped_sum(total, block.on(self._device), aux)
        result: npt.NDArray[np.float64] = total.cpu().numpy()
        return result


def _check_size(tensors: Tensors, cap: int, rows: int) -> None:
    patients = tensors.n_patients
    slack = float_slack(patients=patients, records=len(tensors.patients), rows=max(rows, 2 * cap))
    if patients > MAX_PATIENTS or slack > FLOAT_SLACK:
        raise SystemFault("SY042")
