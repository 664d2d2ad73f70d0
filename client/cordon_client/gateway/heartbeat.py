"""A file whose age tells that the gateway is connected and polling; no port is opened for it."""

import time
from pathlib import Path

FILE = "heartbeat"
INTERVAL_S = 5.0
STALE_S = 90.0


class Heartbeat:
    """Touches the file at every turn of the SuperNode's loop, at most every `INTERVAL_S`."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE
        self._last = 0.0

    def beat(self) -> None:
        """Say that the loop has come round."""
        now = time.monotonic()
        if now - self._last >= INTERVAL_S:
            self._last = now
            self._file.touch()


def is_beating(home: Path) -> bool:
    """Tell whether a gateway of this folder came round within the last `STALE_S`."""
    try:
        age_s = time.time() - (home / FILE).stat().st_mtime
    except OSError:
        return False
    return age_s < STALE_S
