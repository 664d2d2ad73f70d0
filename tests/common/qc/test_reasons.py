"""Every reason has its sentences, so that no page has to show a code."""

import pytest

from cordon_common.qc.reasons import REASONS
from cordon_common.qc.verdict import ReasonCode


def test_every_reason_code_has_one_row_and_no_row_is_left_over():
    assert set(REASONS) == set(ReasonCode)
    assert len({text.found for text in REASONS.values()}) == len(REASONS)


@pytest.mark.parametrize("reason", ReasonCode)
def test_a_reason_reads_as_a_heading_and_two_sentences(reason):
    text = REASONS[reason]
    assert text.found[0].isupper()
    assert not text.found.endswith(".")
    assert len(text.found) <= 60
    for sentence in (text.meaning, text.advice):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "_" not in sentence
