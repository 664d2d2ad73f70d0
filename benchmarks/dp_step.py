"""What a private step costs next to a plain one: the kernel, plain SGD, Opacus hooks, interleaved.

python -m benchmarks.dp_step [--repeats 15] [--json FILE]

A plain step is forward, backward and torch.optim.SGD in float32. A private step is the kernel's:
per-patient clipping, exactly rounded cryptographic noise on the integer grid, and the update of the
weights. Opacus: hooks mode, its own noise (torch.randn), same optimizer. One thread, CPU time of
the process, medians over interleaved repeats; brackets hold the quartiles.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from cordon_client.models.base import Batch, PatientModel
from cordon_client.models.flat import FlatWeights
from cordon_client.training.clipping import OneBackward
from cordon_client.training.noise import release
from cordon_client.training.packing import PatientBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from cordon_client.models.base import Aux

GRID_BITS = 20
NOISE_MULTIPLIER = 10.0
LEARNING_RATE = 0.1
WARM_UP = 3


@dataclass(frozen=True)
class Case:
    """One network and batch, and what must be reached: private ÷ plain, Opacus ÷ private."""

    name: str
    widths: tuple[int, ...]
    batch: int
    must: float
    aim: float
    opacus_must: float = 1.0
    opacus_aim: float = 5.0


CASES = (
    Case("logistic 30-1, B 256", (30, 1), 256, 2.0, 1.5),
    Case("MLP 30-64-1, B 256", (30, 64, 1), 256, 2.0, 1.5),
    Case("MLP 5000-256-5, B 128", (5000, 256, 5), 128, 2.5, 1.8),
)


class Network(PatientModel):
    """Linear layers with tanh between them; one output: logistic loss, several: cross-entropy."""

    def __init__(self, widths: tuple[int, ...], dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        self.layers = nn.ModuleList(nn.Linear(a, b, dtype=dtype) for a, b in pairwise(widths))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs of the last layer, [records, outputs]."""
        values = inputs.to(self._dtype)
        for layer in self.layers[:-1]:
            values = torch.tanh(layer(values))
        outputs: torch.Tensor = self.layers[-1](values)
        return outputs

    def per_sample_loss(self, batch: Batch, aux: Aux) -> torch.Tensor:  # noqa: ARG002 - draws nothing
        """Return the loss of every record, [records], in the dtype of the labels."""
        outputs = self(batch.inputs).to(batch.labels.dtype)
        if outputs.shape[1] == 1:
            return functional.binary_cross_entropy_with_logits(
                outputs.squeeze(1), batch.labels, reduction="none"
            )
        return functional.cross_entropy(outputs, batch.labels.long(), reduction="none")

    def scores(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs as they are; nothing here scores."""
        return self(inputs)


def main() -> int:
    """Print the table; 0 only if every must is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'net':<24}{'plain ms':>10}{'private ms':>12}{'Opacus ms':>12}", end="")
    print(f"{'÷ plain':>20}{'must':>6}{'aim':>6}{'Opacus ÷':>18}{'must':>6}{'aim':>6}")
    rows, reached = [], []
    for case in CASES:
        times = _measure(case, options.repeats)
        ratio = _ratio(times["private"], times["plain"])
        gain = _ratio(times["opacus"], times["private"])
        reached += [ratio[1] <= case.must, gain[1] >= case.opacus_must]
        medians = {name: float(np.median(values)) * 1e3 for name, values in times.items()}
        rows.append({"case": asdict(case), "ms": medians, "ratio": ratio, "opacus_gain": gain})
        print(f"{case.name:<24}{medians['plain']:>10.2f}{medians['private']:>12.2f}", end="")
        print(
            f"{medians['opacus']:>12.2f}{_spread(ratio):>20}{case.must:>6.1f}{case.aim:>6.1f}",
            end="",
        )
        print(f"{_spread(gain):>18}{case.opacus_must:>6.1f}{case.opacus_aim:>6.1f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(f"{sum(reached)} of {len(reached)} lines reached")
    return 0 if all(reached) else 1


def _measure(case: Case, repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each kind of step, interleaved; small nets take many steps per reading."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(case.batch, case.widths[0], generator=generator)
    labels = torch.randint(0, 2, (case.batch,), generator=generator).float()
    steps = {
        "plain": _plain_step(case, inputs, labels),
        "private": _private_step(case, inputs, labels),
        "opacus": _opacus_step(case, inputs, labels),
    }
    inner = 1 if case.widths[0] > 1000 else 20
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(WARM_UP + repeats):
        for name, step in steps.items():
            started = time.process_time()
            for _ in range(inner):
                step()
            if repeat >= WARM_UP:
                times[name].append((time.process_time() - started) / inner)
    return times


def _plain_step(case: Case, inputs: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    model = Network(case.widths, torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    batch = Batch(inputs, labels)

    def step() -> None:
        optimizer.zero_grad()
        model.per_sample_loss(batch, None).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _private_step(case: Case, inputs: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    wide = case.widths[0] > 1000
    model = Network(case.widths, torch.float32 if wide else torch.float64)
    flat = FlatWeights(model)
    engine = OneBackward(model, clip_norm=1.0)
    ones = torch.ones(case.batch, dtype=torch.float64)
    block = PatientBlock(inputs.double(), labels.double(), ones, 1)
    weights = np.random.default_rng(0).normal(size=flat.size) / np.sqrt(case.widths[0])
    gamma = 2.0**GRID_BITS
    scale = LEARNING_RATE / case.batch / gamma
    update = np.empty_like(weights)

    def step() -> None:
        flat.load(weights)
        total = torch.zeros(flat.size, dtype=torch.float64)
        engine.add_clipped_sum(total, block)
        noised = release(
            total.numpy(), grid_per_unit=gamma, noise_std_grid=NOISE_MULTIPLIER * gamma
        )
        np.subtract(weights, np.multiply(noised, scale, out=update), out=weights)

    return step


def _opacus_step(case: Case, inputs: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    from opacus.grad_sample import GradSampleModule  # slow to import
    from opacus.optimizers import DPOptimizer

    model = Network(case.widths, torch.float32)
    hooked = GradSampleModule(model, batch_first=True, loss_reduction="mean")
    optimizer = DPOptimizer(
        torch.optim.SGD(model.parameters(), lr=LEARNING_RATE),
        noise_multiplier=NOISE_MULTIPLIER,
        max_grad_norm=1.0,
        expected_batch_size=case.batch,
    )
    batch = Batch(inputs, labels)
    del hooked

    def step() -> None:
        optimizer.zero_grad()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.per_sample_loss(batch, None).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _ratio(upper: list[float], lower: list[float]) -> tuple[float, float, float]:
    """Quartiles of the ratios of neighbouring readings; the middle one is the result."""
    ratios = np.array(upper) / np.array(lower)
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def _spread(ratio: tuple[float, float, float]) -> str:
    return f"{ratio[1]:.2f} [{ratio[0]:.2f}-{ratio[2]:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
