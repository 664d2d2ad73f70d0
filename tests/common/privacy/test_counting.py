"""Counted events are the same events: same cost, same number, and nothing unknown among them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cordon_common.errors import ProtocolError
from cordon_common.privacy.accounting import lifetime_epsilon, study_epsilon
from cordon_common.privacy.counting import EventCounts

drawn = st.lists(
    st.tuples(st.sampled_from([5.0, 9.0]), st.sampled_from(["all", "train", "holdout"])),
    max_size=12,
)


def events(make_event, pairs):
    return [make_event(sigma, population=population) for sigma, population in pairs]


@settings(deadline=None, max_examples=50)
@given(drawn)
def test_counted_events_are_the_events(make_event, pairs):
    listed = events(make_event, pairs)
    counts = EventCounts(listed)
    assert len(counts) == len(listed)
    assert sorted(map(repr, counts)) == sorted(map(repr, listed))
    assert all(event in counts for event in listed)
    assert study_epsilon(counts, 1e-5) == study_epsilon(listed, 1e-5)
    assert lifetime_epsilon([counts] * 3, 1e-5) == lifetime_epsilon([listed] * 3, 1e-5)


def test_a_copy_is_counted_on_apart(make_event):
    counts = EventCounts([make_event()])
    copy = counts.copy()
    copy.add(make_event())
    assert (len(counts), len(copy)) == (1, 2)
    assert EventCounts.of(counts) is counts


def test_equal_means_every_field(make_event):
    several = EventCounts(
        [make_event(), make_event(stability=2), make_event(rate=0.5), make_event(purpose="qc")]
    )
    assert [count for _, count in several.distinct()] == [1, 1, 1, 1]


@pytest.mark.parametrize("unknown", [None, {"kind": "gaussian.v1"}, "gaussian.v1"])
def test_an_unknown_event_is_refused(unknown):
    with pytest.raises(ProtocolError) as refused:
        EventCounts([unknown])
    assert refused.value.code == "PR005"
