"""One training step of a net in three ways: plain SGD, the kernel, Opacus hooks."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from benchmarks.dp_step.timing import interleaved
from benchmarks.lines import ratio_line
from cordon_client.models.flat import FlatWeights
from cordon_client.training.engines import engine_for
from cordon_client.training.noise import release_over
from cordon_client.training.packing import PatientBlock
from cordon_client.training.workspace import zeros

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.lines import Line
    from cordon_client.models.base import Batch, PatientModel

GRID_BITS = 20
NOISE_MULTIPLIER = 10.0
LEARNING_RATE = 0.1


@dataclass(frozen=True)
class Case:
    """One net and batch, and what must be reached.

    plain: the net as anybody would write it, in float32; private: the same as the kernel runs it.
    inner: steps per reading; warm_up: readings not counted; aux: rows of randomness for the loss, if it takes any.
    """

    name: str
    plain: Callable[[], PatientModel]
    private: Callable[[], PatientModel]
    batch: Batch
    must: float
    aim: float
    opacus_aim: float | None = None
    inner: int = 1
    aux: dict[str, torch.Tensor] | None = None
    warm_up: int = 3


def step_lines(case: Case, repeats: int) -> list[Line]:
    """Measure a case: private ÷ plain, and Opacus ÷ private."""
    steps = {
        "plain": plain_step(case),
        "private": private_step(case),
        "opacus": opacus_step(case),
    }
    times = interleaved(steps, repeats=repeats, inner=case.inner, warm_up=case.warm_up)
    return [
        ratio_line(
            f"{case.name}: private ÷ plain step",
            times["private"],
            times["plain"],
            must=case.must,
            aim=case.aim,
        ),
        ratio_line(
            f"{case.name}: Opacus hooks ÷ private step",
            times["opacus"],
            times["private"],
            must=1.0,
            aim=case.opacus_aim,
            better="higher",
        ),
    ]


def plain_step(case: Case) -> Callable[[], None]:
    """Forward, backward and SGD in float32, without any privacy."""
    model = case.plain()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step() -> None:
        optimizer.zero_grad()
        model.per_sample_loss(case.batch, case.aux).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def private_step(case: Case) -> Callable[[], None]:
    """The kernel's step: clipped sum, noise on the grid, update."""
    model = case.private()
    flat = FlatWeights(model)
    for parameter in model.parameters():
        parameter.data.uniform_(-0.05, 0.05)
    engine = engine_for(model, clip_norm=1.0)
    records = len(case.batch.labels)
    ones = torch.ones(records, dtype=torch.float64)
    inputs = case.batch.inputs.to(model.input_dtype)
    block = PatientBlock(inputs, case.batch.labels.double(), ones, 1)
    gamma = 2.0**GRID_BITS
    scale = LEARNING_RATE / records / gamma

    def step() -> None:
        total = zeros(flat.size)
        engine.add_clipped_sum(torch.from_numpy(total), block, case.aux)
        std = NOISE_MULTIPLIER * gamma
        flat.step(release_over(total, grid_per_unit=gamma, noise_std_grid=std), scale)

    return step


def opacus_step(case: Case) -> Callable[[], None]:
    """Per-record gradients by Opacus hooks, clipped, noised by torch, SGD."""
    from opacus.grad_sample import GradSampleModule  # slow to import
    from opacus.optimizers import DPOptimizer

    model = case.plain()
    hooked = GradSampleModule(model, batch_first=True, loss_reduction="mean")
    optimizer = DPOptimizer(
        torch.optim.SGD(model.parameters(), lr=LEARNING_RATE),
        noise_multiplier=NOISE_MULTIPLIER,
        max_grad_norm=1.0,
        expected_batch_size=len(case.batch.labels),
    )
    del hooked

    def step() -> None:
        optimizer.zero_grad()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.per_sample_loss(case.batch, case.aux).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step
