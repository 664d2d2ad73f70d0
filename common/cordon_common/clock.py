"""The one place that reads the wall clock; everything else takes a `Clock` argument."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time in UTC, with its zone."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock


def timestamp(moment: datetime) -> str:
    """Write a zoned time as RFC 3339 in UTC with milliseconds, e.g. `2026-01-31T09:00:00.000Z`."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"
