"""What every entry of a log has in common."""

from __future__ import annotations

from typing import ClassVar

from cordon_common.strict import StrictModel


class Body(StrictModel):
    """What an entry says; the class variable `KIND` names it in the log."""

    KIND: ClassVar[str]
