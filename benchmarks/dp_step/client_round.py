"""One round of four hospitals on the breast cancer records: 8 Poisson steps each, then their ε.

The question after every round is the same in both: ε by Rényi divergences of all steps so far.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from benchmarks.dp_step.timing import interleaved
from benchmarks.lines import Line, ratio_line
from cordon_client.models.registry import initial_weights
from cordon_client.records import Tensors
from cordon_client.training.fedavg import release_update
from cordon_client.training.fedsgd import PatientSums
from cordon_common.privacy.accounting import epsilon_pld, epsilon_rdp
from cordon_common.privacy.counting import EventCounts
from cordon_common.privacy.schedule import planned_events
from cordon_common.protocol.study import Study
from cordon_common.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from torch.utils.data import TensorDataset

    Vector = npt.NDArray[np.float64]

SITES = 4
STEPS = 8
RATE = 1 / STEPS
CLIP = 1.0
NOISE_MULTIPLIER = 1.0
LEARNING_RATE = 0.1
DELTA = 1e-5
HIDDEN = 64


def client_round(repeats: int) -> list[Line]:
    """Time a round of all four sites in both ways; every round asks for ε of what was spent."""
    sites = _sites()
    study = _study([len(site.labels) for site in sites])
    ours, theirs = _Kernel(study, sites), _Opacus(sites)
    times = interleaved({"kernel": ours.run, "opacus": theirs.run}, repeats=min(repeats, 9))
    rounds = ours.rounds
    apart = abs(ours.epsilon / theirs.epsilon_after(rounds) - 1)
    kernel, opacus = (float(np.median(times[name])) * 1e3 for name in ("kernel", "opacus"))
    line = ratio_line(
        "client round, 4 sites, 8 Poisson steps + ε ÷ Opacus",
        times["kernel"],
        times["opacus"],
        must=1 / 10,
        aim=1 / 30,
    )
    return [
        Line(**(vars(line) | {"note": f"{line.note}; {kernel:.1f} ms, Opacus {opacus:.0f} ms"})),
        Line("client round: ε by Rényi against Opacus, apart", apart, 0.01, 1e-6),
        Line("ε by PLD after one more round", ours.headline_s() * 1e3, None, unit=" ms"),
    ]


class _Kernel:
    """The kernel's round: private local steps, the update on the grid, ε of the ledger."""

    def __init__(self, study: Study, sites: list[Tensors]) -> None:
        self._study = study
        self._sums = [PatientSums(site, study) for site in sites]  # a vault keeps them warm
        self._event = planned_events(study).training
        self._weights = initial_weights(study)
        self._spent = [EventCounts() for _ in sites]
        self.epsilon = 0.0

    @property
    def rounds(self) -> int:
        """How many rounds were charged."""
        return len(self._spent[0])

    def run(self) -> None:
        """Run one round at every site."""
        for sums, spent in zip(self._sums, self._spent, strict=True):
            spent.add(self._event)
            release_update(sums, self._weights, self._study, self._event, share=1 / SITES)
            self.epsilon = epsilon_rdp(spent, DELTA)

    def headline_s(self) -> float:
        """CPU seconds of the headline ε of one site after a round that was never asked about."""
        self._spent[0].add(self._event)
        started = time.process_time()
        epsilon_pld(self._spent[0], DELTA)
        return time.process_time() - started


class _Opacus:
    """The same with Opacus: its data loader, optimiser and accountant, history carried over."""

    def __init__(self, sites: list[Tensors]) -> None:
        from opacus import PrivacyEngine  # slow to import

        self._make: Callable[[], PrivacyEngine] = lambda: PrivacyEngine(accountant="rdp")
        self._data = [_dataset(site) for site in sites]
        self._histories: list[list[tuple[float, float, int]]] = [[] for _ in sites]

    def run(self) -> None:
        """Run one round at every site."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for number, data in enumerate(self._data):
                self._site(number, data)

    def _site(self, number: int, data: TensorDataset) -> None:
        engine = self._make()
        engine.accountant.history = self._histories[number]
        model = nn.Sequential(nn.Linear(30, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
        loader = torch.utils.data.DataLoader(data, batch_size=len(data) // STEPS + 1)
        private, optimizer, batches = engine.make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=LEARNING_RATE),
            data_loader=loader,
            noise_multiplier=NOISE_MULTIPLIER,
            max_grad_norm=CLIP,
        )
        loss = nn.BCEWithLogitsLoss()
        for inputs, labels in batches:
            optimizer.zero_grad()
            if len(inputs):
                loss(private(inputs).squeeze(1), labels).backward()
                optimizer.step()
        engine.get_epsilon(DELTA)
        self._histories[number] = engine.accountant.history

    def epsilon_after(self, rounds: int) -> float:
        """ε by Opacus' own Rényi accountant for as many steps as the kernel took."""
        from opacus.accountants import RDPAccountant

        accountant = RDPAccountant()
        accountant.history = [(NOISE_MULTIPLIER, RATE, STEPS * rounds)]
        return float(accountant.get_epsilon(DELTA))


def _sites() -> list[Tensors]:
    """Deal the 569 records out to four sites of about equal size, scaled to public ranges."""
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer()
    scaled = (table.data - table.data.mean(0)) / table.data.std(
        0
    )  # speed, not privacy, is measured
    order = np.random.default_rng(0).permutation(len(scaled))
    return [
        Tensors(
            inputs=np.ascontiguousarray(scaled[rows]),
            labels=table.target[rows].astype(np.float64),
            patients=np.arange(rows.size),
            n_patients=rows.size,
        )
        for rows in np.array_split(order, SITES)
    ]


def _dataset(site: Tensors) -> TensorDataset:
    from torch.utils.data import TensorDataset

    return TensorDataset(
        torch.from_numpy(site.inputs).float(), torch.from_numpy(site.labels).float()
    )


def _study(sizes: list[int]) -> Study:
    number = {"type": "number", "unit": "1", "range": [-20, 20], "typical": [-1, 1]}
    roster = [
        {"site": f"site-{i}", "key": str(SigningKey.generate().public), "expected_patients": size}
        for i, size in enumerate(sizes)
    ]
    value = {
        "cordon": 1,
        "name": "client-round",
        "purpose": "Time a round of private local steps.",
        "permit": {"id": "public", "end_date": "2099-12-31"},
        "cohort": {
            "features": [{"name": f"x{i}", **number} for i in range(30)],
            "label": {"name": "y", "positive": ["1"], "negative": ["0"]},
        },
        "qc": {"gate": {"min_patients": 10, "min_sites": SITES}},
        "model": {"family": "mlp", "hidden": [HIDDEN]},
        "training": {
            "algorithm": "dp-fedavg",
            "rounds": 20,
            "sampling": {"scheme": "poisson", "rate": RATE},
            "clip_norm": CLIP,
            "divisor": sum(sizes),
            "local_steps": STEPS,
            "local_learning_rate": LEARNING_RATE,
            "update_norm": 100.0,
        },
        "privacy": {
            "epsilon": 20.0,
            "delta": DELTA,
            "unprotected": ["participation", "qc_verdict"],
            "noise": {"qc": 20.0, "training": NOISE_MULTIPLIER, "evaluation": 2.0},
        },
        "roster": roster,
    }
    return Study.model_validate(value, strict=False)
