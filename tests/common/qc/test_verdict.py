"""Severities merge like a maximum; what leaves is coarse and consistent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.canonical import canonical_bytes, parse_json
from cordon_common.errors import ProtocolError
from cordon_common.qc.verdict import CohortVerdict, ReasonCode, Severity, worst

SEVERITIES = st.lists(st.sampled_from(Severity), max_size=6)


def verdict(**changes):
    fields = {
        "profile": "clinical-table.v1",
        "severity": "warn",
        "checks": {"cohort.patients": "pass", "feature.missing": "warn"},
        "reasons": ["missing_values"],
        "may_train": True,
    }
    return fields | changes


@given(SEVERITIES, SEVERITIES)
def test_the_worst_of_parts_is_the_worst_of_the_whole(a, b):
    assert worst([worst(a), worst(b)]) is worst([*a, *b])
    assert worst([*a, *b]) is worst([*b, *a])
    assert worst([*a, *a]) is worst(a)


def test_not_applicable_never_hides_and_error_is_never_hidden():
    assert worst([Severity.NOT_APPLICABLE, Severity.PASS]) is Severity.PASS
    assert worst([]) is Severity.NOT_APPLICABLE
    assert worst(list(Severity)) is Severity.ERROR


def test_a_verdict_survives_the_wire():
    first = CohortVerdict.from_json(verdict())
    again = CohortVerdict.from_json(parse_json(canonical_bytes(first.as_json())))
    assert again == first
    assert again.reasons == (ReasonCode.MISSING_VALUES,)


@pytest.mark.parametrize(
    "change",
    [
        {"severity": "pass"},
        {"severity": "wonderful"},
        {"reasons": ["the patient in bed 12"]},
        {"note": "free text"},
        {"profile": "x"},
        {"kind": "qc-verdict.v2"},
    ],
)
def test_a_verdict_that_contradicts_itself_or_says_more_is_refused(change):
    with pytest.raises(ProtocolError) as caught:
        CohortVerdict.from_json(verdict(**change))
    assert caught.value.code == "PR005"
