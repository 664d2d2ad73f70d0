"""Readings of several functions in turn, so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def interleaved(
    steps: Mapping[str, Callable[[], None]], *, repeats: int, inner: int = 1, warm_up: int = 3
) -> dict[str, list[float]]:
    """Return CPU seconds per call of each function, one reading of `inner` calls per repeat."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(warm_up + repeats):
        for name, step in steps.items():
            started = time.process_time()
            for _ in range(inner):
                step()
            if repeat >= warm_up:
                times[name].append((time.process_time() - started) / inner)
    return times
