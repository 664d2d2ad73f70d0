"""The entry of a test that a hospital made of the mechanism that runs there."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cordon_common.ledger.body import Body
from cordon_common.wire import Digest


class ProbeDone(Body):
    """The hospital tested the mechanism that runs for a study, on made-up patients.

    epsilon_lower: what an attack with a canary proved, of `epsilon_claimed` for the same releases.
    While the newest probe of a study failed, the vault releases nothing in it.
    """

    KIND: ClassVar[str] = "probe.done.v1"
    study: Digest
    passed: bool
    failed: tuple[str, ...] = Field(max_length=40)
    epsilon_claimed: float = Field(ge=0)
    epsilon_lower: float = Field(ge=0)
    trials: int = Field(ge=1)
    report: Digest
