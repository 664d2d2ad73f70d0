"""Where a model's passes and clipped sums are computed: the CPU, or a CUDA device.

A matter of speed alone: no study, approval or ledger entry names it. Sampling, grid and noise stay
on the CPU. What the proof needs of a device is asked of it by `places`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from cordon_common.errors import SystemFault

if TYPE_CHECKING:
    from cordon_client.home import Device

CPU = torch.device("cpu")

_CUDA_SETTINGS = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "CUBLAS_EMULATE_SINGLE_PRECISION": "0",
    "CUBLAS_EMULATE_DOUBLE_PRECISION": "0",
    "NVIDIA_TF32_OVERRIDE": "0",
}
"""Read by NVIDIA's libraries when they start: repeatable sums, float32 and float64 as they are."""


def open_device(name: Device) -> torch.device:
    """Return a device; a CUDA device is set up for whole, repeatable arithmetic.

    Raises:
        SystemFault: SY072 when CUDA is asked for and cannot be used.
    """
    if name == "cpu":
        return CPU
    os.environ.update(_CUDA_SETTINGS)
    if not torch.cuda.is_available():
        raise SystemFault("SY072")
    device = torch.device("cuda")
    try:
        torch.zeros(1, device=device)
    except RuntimeError:  # a card that this build of torch has no code for
        raise SystemFault("SY072") from None
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(mode=True)
    return device
