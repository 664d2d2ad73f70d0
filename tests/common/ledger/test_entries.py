"""Entries of earlier versions are read as what they said, and written as they were."""

import pytest

from cordon_common.canonical import canonical_bytes
from cordon_common.errors import IntegrityError
from cordon_common.ledger.entries import SITE_KINDS, PolicySet, parse_entry

BEFORE = {
    "policy": "sha256:" + "0" * 64,
    "lifetime_epsilon": 8.0,
    "lifetime_delta": 1e-4,
    "trusted_coordinators": [],
}


def entry(kind, body):
    value = {"seq": 1, "time": "2026-01-31T09:00:00Z", "kind": kind, "body": body}
    return canonical_bytes(value)


def test_a_policy_from_before_trust_models_counts_every_release_alone():
    data = entry("policy.set.v1", BEFORE)
    read = parse_entry(data, SITE_KINDS)
    assert isinstance(read.body, PolicySet)
    assert read.body.lifetime_trust_model == "local"
    assert read.to_bytes() == data


def test_a_policy_is_written_under_one_kind_only():
    named = BEFORE | {"lifetime_trust_model": "secure-sum"}
    assert (
        parse_entry(entry("policy.set.v2", named), SITE_KINDS).body.model_dump(mode="json") == named
    )
    for kind, body in (
        ("policy.set.v1", BEFORE | {"lifetime_trust_model": "local"}),
        ("policy.set.v2", BEFORE),
    ):
        with pytest.raises(IntegrityError) as refused:
            parse_entry(entry(kind, body), SITE_KINDS)
        assert refused.value.code == "IN103"
