"""What a site saw of its coordinators' logs: every head that it cosigned, and alarms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cordon_common.ledger.checkpoint import note_text, parse_checkpoint
from cordon_common.ledger.entries import CheckpointRefused, CheckpointWitnessed

if TYPE_CHECKING:
    from cordon_common.ledger.checkpoint import Checkpoint
    from cordon_common.ledger.entries import Entry

FORKED = "IN111"
"""The code of an alarm that no later good head lifts: two signed heads contradict each other."""


@dataclass(frozen=True)
class Sight:
    """A head of a coordinator's log that the site cosigned.

    time_s: POSIX time of the cosignature. seq, time: the entry that notes it, and its RFC 3339 time.
    """

    checkpoint: Checkpoint
    note: str
    time_s: int
    seq: int
    time: str


@dataclass(frozen=True)
class Alarm:
    """The last noted time that a coordinator's log could not be followed."""

    code: str
    seq: int
    time: str
    count: int


@dataclass
class Sights:
    """The entries about coordinators' logs, folded; keys are the coordinators' public keys."""

    newest: dict[str, Sight] = field(default_factory=dict)
    heads: dict[tuple[str, int], Sight] = field(default_factory=dict)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    forked: set[str] = field(default_factory=set)
    _refused: dict[str, int] = field(default_factory=dict)

    def observe(self, body: CheckpointWitnessed | CheckpointRefused, entry: Entry) -> None:
        """Take in the next entry."""
        key = body.coordinator
        if isinstance(body, CheckpointRefused):
            self.alarms[key] = Alarm(body.code, entry.seq, entry.time, body.count)
            if body.code == FORKED:
                self.forked.add(key)
            return
        point = parse_checkpoint(note_text(body.checkpoint))
        sight = Sight(point, body.checkpoint, body.time_s, entry.seq, entry.time)
        self.heads[key, point.size] = sight
        self.newest[key] = sight

    def alarm(self, coordinator: str) -> Alarm | None:
        """Return the alarm that stands: a fork for ever, any other until a head is good again."""
        alarm, sight = self.alarms.get(coordinator), self.newest.get(coordinator)
        if alarm is None or coordinator in self.forked:
            return alarm
        return None if sight and sight.seq > alarm.seq else alarm

    def refusals(self, coordinator: str) -> int:
        """Return how many refusals the ledger tells of for this coordinator."""
        alarm = self.alarms.get(coordinator)
        return alarm.count if alarm else 0

    def count_refusal(self, coordinator: str) -> int:
        """Count one more refusal, whether it is noted or not."""
        count = max(self._refused.get(coordinator, 0), self.refusals(coordinator)) + 1
        self._refused[coordinator] = count
        return count
