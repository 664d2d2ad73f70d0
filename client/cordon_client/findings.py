"""What an examination of a site finds: one row per check, with the fix."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cordon_common.canonical import Json

Status = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One row of the examination."""

    check: str
    status: Status
    detail: str
    fix: str = ""
    code: str = ""

    def as_json(self) -> Json:
        """Return the JSON value."""
        return dataclasses.asdict(self)
