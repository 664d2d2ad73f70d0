"""Process logs: one JSON object per line, times in UTC, no patient data (callers see to that)."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, TextIO

from cordon_common.clock import timestamp, utc_now

if TYPE_CHECKING:
    from cordon_common.clock import Clock

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Writes a record as one JSON line; `extra` fields become keys of their own."""

    def __init__(self, clock: Clock = utc_now) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        """Write one record; an exception is named by type and place, its text is left out."""
        line: dict[str, object] = {
            "time": timestamp(self._clock()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = place_of(record.exc_info[1])
        return json.dumps(line, default=str)


def configure(stream: TextIO, level: str = "INFO") -> None:
    """Send the process's log to a stream as JSON lines, replacing earlier handlers."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def place_of(error: BaseException | None) -> str:
    """Say what failed and where (type, file, line), never the text, which could hold data."""
    if error is None:
        return ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    file = trace.tb_frame.f_code.co_filename.rsplit("/", 1)[-1]
    return f"{type(error).__name__} at {file}:{trace.tb_lineno}"
