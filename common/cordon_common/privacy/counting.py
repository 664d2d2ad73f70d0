"""Events counted as they come, so that a question costs what differs, not what ever happened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain, repeat
from typing import get_args

from cordon_common.errors import ProtocolError
from cordon_common.privacy.events import AnyEvent, Event

_KINDS = frozenset(get_args(AnyEvent))

_Key = tuple[object, ...]


class EventCounts(Collection[Event]):
    """A multiset of events that only grows: a ledger holds few kinds of them, many times.

    Equal means the same class with equal fields. Iterating yields every event as often as it came.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        """Count events.

        Raises:
            ProtocolError: PR005 for an event of an unknown kind (refuse, never free).
        """
        self._kinds: dict[_Key, Event] = {}
        self._counts: dict[_Key, int] = {}
        for event in events:
            self.add(event)

    @classmethod
    def of(cls, events: Iterable[Event]) -> EventCounts:
        """Return the events themselves when they are counted already, else count them.

        Raises:
            ProtocolError: PR005 for an event of an unknown kind.
        """
        return events if isinstance(events, cls) else cls(events)

    def add(self, event: Event) -> None:
        """Count one more.

        Raises:
            ProtocolError: PR005 for an event of an unknown kind.
        """
        if event.__class__ not in _KINDS:
            raise ProtocolError("PR005", "a privacy event is not of a known kind")
        key = (event.__class__, *event.__dict__.values())  # a tenth of the time of the model's hash
        count = self._counts.get(key, 0)
        if not count:
            self._kinds[key] = event
        self._counts[key] = count + 1

    def copy(self) -> EventCounts:
        """Return the same counts, to be counted on apart from these."""
        other = EventCounts()
        other._kinds, other._counts = self._kinds.copy(), self._counts.copy()
        return other

    def distinct(self) -> list[tuple[Event, int]]:
        """List different events and how often each came, in the order of their first one."""
        return [(event, self._counts[key]) for key, event in self._kinds.items()]

    def __len__(self) -> int:
        """Return how many events came."""
        return sum(self._counts.values())

    def __iter__(self) -> Iterator[Event]:
        """Yield every event as often as it came, equal ones together."""
        return chain.from_iterable(repeat(event, count) for event, count in self.distinct())

    def __contains__(self, event: object) -> bool:
        """Tell whether an equal event came."""
        return event in self._kinds.values()
