"""The table of checks refuses rows that would break the privacy argument."""

import math
from dataclasses import replace

import pytest

from cordon_common.qc.checks import Bounds, Registry, judge
from cordon_common.qc.clinical_checks import CHECKS, CLINICAL_TABLE
from cordon_common.qc.registry import CROSS_SITE, REGISTRY
from cordon_common.qc.verdict import CheckClass, Severity

RULE = REGISTRY["record.impossible-value"]
FEATURE = REGISTRY["feature.missing"]


def test_a_check_that_is_registered_twice_is_refused():
    with pytest.raises(ValueError, match="registered twice"):
        Registry([RULE, RULE])


def test_a_rule_of_unbounded_stability_may_not_exclude_records():
    with pytest.raises(ValueError, match="may not exclude"):
        replace(RULE, stability=None)
    with pytest.raises(ValueError, match="may not exclude"):
        replace(FEATURE, excludes=True)


def test_stability_counts_patients_and_starts_at_one():
    with pytest.raises(ValueError, match="starts at 1"):
        replace(RULE, stability=0)


@pytest.mark.parametrize("check_class", [CheckClass.LOCAL_SOFT, CheckClass.CROSS_SITE])
def test_only_a_local_hard_check_may_fail(check_class):
    with pytest.raises(ValueError, match="only a local_hard check"):
        replace(FEATURE, check_class=check_class, bounds=Bounds("share", "test", fail=0.5))


def test_every_row_says_where_its_thresholds_come_from_and_what_to_do():
    assert {CLINICAL_TABLE, CROSS_SITE} < set(REGISTRY.modalities)
    for spec in (spec for modality in REGISTRY.modalities for spec in REGISTRY.of(modality)):
        assert spec.bounds.source
        assert spec.bounds.warn is not None or spec.bounds.fail is not None
        assert spec.wording.title
        assert spec.wording.meaning.endswith(".")
        assert spec.wording.advice.endswith(".")


def test_the_registry_lists_a_modality_in_a_fixed_order():
    assert REGISTRY.of(CLINICAL_TABLE) == CHECKS
    assert "feature.unit" in REGISTRY
    assert "feature.unheard-of" not in REGISTRY


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        (None, Severity.NOT_APPLICABLE),
        (math.nan, Severity.ERROR),
        (0.1, Severity.PASS),
        (0.2, Severity.WARN),
        (0.5, Severity.WARN),
        (0.6, Severity.FAIL),
        (math.inf, Severity.FAIL),
    ],
)
def test_a_value_beyond_a_bound_gets_its_severity(value, severity):
    assert judge(value, warn=0.15, fail=0.5) is severity


def test_a_lower_value_can_be_the_worse_one():
    severities = [judge(value, warn=0.8, fail=0.5, worse="lower") for value in (0.9, 0.8, 0.7, 0.4)]
    assert severities == [Severity.PASS, Severity.PASS, Severity.WARN, Severity.FAIL]


def test_only_checks_of_samples_depend_on_the_assay():
    with pytest.raises(ValueError, match="only checks of samples depend"):
        replace(FEATURE, assay_dependent=True)


def test_without_bounds_nothing_is_flagged():
    assert judge(1e9, warn=None, fail=None) is Severity.PASS
